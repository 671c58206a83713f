package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveTooLate puts a middlebox on the way that forgets idle connections, and
// keepalive that asks after that.
var KeepaliveTooLate = &lab.Scenario{
	Name:    "keepalive-too-late",
	Title:   "a middlebox forgets idle connections before keepalive asks",
	Source:  "article: middleboxes drop idle connections; RFC 5382, section 5; tcp(7), TCP_KEEPIDLE",
	Claims:  []int{28},
	Needs:   []lab.Need{lab.TUN},
	Expects: []string{"half-open", "keepalive-too-late"},
	Acts:    []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		t := &tooLate{Stage: s}
		return inOrder(ctx, t.open, t.idle, t.write, t.reset, t.guarded)
	},
}

// pathIdle is after how long the middlebox forgets a connection. A probe a second
// renews it, however busy the machine that carries the packets is.
const (
	pathIdle      = 3 * time.Second
	earlyIdle     = 1  // seconds to the first probe, and between probes
	lateInterval  = 75 // seconds between probes, the kernel's default
	earlyAttempts = 9
)

// tooLate is a play of KeepaliveTooLate under way.
type tooLate struct {
	*lab.Stage
	tunnel *lab.Tunnel
	first  *connectedPair

	late  pool // SO_KEEPALIVE alone
	early pool // with times below the limit
	half  pool // with TCP_KEEPIDLE below the limit, and TCP_KEEPINTVL above it
}

func (t *tooLate) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "Three pools, and a middlebox"}
	if t.first, t.tunnel, err = tunnelPair(ctx, t.Stage, &step); err != nil {
		return err
	}
	kernels, err := setting(t.Host, "tcp_keepalive_time")
	if err != nil {
		return err
	}
	if err := t.first.set(ctx, keepalive); err != nil {
		return err
	}
	if t.late, err = t.first.others(ctx, pooled-1, keepalive); err != nil {
		return err
	}
	t.late = append(t.late, t.first)
	if t.early, err = t.first.others(ctx, pooled, probing(earlyIdle, earlyIdle, earlyAttempts)); err != nil {
		return err
	}
	if t.half, err = t.first.others(ctx, 1, probing(earlyIdle, lateInterval, earlyAttempts)); err != nil {
		return err
	}
	for _, p := range t.all() {
		// The server guards its ends as late as the client.
		if _, err := p.server.must(ctx, callSet, setCall{p.inServer, keepalive}); err != nil {
			return err
		}
	}
	t.tunnel.Forget(pathIdle, lab.Silently)
	for _, p := range t.all() {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	step.Done = append(step.Done,
		fmt.Sprintf("The stage is a middlebox, such as a NAT gateway: it forgets a connection on which nothing came for %s, and drops what comes later.", step.Seconds("path_idle_seconds", pathIdle)),
		fmt.Sprintf("shop-client opens %s connections with SO_KEEPALIVE alone: the first probe is due after %s s, the host's net.ipv4.tcp_keepalive_time.",
			step.Count("late_count", len(t.late)), step.Count("late_seconds", kernels)),
		fmt.Sprintf("It opens %s with TCP_KEEPIDLE and TCP_KEEPINTVL of %s s too, and %s with TCP_KEEPIDLE %s s and TCP_KEEPINTVL %s s. A request is answered on each.",
			step.Count("early_count", len(t.early)), step.Count("early_seconds", earlyIdle), step.Count("half_count", len(t.half)),
			step.Count("early_seconds", earlyIdle), step.Count("interval_seconds", lateInterval)))
	t.Tell(step)
	return nil
}

func (t *tooLate) all() pool { return append(append(append(pool{}, t.late...), t.early...), t.half...) }

// forgotten waits until nothing has crossed on these for longer than the middlebox
// remembers.
func (t *tooLate) forgotten(ctx context.Context, all pool) error {
	return lab.Until(ctx, "the middlebox to forget", func() (bool, error) {
		last := lastOf(t.tunnel.Segments(), arrived(func(c *lab.Crossing) bool {
			return all.clientSends(lab.AnySegment)(c) || all.serverSends(lab.AnySegment)(c)
		}))
		return last != nil && time.Since(time.Unix(0, last.Segment.At)) > pathIdle+tick, nil
	})
}

// lost are those that the middlebox forgets.
func (t *tooLate) lost() pool { return append(append(pool{}, t.late...), t.half...) }

