package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// TimeWaitPressure is a client that closes connections faster than TIME-WAIT gives
// their ports back, and what tcp_tw_reuse changes about it.
var TimeWaitPressure = &lab.Scenario{
	Name:      "time-wait-pressure",
	Title:     "short connections use up the local ports, which rest in TIME-WAIT",
	Source:    "article: TIME_WAIT, 470 or 235 connections a second; ip-sysctl.rst, tcp_tw_reuse",
	Claims:    []int{1, 9, 10},
	Needs:     []lab.Need{lab.Installed("lsof")},
	Expects:   []string{"port-exhaustion", "time-wait-pressure"},
	Acts:      []lab.Act{idleServer, portTaker},
	Constants: []string{"28,232 / 60 = 470", "Linux has 28,232 ports", "its 235 a second", "last 120 s, which", "for 60 s", "/ 60 s", "make 60 s", "the 60 s", "bound of 60 s", "since 4.19", "TIME_WAIT"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		p := &pressure{Stage: s, churner: churner{ports: portsOf(s.Ports)}}
		return inOrder(ctx, p.open, p.fill, p.length, p.list, p.diagnosis, p.loopback, p.link)
	},
}

// bills is a third service.
var bills = netip.MustParseAddrPort("127.0.0.1:8082")

// pressure is a play of TimeWaitPressure under way.
type pressure struct {
	*lab.Stage
	churner
	far netip.AddrPort // a service on another host
}

func (p *pressure) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A crawler, and services near and far"}
	far, err := p.NewHost(ctx, "far")
	if err != nil {
		return err
	}
	link, err := p.Link(ctx, p.Host, far, lab.LinkOptions{})
	if err != nil {
		return err
	}
	p.far = netip.AddrPortFrom(link.B.Addr4, stock.Port())
	if err := setRange(&step, p.Host, p.ports); err != nil {
		return err
	}
	if err := keepTimeWaits(&step, p.Host); err != nil {
		return err
	}
	server, err := startServer(ctx, p.Host, stock, prices, bills)
	if err != nil {
		return err
	}
	if _, err := startServer(ctx, far, p.far); err != nil {
		return err
	}
	if err := p.begin(p.Host, 0); err != nil {
		return err
	}
	step.Done = append(step.Done,
		fmt.Sprintf("stock-server (process %s) listens on %s, %s and %s, another one on %s, which is another host. crawler (process %s) will make requests.",
			step.ID("server_pid", server.PID), stock, prices, bills, p.far, step.ID("client_pid", p.client.PID)),
		"net.ipv4.tcp_tw_reuse is set to "+step.ID("reuse", 0)+": off.")
	p.Tell(step)
	return nil
}

