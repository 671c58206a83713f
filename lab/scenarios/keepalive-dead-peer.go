package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveDeadPeer has the way to the peer of an idle connection break, and the
// client's kernel find out by keepalive.
var KeepaliveDeadPeer = &lab.Scenario{
	Name:      "keepalive-dead-peer",
	Title:     "keepalive finds that the peer is gone",
	Source:    "article: TCP keepalive detects a dead peer; RFC 1122, section 4.2.3.6; tcp(7), TCP_KEEPCNT",
	Claims:    []int{28},
	Needs:     []lab.Need{lab.TUN},
	Expects:   []string{"half-open"},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"7200 s, 9 and 75 s, it is 7,875 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		d := &deadPeer{Stage: s}
		return inOrder(ctx, d.open, d.asks, d.cut, d.ends, d.otherEnd)
	},
}

// The keepalive of the client, in seconds.
const (
	deadIdle, deadInterval, deadCount = 1, 1, 5
)

// deadPeer is a play of KeepaliveDeadPeer under way.
type deadPeer struct {
	*lab.Stage
	*connectedPair
	tunnel  *lab.Tunnel
	outcome func() ([]awaited, error) // of the client's read()
}

func (d *deadPeer) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection with keepalive at the client's end"}
	if d.connectedPair, d.tunnel, err = tunnelPair(ctx, d.Stage, &step); err != nil {
		return err
	}
	if err := d.set(ctx, probing(deadIdle, deadInterval, deadCount)); err != nil {
		return err
	}
	if err := d.talk(ctx); err != nil {
		return err
	}
	step.Done = append(step.Done,
		fmt.Sprintf("shop-client sets SO_KEEPALIVE, TCP_KEEPIDLE %s s, TCP_KEEPINTVL %s s and TCP_KEEPCNT %s. stock-server sets nothing.",
			step.Count("idle_seconds", deadIdle), step.Count("interval_seconds", deadInterval), step.Count("probes_count", deadCount)),
		"A request is answered. Then the client calls read(), which waits for more.")
	d.outcome = d.client.waiting(ctx, d.inClient)
	d.Tell(step)
	return nil
}

// asks waits for a probe that is answered.
func (d *deadPeer) asks(ctx context.Context) error {
	step := lab.Step{Name: "probe", Title: "The kernel asks, and is answered"}
	probes, err := d.tunnel.Wait(ctx, 1, arrived(d.clientSends(keepaliveProbe)))
	if err != nil {
		return err
	}
	probed := time.Unix(0, probes[0].Segment.At)
	if err := lab.Until(ctx, "an answer to the probe", func() (bool, error) {
		return len(after(probed, d.tunnel.Select(arrived(d.serverSends(lab.PureACK))))) > 0, nil
	}); err != nil {
		return err
	}
	quiet := lastOf(d.tunnel.Select(arrived(d.clientSends(lab.AnySegment))), lab.Data)
	step.Segments = since(d.tunnel.Segments(), d.clientSends(keepaliveProbe))
	step.Done = []string{"Nobody sends anything."}
	step.Shown = []string{fmt.Sprintf("%s after the request, this crosses:", step.Seconds("probe_seconds", probed.Sub(time.Unix(0, quiet.Segment.At))))}
	step.Means = []string{
		"A keepalive probe is an ACK without data, with a sequence number that was acknowledged before. To that a kernel answers with an ACK of what it has, unless it has no such connection: then with RST. " +
			"Neither program takes part. The article says so: it is an insurance of TCP, not a use of the connection.",
	}
	d.Tell(step)
	return nil
}

// cut breaks the way, and looks while the kernel asks in vain.
func (d *deadPeer) cut(ctx context.Context) error {
	step := lab.Step{Name: "cut", Title: "The way to the server breaks"}
	d.tunnel.Cut()
	if _, err := d.tunnel.Wait(ctx, 2, lost(d.clientSends(lab.PureACK))); err != nil {
		return err
	}
	err := d.Judge(ctx, &step, lab.Expect{
		Rules: []string{"half-open"},
		Of:    map[string]lab.Particulars{"half-open": {Kind: "keepalive", Severity: tcpvet.Info, Service: d.service}},
	})
	if err != nil {
		return err
	}
	sock, err := socketAt(ctx, d.Stage, d.Host, d.from, d.service)
	if err != nil {
		return err
	}
	if sock == nil || sock.State != tcpvet.Established || sock.Timer.Kind != tcpvet.TimerKeepalive {
		return fmt.Errorf("the client's end is %+v while its probes are not answered, not in ESTAB with a keepalive timer", sock)
	}
	step.Done = []string{"From now on every packet is lost, either way, as when the server's host loses its power or a firewall between forgets the connection."}
	step.Shown = []string{
		fmt.Sprintf("The client's end is in ESTAB as before. ss -o shows timer:(keepalive,TIME,%s): so many probes are not answered.",
			step.Count("unanswered_count", int(sock.Timer.Retransmits))),
	}
	step.Means = []string{"A client without keepalive would show no timer at all here, and wait in read() for ever."}
	d.Tell(step)
	return nil
}

