package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// ProbeIdle measures after how long a middlebox forgets, and takes the keepalive that
// follows from it.
var ProbeIdle = &lab.Scenario{
	Name:    "probe-idle",
	Title:   "the idle limit of a way is measured, and keepalive inside of it keeps a connection",
	Source:  "article: keepalive keeps the entries of middleboxes alive; RFC 5382, section 5; RFC 1122, section 4.2.3.6",
	Claims:  []int{28},
	Needs:   []lab.Need{lab.TUN},
	Expects: []string{"half-open", "keepalive-too-late"},
	Acts:    []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		m := &measuredWay{Stage: s}
		return inOrder(ctx, m.open, m.measure, m.guard, m.idle, m.use)
	},
}

// measuredWay is a play of ProbeIdle under way.
type measuredWay struct {
	*lab.Stage
	tunnel *lab.Tunnel
	first  *connectedPair

	safe, lost time.Duration // what was measured
	at         time.Time
	keepalive  string // the flags that follow from it

	guarded *connectedPair // has that keepalive
	late    *connectedPair // has SO_KEEPALIVE alone
}

// longestProbed is above pathIdle, and below what a person waits for.
const longestProbed = 5 * time.Second

func (m *measuredWay) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A middlebox of which nobody knows"}
	if m.first, m.tunnel, err = tunnelPair(ctx, m.Stage, &step); err != nil {
		return err
	}
	if err := m.first.talk(ctx); err != nil {
		return err
	}
	m.tunnel.Forget(pathIdle, lab.Silently)
	step.Done = append(step.Done, fmt.Sprintf("A request is answered. From now on the stage is a middlebox: it forgets a connection on which nothing came for %s, and drops what comes later. No host is told.", step.Seconds("path_idle_seconds", pathIdle)))
	m.Tell(step)
	return nil
}

var (
	betweenSaid = regexp.MustCompile(`between ([\d.]+) s and ([\d.]+) s`)
	commandSaid = regexp.MustCompile(`tcpvet fix keepalive (--idle \S+ --interval \S+ --count \S+) dst`)
)

// measure has the limit measured, as a user would.
func (m *measuredWay) measure(ctx context.Context) error {
	step := lab.Step{Name: "measure", Title: "Measure the limit"}
	before := time.Now()
	said, err := m.Host.Tcpvet(ctx, lab.Setup{}, fmt.Sprintf("tcpvet probe idle %s --most %s --timeout 2s", m.first.service, longestProbed))
	if err != nil {
		return err
	}
	m.at = time.Now()
	step.Said = []*lab.Said{said.Until("cannot tell")}
	if err := m.understand(said); err != nil {
		return fmt.Errorf("%w (exit status %d): %q", err, said.Status, said.Lines)
	}
	opened := m.tunnel.Select(lab.From(m.Host, lab.Both(lab.SYN, func(c *lab.Crossing) bool { return c.Segment.At > before.UnixNano() })))
	if len(m.tunnel.Select(lab.From(m.Host, lab.Data))) != 1 {
		return errors.New("the measurement has sent data")
	}
	if m.safe > pathIdle+tick || m.lost < pathIdle-tick {
		step.Fails("the limit is %s, and was measured to lie between %s and %s", pathIdle, m.safe, m.lost)
	}
	step.Done = []string{"tcpvet measures the way to the server:"}
	step.Shown = []string{
		fmt.Sprintf("It took %s and %s connections, on which no data was sent. The limit of the middlebox, %s, lies between %s and %s.",
			step.Seconds("probe_seconds", m.at.Sub(before)), step.Count("probe_count", len(opened)), step.Seconds("path_idle_seconds", pathIdle),
			step.Seconds("safe_seconds", m.safe), step.Seconds("lost_seconds", m.lost)),
	}
	step.Means = []string{"A keepalive probe is a segment without data, which the kernel of the other end answers. So any TCP service can be asked whether it still knows a connection. Once one was not answered, others that had been idle for a little less were asked at the same time: that is how the limit is enclosed so closely."}
	m.Tell(step)
	return m.clear(ctx, len(opened))
}

// understand reads what was printed.
func (m *measuredWay) understand(said *lab.Said) error {
	text := strings.Join(strings.Fields(strings.Join(said.Lines, " ")), " ")
	between, command := betweenSaid.FindStringSubmatch(text), commandSaid.FindStringSubmatch(text)
	if between == nil || command == nil {
		return errors.New("probe idle has found no limit, or advises no keepalive")
	}
	for i, d := range []*time.Duration{&m.safe, &m.lost} {
		var err error
		if *d, err = time.ParseDuration(between[i+1] + "s"); err != nil {
			return err
		}
	}
	m.keepalive = command[1]
	return nil
}

// clear has the server take and close what the measurement has left in its queue, and
// both close their first connection.
func (m *measuredWay) clear(ctx context.Context, opened int) error {
	for range opened {
		s, err := m.first.server.must(ctx, callAccept, socketCall{m.first.listener})
		if err == nil {
			_, err = m.first.server.must(ctx, callClose, socketCall{s.FD})
		}
		if err != nil {
			return err
		}
	}
	if _, err := m.first.client.must(ctx, callClose, socketCall{m.first.inClient}); err != nil {
		return err
	}
	_, err := m.first.server.must(ctx, callClose, socketCall{m.first.inServer})
	return err
}