func (p *pressure) fill(ctx context.Context) error {
	step := lab.Step{Name: "fill", Title: "A connection for each request, closed by the client"}
	r, err := p.use(ctx, stock)
	if err != nil {
		return err
	}
	ends, err := p.Settled(ctx, stock, "the connections to be closed", func(e lab.Ends) bool {
		return e.Client[tcpvet.TimeWait] == uint64(p.ports) && e.Server == [tcpvet.NumStates]uint64{}
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("crawler connects to %s, makes a request, reads the answer and closes; then the server closes too. It does so again and again.", stock)}
	step.Shown = []string{
		fmt.Sprintf("%s requests were answered in %s: %s. The next one fails:", step.Count("requests_count", r.Count), step.Seconds("requests_seconds", r.Took),
			step.Rate("requests_per_s", float64(r.Count)/r.Took.Seconds())),
		told(&step, r.Failure),
	}
	step.Means = []string{
		fmt.Sprintf("The end that closes first keeps the connection in TIME-WAIT for 60 s, and its port with it. So %s ports bear %s / 60 s = %s to one service, and not what was tried here.",
			step.Count("range_count", p.ports), step.Count("range_count", p.ports), step.Rate("sustainable_per_s", float64(p.ports)/timeWait.Seconds())),
		"Linux has 28,232 ports unless told otherwise, and 28,232 / 60 = 470: that figure of the article is right, for one local address and one service, while nothing is reused. " +
			"For its 235 a second TIME-WAIT would have to last 120 s, which no Linux has: the time is compiled in.",
	}
	p.Tell(step)
	return nil
}

// length reads from the timers how long TIME-WAIT is.
func (p *pressure) length(ctx context.Context) error {
	step := lab.Step{Name: "timer", Title: "How long a port rests"}
	begin := time.Now()
	if _, err := p.all(ctx, churnOrder{To: bills, Count: 1}); err != nil {
		return err
	}
	sockets, err := p.Sockets(ctx, p.Host)
	if err != nil {
		return err
	}
	since := time.Since(begin)
	var longest time.Duration
	for i := range sockets {
		if s := &sockets[i]; s.State == tcpvet.TimeWait {
			longest = max(longest, s.Timer.Expires)
		}
	}
	// The timer is read in ticks, and began after begin.
	const tick = 10 * time.Millisecond
	if longest > timeWait+tick || longest < timeWait-since-tick {
		return fmt.Errorf("the timer of the last TIME-WAIT has %s left, at most %s after it began", longest, since)
	}
	step.Done = []string{fmt.Sprintf("crawler makes one more request, to %s. Then the timers of all TIME-WAITs are read.", bills)}
	step.Shown = []string{fmt.Sprintf("At most %s after the last of them began it has %s left.", step.Seconds("since_seconds", since), step.Seconds("left_seconds", longest))}
	step.Means = []string{"The two make 60 s, or a little more. No setting of Linux changes that."}
	p.Tell(step)
	return nil
}

// list looks for the TIME-WAITs as the article does.
func (p *pressure) list(ctx context.Context) error {
	step := lab.Step{Name: "lsof", Title: "What lsof shows of it"}
	var kept taken
	if err := p.client.Cue(ctx, takerTake, takeOrder{Count: 1, To: bills}, &kept); err != nil {
		return err
	}
	if kept.Failure != nil {
		return fmt.Errorf("connect to %s: %v", bills, kept.Failure)
	}
	lsof, err := p.Host.Program(ctx, lab.Program{Name: "lsof", Args: []string{"-nP", "-iTCP"}})
	if err != nil {
		return err
	}
	seen := make(map[string]int)
	for {
		line, err := lsof.Line(ctx)
		if err != nil {
			break // it has said all
		}
		for _, state := range []string{"LISTEN", "ESTABLISHED", "TIME_WAIT"} {
			seen[state] += strings.Count(line, "("+state+")")
		}
	}
	if status, err := lsof.Wait(ctx); err != nil || status != 0 {
		return fmt.Errorf("run lsof: status %d, %v: %s", status, err, lsof.Errors())
	}
	ends, err := p.Ends(ctx, stock)
	if err != nil {
		return err
	}
	open, waiting := seen["ESTABLISHED"], int(ends.Client[tcpvet.TimeWait])
	if open != 2 || seen["TIME_WAIT"] != 0 || waiting != p.ports {
		return fmt.Errorf("lsof shows %v, and the kernel has %d TIME-WAITs", seen, waiting)
	}
	step.Done = []string{
		fmt.Sprintf("crawler opens one more connection, to %s, and keeps it. Then the article's command is run: lsof -nP -iTCP, of which lines with TIME_WAIT are wanted.", bills),
	}
	step.Shown = []string{fmt.Sprintf("lsof shows %s lines with ESTABLISHED, the two ends of that connection, and %s with TIME_WAIT. The kernel has %s connections to %s in TIME-WAIT at the same time.",
		step.Count("established_count", open), step.Count("lsof_time_wait_count", seen["TIME_WAIT"]), step.Count("time_wait_count", waiting), stock)}
	step.Means = []string{
		"lsof lists descriptors, and TIME-WAIT has none: the kernel keeps it in a small record of its own that belongs to no process. So lsof shows none, however many there are, and proves nothing. ss -tan state time-wait shows them.",
		"For the same reason TIME_WAIT does not use up file handles, as the article says of both states. CLOSE_WAIT does.",
	}
	p.Tell(step)
	return nil
}

func (p *pressure) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := p.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion", "time-wait-pressure"},
		Of: map[string]lab.Particulars{
			"port-exhaustion":    {Kind: "exhausted", Severity: tcpvet.Critical, Service: stock},
			"time-wait-pressure": {Kind: "ports-held", Severity: tcpvet.Warning, Service: stock},
		},
	})
	if err != nil {
		return err
	}
	p.Tell(step)
	return nil
}

