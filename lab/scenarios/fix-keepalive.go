package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// FixKeepalive has the peer of an idle connection vanish, and gives keepalive from
// outside to the program that waits for it: it is told.
var FixKeepalive = &lab.Scenario{
	Name:    "fix-keepalive",
	Title:   "a program that waits for a vanished peer is told, once its socket gets keepalive from outside",
	Source:  "article: TCP keepalive detects a dead peer; RFC 1122, section 4.2.3.6; pidfd_getfd(2)",
	Claims:  []int{28},
	Needs:   []lab.Need{lab.TUN},
	Expects: []string{"half-open"},
	Acts:    []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		v := &vanishedPeer{Stage: s}
		return inOrder(ctx, v.open, v.cut, v.fix, v.ends)
	},
}

// vanishedPeer is a play of FixKeepalive under way.
type vanishedPeer struct {
	*lab.Stage
	*connectedPair
	tunnel  *lab.Tunnel
	outcome func() ([]awaited, error) // of the client's read()
	applied time.Time                 // when fix had ended
}

func (v *vanishedPeer) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection without keepalive"}
	if v.connectedPair, v.tunnel, err = tunnelPair(ctx, v.Stage, &step); err != nil {
		return err
	}
	if err := v.talk(ctx); err != nil {
		return err
	}
	step.Done = append(step.Done, "A request is answered. Then the client calls read(), which waits for more. Neither end sets SO_KEEPALIVE.")
	v.outcome = v.client.waiting(ctx, v.inClient)
	v.Tell(step)
	return nil
}

func (v *vanishedPeer) cut(ctx context.Context) error {
	step := lab.Step{Name: "cut", Title: "The server vanishes, and nobody is told"}
	v.tunnel.Cut()
	if err := lab.Wait(ctx, v.Patience); err != nil {
		return err
	}
	if err := v.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	timer, err := v.timer(ctx)
	if err != nil {
		return err
	}
	if timer != tcpvet.TimerNone {
		return fmt.Errorf("the client's end has a timer, of kind %v, before anybody set keepalive", timer)
	}
	step.Done = []string{fmt.Sprintf("From now on every packet is lost, either way. That goes on for %s.", step.Seconds("patience_seconds", v.Patience))}
	step.Shown = []string{"The client's end is in ESTAB, and no timer runs: ss -o shows none."}
	step.Means = []string{"It would wait in read() for good. Nor could anybody see from outside what has happened: the connection looks like any idle one."}
	v.Tell(step)
	return nil
}

// timer gives the timer of the client's end.
func (v *vanishedPeer) timer(ctx context.Context) (tcpvet.TimerKind, error) {
	sock, err := socketAt(ctx, v.Stage, v.Host, v.from, v.service)
	if err != nil {
		return 0, err
	}
	if sock == nil || sock.State != tcpvet.Established {
		return 0, fmt.Errorf("the client's end is %+v, not in ESTAB", sock)
	}
	return sock.Timer.Kind, nil
}

func (v *vanishedPeer) fix(ctx context.Context) error {
	step := lab.Step{Name: "fix", Title: "Keepalive, from outside of the program"}
	command := fmt.Sprintf("tcpvet fix keepalive --pid %d --idle %ds --interval %ds --count %d dst %s --apply", v.client.PID, deadIdle, deadInterval, deadCount, v.service)
	said, err := v.Host.Tcpvet(ctx, lab.Setup{Memory: []string{journalFolder}}, command)
	if err != nil {
		return err
	}
	v.applied = time.Now()
	step.Said = []*lab.Said{said.Until("  - ")}
	timer, err := v.timer(ctx)
	if err != nil {
		return err
	}
	if said.Status != 0 || timer != tcpvet.TimerKeepalive {
		// read() would wait for good.
		return fmt.Errorf("%s ended with status %d, and the client's end has a timer of kind %v: %q", command, said.Status, timer, said.Lines)
	}
	if _, err := v.tunnel.Wait(ctx, 2, lost(v.clientSends(lab.PureACK))); err != nil {
		return err
	}
	err = v.Judge(ctx, &step, lab.Expect{
		Rules: []string{"half-open"},
		Of:    map[string]lab.Particulars{"half-open": {Kind: "keepalive", Severity: tcpvet.Info, Service: v.service}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{"While the program hangs in read(), this is run:"}
	step.Shown = []string{"A keepalive timer runs at the socket, and probes cross, which are lost. Now tcpvet diagnose has something to see:"}
	v.Tell(step)
	return nil
}

func (v *vanishedPeer) ends(ctx context.Context) error {
	step := lab.Step{Name: "end", Title: "The program is told"}
	read, err := v.outcome()
	if err != nil {
		return err
	}
	if err := read[0].timedOut(); err != nil {
		return err
	}
	took := read[0].At.Sub(v.applied)
	ends, err := v.Settled(ctx, v.service, "the client's end to be gone", states(0, tcpvet.Established))
	if err != nil {
		return err
	}
	if least := deadCount * deadInterval * time.Second; took < least-tick {
		return fmt.Errorf("the connection ended %s after keepalive was set, and could not before %s", took, least)
	}
	probes := v.tunnel.Select(lost(v.clientSends(lab.PureACK)))
	if err := exactly("probes", len(probes), deadCount); err != nil {
		return err
	}
	step.Ends = &ends
	step.Shown = []string{
		fmt.Sprintf("read() fails: \"%v\" (errno %s, %s), %s after fix had ended and after %s probes.", read[0].Failure,
			step.ID("errno", read[0].Failure.Errno), read[0].Failure.name(), step.Seconds("end_seconds", took), step.Count("probes_count", len(probes))),
	}
	step.Means = []string{
		fmt.Sprintf("TCP_KEEPIDLE + TCP_KEEPCNT x TCP_KEEPINTVL = %s + %s x %s = %s s, where the idle time began as keepalive was set. The program was neither changed nor restarted, and its own handling of errors does the rest: a pool drops such a connection, and opens another.",
			step.Count("idle_seconds", deadIdle), step.Count("probes_count", deadCount), step.Count("interval_seconds", deadInterval), step.Count("predicted_seconds", deadIdle+deadCount*deadInterval)),
		"tcpvet fix keepalive is for sockets that are open. Those that the program opens later get none: tcpvet run --pid is for them, and the program's own code is for good.",
	}
	v.Tell(step)
	return nil
}
