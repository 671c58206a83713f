package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// NoKeepalive has a pool of idle connections without SO_KEEPALIVE, and takes the
// peer away.
var NoKeepalive = &lab.Scenario{
	Name:    "no-keepalive",
	Title:   "idle connections without keepalive outlive their peer",
	Source:  "article: keepalive in requests is off; RFC 1122, section 4.2.3.6; socket(7), SO_KEEPALIVE",
	Claims:  []int{28},
	Expects: []string{"no-keepalive"},
	Acts:    []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		n := &noKeepalive{Stage: s}
		return inOrder(ctx, n.open, n.idle, n.gone, n.cure)
	},
}

// pooled is the size of pools: at 10 the rules take connections for a habit of the
// program.
const pooled = 12

// noKeepalive is a play of NoKeepalive under way.
type noKeepalive struct {
	*lab.Stage
	*linkedPair
	pool pool
}

func (n *noKeepalive) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A pool of connections"}
	if n.linkedPair, err = linkPair(ctx, n.Stage, &step); err != nil {
		return err
	}
	if n.pool, err = n.others(ctx, pooled-1, nil); err != nil {
		return err
	}
	n.pool = append(n.pool, n.connectedPair)
	for _, p := range n.pool {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	step.Done = append(step.Done, fmt.Sprintf("It opens more, until it has %s, and makes a request on each, which is answered. It keeps them for later, as a pool does. Neither program sets SO_KEEPALIVE.",
		step.Count("pool_count", len(n.pool))))
	n.Tell(step)
	return nil
}

func (n *noKeepalive) idle(ctx context.Context) error {
	step := lab.Step{Name: "idle", Title: "Idle, and unguarded"}
	begin := time.Now()
	if err := n.allIdle(ctx); err != nil {
		return err
	}
	err := n.Judge(ctx, &step, lab.Expect{
		Rules: []string{"no-keepalive"},
		Of:    map[string]lab.Particulars{"no-keepalive": {Severity: tcpvet.Info}},
	})
	if err != nil {
		return err
	}
	// Each process has its own ends of the pool.
	for _, v := range step.Judged[0].Views {
		if found := len(v.Verdict.Findings); found > 0 && found != 2 {
			return fmt.Errorf("by %s there are %d findings, and were to be one for each process", v.Source, found)
		}
	}
	timers, err := n.timers(ctx)
	if err != nil {
		return err
	}
	step.Done = []string{"Nobody sends anything."}
	step.Shown = []string{fmt.Sprintf("After %s, %s of the client's %s ends have a timer.", step.Seconds("idle_seconds", time.Since(begin)),
		step.Count("timers_count", timers[tcpvet.TimerKeepalive]), step.Count("pool_count", len(n.pool)))}
	step.Means = []string{"So neither kernel will ever ask whether the other end is there. The client's and the server's process are each named: keepalive guards the end that sets it."}
	n.Tell(step)
	return nil
}

// allIdle waits until the rule counts every end: those that are idle for four times
// patience, by classes of ages.
func (n *noKeepalive) allIdle(ctx context.Context) error {
	edge := new(tcpvet.Histogram).Edge(4 * n.Patience)
	if err := lab.Wait(ctx, edge); err != nil {
		return err
	}
	return lab.Until(ctx, "all ends to be idle for long", func() (bool, error) {
		idle := 0
		for _, h := range []*lab.Host{n.Host, n.link.B.Host} {
			sockets, err := n.Sockets(ctx, h)
			if err != nil {
				return false, err
			}
			for i := range sockets {
				if age, ok := sockets[i].Age(); ok && sockets[i].State == tcpvet.Established && age.Low >= edge {
					idle++
				}
			}
		}
		return idle == 2*len(n.pool), nil
	})
}

// timers counts the client's ends by timer, those without one left out.
func (n *noKeepalive) timers(ctx context.Context) (map[tcpvet.TimerKind]int, error) {
	sockets, err := n.Sockets(ctx, n.Host)
	if err != nil {
		return nil, err
	}
	count := make(map[tcpvet.TimerKind]int)
	for _, s := range sockets {
		if tcpvet.Unmap(s.Remote) == n.service && s.State == tcpvet.Established {
			count[s.Timer.Kind]++
		}
	}
	if total := count[tcpvet.TimerNone] + count[tcpvet.TimerKeepalive]; total != len(n.pool) {
		return nil, fmt.Errorf("%d of the client's ends are in ESTAB and idle, not %d", total, len(n.pool))
	}
	return count, nil
}

