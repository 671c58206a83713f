package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// UserTimeout breaks the way of four connections, of which TCP_USER_TIMEOUT ends
// two.
var UserTimeout = &lab.Scenario{
	Name:      "user-timeout",
	Title:     "TCP_USER_TIMEOUT ends a connection whose data is not acknowledged",
	Source:    "tcp(7), TCP_USER_TIMEOUT; RFC 5482; article: what keepalive is for",
	Claims:    []int{28},
	Needs:     []lab.Need{lab.TUN},
	Expects:   []string{"half-open"},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"some 15 minutes"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		u := &timeouts{Stage: s}
		return inOrder(ctx, u.open, u.cut, u.ended, u.others)
	},
}

// The times of the connections. userIdle + userCount x userInterval seconds are
// what keepalive alone would take for the idle one.
const (
	userLimit     = 1500 * time.Millisecond
	userIdleLimit = 2500 * time.Millisecond

	userIdle, userInterval, userCount = 1, 1, 20
	shortCount                        = 1 // of the one that keepalive alone is to end
)

// timeouts is a play of UserTimeout under way.
type timeouts struct {
	*lab.Stage
	tunnel *lab.Tunnel

	plain  *connectedPair // writes
	probed *connectedPair // writes, with keepalive
	timed  *connectedPair // writes, with TCP_USER_TIMEOUT
	idle   *connectedPair // idle, with keepalive and TCP_USER_TIMEOUT
}

func (u *timeouts) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "Four connections"}
	if u.plain, u.tunnel, err = tunnelPair(ctx, u.Stage, &step); err != nil {
		return err
	}
	for _, c := range []struct {
		pair    **connectedPair
		options []option
	}{
		{&u.probed, probing(userIdle, userInterval, shortCount)},
		{&u.timed, userTimeout(userLimit)},
		{&u.idle, append(probing(userIdle, userInterval, userCount), userTimeout(userIdleLimit)...)},
	} {
		if *c.pair, err = u.plain.another(ctx, c.options); err != nil {
			return err
		}
	}
	for _, p := range []*connectedPair{u.plain, u.probed, u.timed, u.idle} {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	step.Done = append(step.Done,
		fmt.Sprintf("It opens three more, so that there are four. The one from port %s is plain.", step.ID("client_port", int(u.plain.from.Port()))),
		fmt.Sprintf("From port %s: keepalive, which ends an idle connection after %s + %s x %s s.", step.ID("probed_port", int(u.probed.from.Port())),
			step.Count("idle_seconds", userIdle), step.Count("short_count", shortCount), step.Count("interval_seconds", userInterval)),
		fmt.Sprintf("From port %s: TCP_USER_TIMEOUT %s, no keepalive.", step.ID("timed_port", int(u.timed.from.Port())), step.Seconds("user_timeout_seconds", userLimit)),
		fmt.Sprintf("From port %s: TCP_USER_TIMEOUT %s, and keepalive that would take %s + %s x %s = %s s.", step.ID("idle_port", int(u.idle.from.Port())), step.Seconds("idle_user_timeout_seconds", userIdleLimit),
			step.Count("idle_seconds", userIdle), step.Count("probes_count", userCount), step.Count("interval_seconds", userInterval), step.Count("keepalive_seconds", userIdle+userCount*userInterval)),
		"A request was answered on each.")
	u.Tell(step)
	return nil
}

// cut breaks the way, and writes to all but the idle one.
func (u *timeouts) cut(ctx context.Context) error {
	step := lab.Step{Name: "cut", Title: "The way breaks, and the client writes"}
	u.tunnel.Cut()
	for _, p := range []*connectedPair{u.plain, u.probed, u.timed} {
		if _, err := p.client.must(ctx, callWrite, writeCall{p.inClient, []byte(request)}); err != nil {
			return err
		}
	}
	step.Done = []string{"Every packet is lost from now on. shop-client writes a request to the first three, and nothing to the last."}
	step.Shown = []string{"Each write() succeeds."}
	u.Tell(step)
	return nil
}