// loopback tries tcp_tw_reuse where no network is between.
func (p *pressure) loopback(ctx context.Context) error {
	step := lab.Step{Name: "loopback", Title: "tcp_tw_reuse, over loopback"}
	off, err := p.none(ctx, stock)
	if err != nil {
		return err
	}
	if err := set(p.Host, map[string]int{"tcp_tw_reuse": 2}); err != nil {
		return err
	}
	on, err := p.some(ctx, &step, "loopback", stock)
	if err != nil {
		return err
	}
	if err := set(p.Host, map[string]int{"tcp_timestamps": 0}); err != nil {
		return err
	}
	if _, err := p.use(ctx, prices); err != nil {
		return err
	}
	bare, err := p.none(ctx, prices)
	if err != nil {
		return err
	}
	if err := set(p.Host, map[string]int{"tcp_timestamps": 1}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("All ports to %s rest in TIME-WAIT. crawler goes on, and tries again where no port is left. Then the ports to %s are used up while net.ipv4.tcp_timestamps is %s.",
		stock, prices, step.ID("timestamps", 0))}
	step.Shown = []string{
		fmt.Sprintf("tcp_tw_reuse %s: %s.", step.ID("off", 0), off),
		fmt.Sprintf("tcp_tw_reuse %s, the default since 4.19: %s.", step.ID("on", 2), on),
		fmt.Sprintf("tcp_tw_reuse %s, for connections that had no timestamps: %s.", step.ID("on", 2), bare),
	}
	step.Means = []string{
		fmt.Sprintf("With reuse a connect() may have a port whose TIME-WAIT is older than %s, those that were there before as well: the ports bear %s / %s = %s at most, and the rest is what this machine can do. "+
			"Timestamps are what tells the kernel an old segment from a new one; without them it waits the 60 s.",
			step.Seconds("delay_seconds", p.delay), step.Count("range_count", p.ports), step.Seconds("delay_seconds", p.delay), step.Rate("bound_per_s", float64(p.ports)/p.delay.Seconds())),
	}
	p.Tell(step)
	return nil
}

// link tries it where a network is between.
func (p *pressure) link(ctx context.Context) error {
	step := lab.Step{Name: "link", Title: "tcp_tw_reuse, to another host"}
	if _, err := p.use(ctx, p.far); err != nil {
		return err
	}
	loopbackOnly, err := p.none(ctx, p.far)
	if err != nil {
		return err
	}
	if err := set(p.Host, map[string]int{"tcp_tw_reuse": 1}); err != nil {
		return err
	}
	on, err := p.some(ctx, &step, "link", p.far)
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("The ports to %s are used up in the same way, while reuse is off. Then crawler goes on.", p.far)}
	step.Shown = []string{
		fmt.Sprintf("tcp_tw_reuse %s: %s.", step.ID("loopback", 2), loopbackOnly),
		fmt.Sprintf("tcp_tw_reuse %s: %s.", step.ID("on", 1), on),
	}
	step.Means = []string{
		"The default reuses over loopback alone, so a client on the network has the bound of 60 s. With 1 it is ports / delay there too, where both ends have timestamps. " +
			"That helps a client that cannot do otherwise; one that keeps its connections and uses them again needs none of it.",
	}
	p.Tell(step)
	return nil
}
