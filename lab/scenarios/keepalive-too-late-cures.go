package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// The second half of KeepaliveTooLate: a middlebox that says so, and keepalive
// that comes in time.

func (t *tooLate) reset(ctx context.Context) error {
	step := lab.Step{Name: "reset", Title: "A middlebox that answers by RST"}
	// So that nothing more is sent on what is lost.
	for _, p := range t.lost() {
		if _, err := p.client.must(ctx, callLinger, lingerCall{FD: p.inClient}); err != nil {
			return err
		}
		if _, err := p.client.must(ctx, callClose, socketCall{p.inClient}); err != nil {
			return err
		}
	}
	t.tunnel.Forget(pathIdle, lab.ByReset)
	one, err := t.first.another(ctx, keepalive)
	if err != nil {
		return err
	}
	if _, err := one.server.must(ctx, callSet, setCall{one.inServer, keepalive}); err != nil {
		return err
	}
	if err := one.talk(ctx); err != nil {
		return err
	}
	idle := time.Now()
	if err := t.forgotten(ctx, pool{one}); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("shop-client gives the %s connections up, without a word to the server. Now the middlebox sends an RST to whoever uses a connection that it has forgotten. The client opens one more, from port %s, which is idle for %s. Then it writes.",
			step.Count("lost_count", len(t.lost())), step.ID("reset_port", int(one.from.Port())), step.Seconds("idle_seconds", time.Since(idle))),
	}
	wrote := time.Now()
	if _, err := one.client.must(ctx, callWrite, writeCall{one.inClient, []byte(request)}); err != nil {
		return err
	}
	reads, err := one.client.awaits(ctx, one.inClient)
	if err != nil {
		return err
	}
	if err := failsBy(reads[0].Failure, "read", "ECONNRESET"); err != nil {
		return err
	}
	if _, err := one.client.must(ctx, callClose, socketCall{one.inClient}); err != nil {
		return err
	}
	sock, err := socketAt(ctx, t.Stage, t.tunnel.B.Host, one.service, one.from)
	if err != nil {
		return err
	}
	if sock == nil || sock.State != tcpvet.Established {
		return fmt.Errorf("the server's end is %+v, not in ESTAB", sock)
	}
	step.Segments = t.tunnel.Select(lab.OnPort(one.from.Port(), lab.AnySegment))
	step.Shown = []string{
		fmt.Sprintf("write() succeeds, and read() fails after %s: \"%v\" (errno %s, %s). The server's end is in ESTAB: the RST was not from there, though it bears its address.",
			step.Millis("failed_millis", reads[0].At.Sub(wrote)), reads[0].Failure, step.ID("errno", reads[0].Failure.Errno), reads[0].Failure.name()),
	}
	step.Means = []string{"The same fault, and a kinder way to learn of it: at once. A client that can repeat the request does, on another connection."}
	t.Tell(step)
	return nil
}

// guarded uses the pool whose keepalive came in time.
func (t *tooLate) guarded(ctx context.Context) error {
	step := lab.Step{Name: "early", Title: "Keepalive below the limit"}
	last := lastOf(t.tunnel.Select(t.early.serverSends(lab.Data)), arrived(lab.AnySegment))
	idle := time.Since(time.Unix(0, last.Segment.At))
	for _, p := range t.early {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	probes := t.tunnel.Select(t.early.clientSends(keepaliveProbe))
	err := t.Judge(ctx, &step, lab.Expect{Limits: t.limits()})
	if err != nil {
		return err
	}
	one := t.early[0]
	step.Segments = t.tunnel.Select(lab.OnPort(one.from.Port(), lab.AnySegment))
	step.Done = []string{fmt.Sprintf("The %s connections with TCP_KEEPIDLE and TCP_KEEPINTVL of %s s have been idle all the time, for %s. The client makes a request on each.",
		step.Count("early_count", len(t.early)), step.Count("early_seconds", earlyIdle), step.Seconds("early_idle_seconds", idle))}
	step.Shown = []string{fmt.Sprintf("All are answered. %s probes have kept them in the middlebox's table. One of the connections:", step.Count("probes_count", len(probes)))}
	step.Means = []string{"So keepalive does keep the entries of middleboxes alive, as the article says, if it asks more often than they forget: TCP_KEEPIDLE and TCP_KEEPINTVL at half of the limit leave room for a probe that is lost."}
	t.Tell(step)
	return nil
}