func (u *timeouts) ended(ctx context.Context) error {
	step := lab.Step{Name: "ended", Title: "Two connections end"}
	reads, err := u.plain.client.awaits(ctx, u.timed.inClient, u.idle.inClient)
	if err != nil {
		return err
	}
	for _, r := range reads {
		if err := r.timedOut(); err != nil {
			return err
		}
	}
	sent, err := u.tunnel.Wait(ctx, 1, lost(u.timed.clientSends(lab.Data)))
	if err != nil {
		return err
	}
	heard, ok := u.idle.heard(u.tunnel.Segments())
	if !ok {
		return fmt.Errorf("no segment of the server has crossed")
	}
	timed, idle := reads[0].At.Sub(time.Unix(0, sent[0].Segment.At)), reads[1].At.Sub(heard)
	if timed < userLimit-tick || idle < userIdleLimit-tick {
		return fmt.Errorf("the connections ended after %s and %s, and were not to before %s and %s", timed, idle, userLimit, userIdleLimit)
	}
	probes := u.tunnel.Select(lost(u.idle.clientSends(lab.PureACK)))
	// The timer that ends it is the first one after the limit.
	if most := int(userIdleLimit / (userInterval * time.Second)); len(probes) == 0 || len(probes) > most {
		return fmt.Errorf("%d probes went before the idle connection ended, where TCP_USER_TIMEOUT leaves time for %d", len(probes), most)
	}
	if rst := u.tunnel.Select(u.timed.clientSends(lab.RST)); len(rst) > 0 {
		return fmt.Errorf("the connection with data in flight sent an RST: %v", texts(rst))
	}
	for _, p := range []*connectedPair{u.timed, u.idle} {
		if _, err := p.client.must(ctx, callClose, socketCall{p.inClient}); err != nil {
			return err
		}
	}
	step.Segments = u.tunnel.Select(lost(lab.OnPort(u.timed.from.Port(), lab.AnySegment)))
	step.Shown = []string{
		fmt.Sprintf("The one from port %s ends %s after its data was sent: read() fails with \"%v\" (errno %s, %s).", step.ID("timed_port", int(u.timed.from.Port())),
			step.Seconds("timed_seconds", timed), reads[0].Failure, step.ID("errno", reads[0].Failure.Errno), reads[0].Failure.name()),
		fmt.Sprintf("The idle one ends in the same way, %s after the last segment that came, though only %s of its %s probes were sent.", step.Seconds("idle_seconds_taken", idle),
			step.Count("sent_probes_count", len(probes)), step.Count("probes_count", userCount)),
		"What the first of them had sent, and lost:",
	}
	step.Means = []string{
		"TCP_USER_TIMEOUT says how long data may stay unacknowledged. With keepalive it takes the place of TCP_KEEPCNT too: the connection ends at the first timer after that time.",
		"No RST follows the data: an end by this timer is silent, so that the server's end does not learn of it even over a way that works one way.",
	}
	u.Tell(step)
	return nil
}

func (u *timeouts) others(ctx context.Context) error {
	step := lab.Step{Name: "others", Title: "The other two wait on"}
	least := (userIdle + shortCount*userInterval) * time.Second
	var plain, probed *tcpvet.Socket
	err := lab.Until(ctx, "the time of keepalive to be over", func() (over bool, err error) {
		if plain, err = socketAt(ctx, u.Stage, u.tunnel.A.Host, u.plain.from, u.plain.service); err != nil {
			return false, err
		}
		if probed, err = socketAt(ctx, u.Stage, u.tunnel.A.Host, u.probed.from, u.probed.service); err != nil {
			return false, err
		}
		if plain == nil || probed == nil || plain.State != tcpvet.Established || probed.State != tcpvet.Established {
			return false, fmt.Errorf("the two ends are %+v and %+v, not in ESTAB", plain, probed)
		}
		return probed.Info.LastAckRecv > least, nil
	})
	if err != nil {
		return err
	}
	if probed.Timer.Kind != tcpvet.TimerOn {
		return fmt.Errorf("the end with keepalive is %+v, not with the timer of retransmission", probed)
	}
	err = u.Judge(ctx, &step, lab.Expect{
		Rules: []string{"half-open"},
		Of:    map[string]lab.Particulars{"half-open": {Kind: "unacknowledged", Severity: tcpvet.Info, Service: u.plain.service}},
	})
	if err != nil {
		return err
	}
	step.Shown = []string{
		fmt.Sprintf("Both are in ESTAB. The one with keepalive heard its peer for the last time %s ago, and has sent its data again %s times; ss -o shows timer:(on,...).",
			step.Seconds("silent_seconds", probed.Info.LastAckRecv), step.Count("retransmits_count", int(probed.Timer.Retransmits))),
	}
	step.Means = []string{
		fmt.Sprintf("Keepalive was to find a dead peer within %s s, and has not: it asks only while nothing is in flight. Data in flight is sent again until net.ipv4.tcp_retries2 ends it, after some 15 minutes by default. "+
			"So the article's insurance covers the end that waits. One that writes needs TCP_USER_TIMEOUT.", step.Count("keepalive_seconds", int(least/time.Second))),
	}
	u.Tell(step)
	return nil
}