func (d *deadPeer) ends(ctx context.Context) error {
	step := lab.Step{Name: "end", Title: "The kernel gives up, and tells the program"}
	read, err := d.outcome()
	if err != nil {
		return err
	}
	if err := read[0].timedOut(); err != nil {
		return err
	}
	heard, ok := d.heard(d.tunnel.Segments())
	if !ok {
		return fmt.Errorf("no segment of the server has crossed")
	}
	// The RST comes last, after which read() returned; the tunnel may be late.
	if _, err := d.tunnel.Wait(ctx, 1, lost(d.clientSends(lab.RST))); err != nil {
		return err
	}
	segments := after(heard, d.tunnel.Select(d.clientSends(lab.AnySegment)))
	probes := len(segments) - 1
	if probes != deadCount || !lab.RST(&segments[probes]) {
		return fmt.Errorf("the client sent other segments than %d probes and an RST: %v", deadCount, texts(segments))
	}
	took := read[0].At.Sub(heard)
	if least := (deadIdle + deadCount*deadInterval) * time.Second; took < least-tick {
		return fmt.Errorf("the connection ended %s after its last segment, and could not before %s", took, least)
	}
	if _, err := d.client.must(ctx, callClose, socketCall{d.inClient}); err != nil {
		return err
	}
	step.Segments = segments
	step.Done = []string{"Nothing changes."}
	step.Shown = []string{
		fmt.Sprintf("read() fails: \"%v\" (errno %s, %s), %s after the last segment that came. In that time its kernel sent %s probes and an RST:",
			read[0].Failure, step.ID("errno", read[0].Failure.Errno), read[0].Failure.name(), step.Seconds("end_seconds", took), step.Count("probes_count", probes)),
	}
	step.Means = []string{
		fmt.Sprintf("TCP_KEEPIDLE + TCP_KEEPCNT x TCP_KEEPINTVL = %s + %s x %s = %s s: the first probe comes after the idle time, the end one interval after the last. So keepalive finds a dead peer, as the article says, "+
			"in a time that can be worked out. With the kernel's own times, 7200 s, 9 and 75 s, it is 7,875 s: more than two hours.",
			step.Count("idle_seconds", deadIdle), step.Count("probes_count", deadCount), step.Count("interval_seconds", deadInterval),
			step.Count("predicted_seconds", deadIdle+deadCount*deadInterval)),
		"The program has the error now, and closes: until it does, the descriptor stays open. Scenario keepalive-frees-port is about one that does not.",
	}
	d.Tell(step)
	return nil
}

func (d *deadPeer) otherEnd(ctx context.Context) error {
	step := lab.Step{Name: "other-end", Title: "The server's end knows nothing of it"}
	ends, err := d.Settled(ctx, d.service, "the client's end to be gone", states(0, tcpvet.Established))
	if err != nil {
		return err
	}
	sock, err := socketAt(ctx, d.Stage, d.tunnel.B.Host, d.service, d.from)
	if err != nil {
		return err
	}
	if sock == nil || sock.Timer.Kind != tcpvet.TimerNone {
		return fmt.Errorf("the server's end is %+v, not without a timer", sock)
	}
	mended := time.Now()
	d.tunnel.Mend()
	if _, err := d.server.must(ctx, callWrite, writeCall{d.inServer, []byte(answer)}); err != nil {
		return err
	}
	read, err := d.server.awaits(ctx, d.inServer)
	if err != nil {
		return err
	}
	if err := failsBy(read[0].Failure, "read", "ECONNRESET"); err != nil {
		return err
	}
	if _, err := d.server.must(ctx, callClose, socketCall{d.inServer}); err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = after(mended, d.tunnel.Select(arrived(lab.AnySegment)))
	step.Done = []string{"Both ends are looked at. Then the way is mended, and the server writes."}
	step.Shown = []string{
		fmt.Sprintf("The server's end was in ESTAB, without a timer. Its write() draws an RST, and its read() fails: \"%v\" (errno %s, %s).",
			read[0].Failure, step.ID("server_errno", read[0].Failure.Errno), read[0].Failure.name()),
	}
	step.Means = []string{
		"Keepalive works for the end that sets it. The RST that the client sent at its end was lost like the rest, so the server would have kept its descriptor for good had it not written: both ends need keepalive, each for itself.",
	}
	d.Tell(step)
	return nil
}