// limits are what diagnose would be told by --path-idle ADDRESS=3s.
func (t *tooLate) limits() []tcpvet.PathLimit {
	server := t.tunnel.B.Addr4
	return []tcpvet.PathLimit{{Remote: netip.PrefixFrom(server, server.BitLen()), Idle: pathIdle}}
}

// idle looks while nothing has failed yet.
func (t *tooLate) idle(ctx context.Context) error {
	step := lab.Step{Name: "idle", Title: "Idle for longer than the limit"}
	begin := time.Now()
	// The one whose probes lie far apart is forgotten last: its first probe is
	// answered.
	if _, err := t.tunnel.Wait(ctx, 1, arrived(t.half.clientSends(keepaliveProbe))); err != nil {
		return err
	}
	if err := t.forgotten(ctx, t.lost()); err != nil {
		return err
	}
	probes := len(t.tunnel.Select(t.late.clientSends(lab.Both(lab.PureACK, func(c *lab.Crossing) bool { return c.Segment.At > begin.UnixNano() }))))
	if probes > 0 {
		return fmt.Errorf("%d probes were sent on connections whose first is not due", probes)
	}
	ends, err := t.Settled(ctx, t.first.service, "all ends to be open", func(e lab.Ends) bool {
		n := uint64(len(t.all()))
		return e.Client[tcpvet.Established] == n && e.Server[tcpvet.Established] == n
	})
	if err != nil {
		return err
	}
	err = t.Judge(ctx, &step, lab.Expect{
		Rules:  []string{"keepalive-too-late"},
		Of:     map[string]lab.Particulars{"keepalive-too-late": {Severity: tcpvet.Warning}},
		Limits: t.limits(),
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Shown = []string{
		fmt.Sprintf("After %s all ends are in ESTAB. On the connections with SO_KEEPALIVE alone, %s probes have been sent. tcpvet is told the limit: diagnose --path-idle %s=%ss.",
			step.Seconds("idle_seconds", time.Since(begin)), step.Count("late_probes_count", probes), t.tunnel.B.Addr4, step.Count("path_idle_whole_seconds", int(pathIdle/time.Second))),
	}
	step.Means = []string{"No socket shows what a middlebox has forgotten. The limit cannot be seen from here; what keepalive does about it can."}
	t.Tell(step)
	return nil
}

func (t *tooLate) write(ctx context.Context) error {
	step := lab.Step{Name: "write", Title: "The pool is used again"}
	for _, p := range t.lost() {
		if _, err := p.client.must(ctx, callWrite, writeCall{p.inClient, []byte(request)}); err != nil {
			return err
		}
	}
	// Each sends it again twice at the least.
	for _, p := range t.lost() {
		if _, err := t.tunnel.Wait(ctx, 3, lost(p.clientSends(lab.Data))); err != nil {
			return err
		}
	}
	if passed := after(t.lastRequest(), t.tunnel.Select(arrived(t.late.clientSends(lab.Data)))); len(passed) > 0 {
		return fmt.Errorf("the middlebox has let data pass: %v", texts(passed))
	}
	err := t.Judge(ctx, &step, lab.Expect{
		Rules:  []string{"half-open"},
		Of:     map[string]lab.Particulars{"half-open": {Kind: "unacknowledged", Severity: tcpvet.Warning, Service: t.first.service}},
		Limits: t.limits(),
	})
	if err != nil {
		return err
	}
	ends, err := t.Ends(ctx, t.first.service)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = t.tunnel.Select(lab.OnPort(t.first.from.Port(), lab.AnySegment))
	step.Done = []string{fmt.Sprintf("shop-client writes a request to each of the %s, and to the one whose probes lie %s s apart.", step.Count("late_count", len(t.late)), step.Count("interval_seconds", lateInterval))}
	step.Shown = []string{
		"Every write() succeeds, and nothing arrives. One of the connections from its beginning, and the sockets of both ends:",
	}
	step.Means = []string{
		"This is what the article draws: the entry is gone, and what comes later is dropped. The server knows nothing. The client's data is sent again and again, and the program waits.",
		fmt.Sprintf("The one with TCP_KEEPIDLE %s s is lost too, though it asked in time once: after a probe that is answered, the next one comes after TCP_KEEPINTVL if that is longer. Both have to lie below the limit.",
			step.Count("early_seconds", earlyIdle)),
	}
	t.Tell(step)
	return nil
}

// lastRequest is when the last request arrived.
func (t *tooLate) lastRequest() time.Time {
	last := lastOf(t.tunnel.Select(t.half.serverSends(lab.Data)), arrived(lab.AnySegment))
	return time.Unix(0, last.Segment.At)
}