// gone takes the server's address away, so that its host answers nothing.
func (n *noKeepalive) gone(ctx context.Context) error {
	step := lab.Step{Name: "gone", Title: "The server's host is gone"}
	b := n.link.B
	if err := b.Host.DelAddress(ctx, b.Interface, netip.PrefixFrom(b.Addr4, 24)); err != nil {
		return err
	}
	begin := time.Now()
	if err := lab.Wait(ctx, n.Patience); err != nil {
		return err
	}
	timers, err := n.timers(ctx)
	if err != nil {
		return err
	}
	if timers[tcpvet.TimerNone] != len(n.pool) {
		return fmt.Errorf("%d of the client's ends have no timer, not %d", timers[tcpvet.TimerNone], len(n.pool))
	}
	sent := after(begin, n.tap.Segments())
	if len(sent) > 0 {
		return fmt.Errorf("something was sent: %v", texts(sent))
	}
	step.Done = []string{fmt.Sprintf("The server's host loses the address %s: to the client it is gone, as after a power failure or a failover.", b.Addr4)}
	step.Shown = []string{fmt.Sprintf("%s later all of the client's %s ends are in ESTAB, and nothing has been sent.", step.Seconds("watched_seconds", time.Since(begin)), step.Count("pool_count", len(n.pool)))}
	step.Means = []string{
		"Any of them that the pool gives out will fail, and only after a while: scenario half-open. A server in this place keeps a descriptor for each client that has vanished, for as long as it runs.",
	}
	n.Tell(step)
	return nil
}

func (n *noKeepalive) cure(ctx context.Context) error {
	step := lab.Step{Name: "keepalive", Title: "With keepalive"}
	const idle, every, count = 1, 1, 2
	begin := time.Now()
	for _, p := range n.pool {
		if err := p.set(ctx, probing(idle, every, count)); err != nil {
			return err
		}
	}
	reads, err := n.client.awaits(ctx, n.pool.inClient()...)
	if err != nil {
		return err
	}
	var first, last time.Time
	for _, r := range reads {
		// The kernel of the client may know that nobody answers for the
		// address before keepalive is through.
		if r.Failure == nil || r.Failure.errno() != unix.ETIMEDOUT && r.Failure.errno() != unix.EHOSTUNREACH {
			return fmt.Errorf("read() gave %d bytes and %v, and was to fail", r.Bytes, r.Failure)
		}
		if first.IsZero() || r.At.Before(first) {
			first = r.At
		}
		if r.At.After(last) {
			last = r.At
		}
		if _, err := n.client.must(ctx, callClose, socketCall{r.FD}); err != nil {
			return err
		}
	}
	ends, err := n.Settled(ctx, n.service, "the client's ends to be gone", func(e lab.Ends) bool {
		return e.Client == [tcpvet.NumStates]uint64{} && e.Server[tcpvet.Established] == uint64(len(n.pool))
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client sets SO_KEEPALIVE on each, with TCP_KEEPIDLE %s s, TCP_KEEPINTVL %s s and TCP_KEEPCNT %s, and calls read().",
		step.Count("keepidle_seconds", idle), step.Count("keepintvl_seconds", every), step.Count("keepcnt_count", count))}
	step.Shown = []string{
		fmt.Sprintf("Every read() fails, the first after %s and the last after %s: \"%v\" (errno %s, %s). The sockets of both ends, once the client has closed its own:",
			step.Seconds("first_seconds", first.Sub(begin)), step.Seconds("last_seconds", last.Sub(begin)),
			reads[0].Failure, step.ID("errno", reads[0].Failure.Errno), reads[0].Failure.name()),
	}
	step.Means = []string{"The idle time had passed long ago, so the first probes went at once. Keepalive finds the dead peer, as the article says, for the end that sets it: the server set nothing, and still holds all of its ends."}
	n.Tell(step)
	return nil
}
