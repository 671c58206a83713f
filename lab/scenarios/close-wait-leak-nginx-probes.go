package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// The part of CloseWaitLeakNginx that is about so_keepalive.

// enoughProbes is how many probes are waited for.
const enoughProbes = 2

func (l *nginxLeak) probes(ctx context.Context) error {
	step := lab.Step{Name: "probes", Title: "TCP keepalive is something else"}
	quiet, err := l.ask(ctx, l.patient)
	if err != nil {
		return err
	}
	probed, err := l.ask(ctx, l.probed)
	if err != nil {
		return err
	}
	probes, err := l.tap.Wait(ctx, enoughProbes, lab.OnPort(l.probed.Port(), keepaliveProbe))
	if err != nil {
		return err
	}
	if n := len(l.tap.Select(lab.Both(keepaliveProbe, lab.Not(lab.OnPort(l.probed.Port(), lab.AnySegment))))); n > 0 {
		return fmt.Errorf("%d keepalive probes crossed on connections to sites without so_keepalive", n)
	}
	with, err := l.timer(ctx, l.probed, probed)
	if err != nil {
		return err
	}
	without, err := l.timer(ctx, l.patient, quiet)
	if err != nil {
		return err
	}
	if with != tcpvet.TimerKeepalive || without != tcpvet.TimerNone {
		return fmt.Errorf("the timers of nginx's ends are %s with so_keepalive and %s without", with, without)
	}
	step.Segments = l.tap.Select(lab.OnPort(l.probed.Port(), lab.AnySegment))
	answered := step.Count("probes_count", len(probes))
	step.Done = []string{fmt.Sprintf("shop-client makes a request to %s, and one to %s. Both connections stay open and idle.", l.patient, l.probed)}
	step.Shown = []string{
		fmt.Sprintf("nginx's end of the second has a keepalive timer (ss -o), and the kernel of its host asks: so far %s probes, which the client's kernel answered. Its end of the first has no timer, and nothing crosses. What crossed on the second:", answered),
	}
	step.Means = []string{
		"HTTP keep-alive is an agreement of two programs to leave a connection open. TCP keepalive asks whether the other host still knows the connection: the kernel does it, for sockets that asked for SO_KEEPALIVE. nginx asks for it only with so_keepalive. net.ipv4.tcp_keepalive_time alone did nothing here, for any other connection.",
		"Neither makes a client close what it has forgotten.",
	}
	for _, c := range []returned{quiet, probed} {
		if _, err := l.client.must(ctx, callClose, socketCall{c.FD}); err != nil {
			return err
		}
	}
	l.Tell(step)
	return nil
}

// timer gives the timer of nginx's end of an idle connection.
func (l *nginxLeak) timer(ctx context.Context, service netip.AddrPort, c returned) (tcpvet.TimerKind, error) {
	s, err := socketAt(ctx, l.Stage, l.server, service, c.Local)
	if err != nil {
		return 0, err
	}
	if s == nil || s.State != tcpvet.Established {
		return 0, fmt.Errorf("the connection from %s to %s is not open any more: %+v", c.Local, service, s)
	}
	return s.Timer.Kind, nil
}