// inUse has requests made on the connection, one each time, until do has ended: what
// forgets an idle connection is not to forget this one, however slow do is.
func (p *connectedPair) inUse(ctx context.Context, each time.Duration, do func() error) error {
	over := make(chan error, 1)
	go func() { over <- do() }()
	for {
		if err := p.talk(ctx); err != nil {
			return errors.Join(err, <-over)
		}
		select {
		case err := <-over:
			return err
		case <-time.After(each):
		}
	}
}

// guard gives one connection the keepalive that was advised, and another one that of
// the kernel.
func (m *measuredWay) guard(ctx context.Context) (err error) {
	step := lab.Step{Name: "guard", Title: "Take what was advised"}
	if m.guarded, err = m.first.another(ctx, nil); err != nil {
		return err
	}
	command := fmt.Sprintf("tcpvet fix keepalive --pid %d %s dst %s --apply", m.first.client.PID, m.keepalive, m.first.service)
	var said *lab.Said
	err = m.guarded.inUse(ctx, pathIdle/3, func() (err error) {
		said, err = m.Host.Tcpvet(ctx, lab.Setup{Memory: []string{journalFolder}}, command)
		return err
	})
	if err != nil {
		return err
	}
	if said.Status != 0 {
		return fmt.Errorf("%s ended with status %d: %q", command, said.Status, said.Lines)
	}
	step.Said = []*lab.Said{said.Until("  - ")}
	if m.late, err = m.first.another(ctx, keepalive); err != nil {
		return err
	}
	for _, p := range []*connectedPair{m.guarded, m.late} {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	step.Done = []string{
		fmt.Sprintf("shop-client opens a connection, from port %s. It gets the keepalive that follows from the measurement:", step.ID("guarded_port", int(m.guarded.from.Port()))),
	}
	step.Shown = []string{fmt.Sprintf("Then it opens another one, from port %s, with SO_KEEPALIVE alone. A request is answered on both.", step.ID("late_port", int(m.late.from.Port())))}
	m.Tell(step)
	return nil
}

// limits are what diagnose is given by --probe.
func (m *measuredWay) limits() []tcpvet.PathLimit {
	to := m.first.service
	return []tcpvet.PathLimit{{Remote: netip.PrefixFrom(to.Addr(), to.Addr().BitLen()), Port: to.Port(), Safe: m.safe, Idle: m.lost, Measured: m.at}}
}

func (m *measuredWay) idle(ctx context.Context) error {
	step := lab.Step{Name: "idle", Title: "Idle for longer than the limit"}
	begin := time.Now()
	if err := lab.Wait(ctx, 2*pathIdle); err != nil {
		return err
	}
	probes := m.tunnel.Select(arrived(m.guarded.clientSends(keepaliveProbe)))
	if len(probes) == 0 {
		step.Fails("no probe was sent on the connection that has keepalive of 1 s")
	}
	err := m.Judge(ctx, &step, lab.Expect{
		Rules:  []string{"keepalive-too-late"},
		Of:     map[string]lab.Particulars{"keepalive-too-late": {Severity: tcpvet.Info, Service: m.first.service}},
		Limits: m.limits(),
	})
	if err != nil {
		return err
	}
	step.Shown = []string{fmt.Sprintf("After %s both are in ESTAB, at both ends. On the first %s probes have crossed, on the second none is due for two hours. tcpvet diagnose --probe is given what was measured:",
		step.Seconds("idle_seconds", time.Since(begin)), step.Count("probes_count", len(probes)))}
	m.Tell(step)
	return nil
}

func (m *measuredWay) use(ctx context.Context) error {
	step := lab.Step{Name: "use", Title: "Both are used again"}
	if err := m.guarded.talk(ctx); err != nil {
		return fmt.Errorf("use the connection with keepalive again: %w", err)
	}
	wrote := time.Now()
	if _, err := m.late.client.must(ctx, callWrite, writeCall{m.late.inClient, []byte(request)}); err != nil {
		return err
	}
	if _, err := m.tunnel.Wait(ctx, 3, lost(m.late.clientSends(lab.Data))); err != nil {
		return err
	}
	if passed := after(wrote, m.tunnel.Select(arrived(m.late.clientSends(lab.Data)))); len(passed) > 0 {
		return fmt.Errorf("the middlebox has let data pass: %v", texts(passed))
	}
	err := m.Judge(ctx, &step, lab.Expect{
		Rules:  []string{"half-open"},
		Of:     map[string]lab.Particulars{"half-open": {Kind: "unacknowledged", Service: m.first.service}},
		Limits: m.limits(),
	})
	if err != nil {
		return err
	}
	step.Segments = m.tunnel.Select(lab.OnPort(m.guarded.from.Port(), lab.AnySegment))
	step.Done = []string{"The client makes a request on both."}
	step.Shown = []string{"It is answered on the first, whose segments these are. On the second it is lost, and sent again and again:"}
	step.Means = []string{
		"Keepalive keeps a middlebox's entry alive, if it asks more often than that forgets. How often that is cannot be looked up: it hangs on the way. It can be measured.",
		"Half of what was survived leaves room for a probe that is lost.",
	}
	m.Tell(step)
	return nil
}
