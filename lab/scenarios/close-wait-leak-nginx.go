package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// CloseWaitLeakNginx looks at both ends of what nginx's keepalive_timeout closes, and
// tells HTTP keep-alive from TCP keepalive.
var CloseWaitLeakNginx = &lab.Scenario{
	Name:    "close-wait-leak-nginx",
	Title:   "nginx closes what is idle, and a client keeps its ends",
	Source:  "article: HTTP keep-alive and TCP keepalive; nginx, keepalive_timeout and so_keepalive",
	Claims:  []int{18, 26, 30},
	Needs:   []lab.Need{lab.Installed("nginx")},
	Acts:    []lab.Act{socketCalls},
	Expects: []string{"close-wait-leak", "fin-wait-2-pileup"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &nginxLeak{Stage: s}
		return inOrder(ctx, l.open, l.idle, l.clientCloses, l.probes, l.leak, l.diagnosis, l.close, func(ctx context.Context) error {
			return quiet(ctx, s, "nginx's TIME-WAITs, which end by themselves: no finding.")
		})
	},
}

const (
	nginxForgotten = 20
	nginxIdle      = time.Second // keepalive_timeout

	// nginx has its timers in whole milliseconds.
	nginxTick = 10 * time.Millisecond
)

// nginxLeak is a play of CloseWaitLeakNginx under way.
type nginxLeak struct {
	*lab.Stage
	server *lab.Host
	tap    *lab.Tap
	client caller

	// The sites: one closes what is idle, the others nearly never; probed
	// has so_keepalive.
	hasty, patient, probed netip.AddrPort

	one returned // the connection that is looked at
	fds []int    // those that are forgotten
}

func (l *nginxLeak) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A client, and nginx with three sites"}
	if l.server, err = l.NewHost(ctx, "server"); err != nil {
		return err
	}
	link, err := l.Link(ctx, l.Host, l.server, lab.LinkOptions{})
	if err != nil {
		return err
	}
	if err := set(l.server, map[string]int{"tcp_keepalive_time": 1, "tcp_keepalive_intvl": 1}); err != nil {
		return err
	}
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(link.B.Addr4, port) }
	l.hasty, l.patient, l.probed = at(8080), at(8081), at(8082)
	nginx, err := startSites(ctx, l.server, nginxConnections,
		site{On: l.hasty, Idle: "1s"}, site{On: l.patient, Idle: "1h"}, site{On: l.probed, Idle: "1h", Listen: "so_keepalive=on"})
	if err != nil {
		return err
	}
	if l.tap, err = l.Host.Tap(ctx, link.A.Interface); err != nil {
		return err
	}
	if l.client, err = startCaller(l.Host, "shop-client", l.hasty); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("The client's host has the address %s, the server's %s. What crosses the link between them is recorded at the client's end.", link.A.Addr4, link.B.Addr4),
		fmt.Sprintf("nginx (process %s) has keepalive_timeout %s s on %s, and an hour on %s and %s. The listen line of the last one has so_keepalive=on, the others nothing of the kind.",
			step.ID("server_pid", nginx.PID), step.Count("keepalive_timeout_seconds", int(nginxIdle.Seconds())), l.hasty, l.patient, l.probed),
		fmt.Sprintf("On the server's host net.ipv4.tcp_keepalive_time and net.ipv4.tcp_keepalive_intvl are %s s.", step.Count("keepalive_time_seconds", 1)),
		fmt.Sprintf("shop-client (process %s) makes its requests by plain system calls, and turns nothing on.", step.ID("client_pid", l.client.PID)),
	}
	l.Tell(step)
	return nil
}

// ask opens a connection, makes a request and reads the answer.
func (l *nginxLeak) ask(ctx context.Context, to netip.AddrPort) (returned, error) {
	c, err := l.client.must(ctx, callConnect, connectCall{To: to})
	if err != nil {
		return c, err
	}
	if _, err := l.client.must(ctx, callWrite, writeCall{c.FD, []byte(request)}); err != nil {
		return c, err
	}
	// nginx writes head and body at once.
	all, err := l.client.awaits(ctx, c.FD)
	if err == nil && all[0].Bytes == 0 {
		err = fmt.Errorf("read the answer of %s: %+v", to, all[0])
	}
	return c, err
}

func (l *nginxLeak) idle(ctx context.Context) (err error) {
	step := lab.Step{Name: "idle", Title: "A request, and then nothing"}
	if l.one, err = l.ask(ctx, l.hasty); err != nil {
		return err
	}
	all, err := l.client.awaits(ctx, l.one.FD)
	if err != nil {
		return err
	}
	if !all[0].End {
		return fmt.Errorf("read() was to give the end: %+v", all[0])
	}
	ends, err := l.Settled(ctx, l.hasty, "the ACK of nginx's FIN", states(tcpvet.CloseWait, tcpvet.FinWait2))
	if err != nil {
		return err
	}
	on := lab.OnPort(l.one.Local.Port(), lab.AnySegment)
	byServer := func(m lab.Match) lab.Match {
		return func(c *lab.Crossing) bool { return c.Segment.Src == l.hasty && on(c) && m(c) }
	}
	fins, err := l.tap.Wait(ctx, 1, byServer(lab.FIN))
	if err != nil {
		return err
	}
	acked := lab.Both(on, func(c *lab.Crossing) bool {
		return c.Segment.Src == l.one.Local && c.Segment.Ack == fins[0].Segment.Seq+1
	})
	if _, err := l.tap.Wait(ctx, 1, acked); err != nil {
		return err
	}
	answers := l.tap.Select(byServer(lab.Data))
	if len(answers) == 0 {
		return fmt.Errorf("find the answer among %v", texts(l.tap.Select(on)))
	}
	waited := at(&fins[0]).Sub(at(&answers[len(answers)-1]))
	if waited < nginxIdle-nginxTick {
		return fmt.Errorf("nginx closed %s after its answer, and has a keepalive_timeout of %s", waited, nginxIdle)
	}
	if probes := l.tap.Select(keepaliveProbe); len(probes) > 0 {
		return fmt.Errorf("keepalive probes crossed: %v", texts(probes))
	}
	if err := l.holders(ctx); err != nil {
		return err
	}
	step.Ends, step.Segments = &ends, l.tap.Select(on)
	step.Done = []string{fmt.Sprintf("shop-client makes one request to %s, reads the answer, and waits for more by read().", l.hasty)}
	step.Shown = []string{fmt.Sprintf("nginx sends a FIN %s after its answer, and read() gives the end. Not one probe crossed in that time. The sockets of both ends, and the segments:", step.Seconds("closed_after_seconds", waited))}
	step.Means = []string{
		"HTTP keep-alive is this: nginx waits for a next request, for keepalive_timeout, and then it closes. It is the server that closes, so it is the client's program that has to close next.",
		"The client's end, in CLOSE-WAIT, is held by shop-client, and stays for as long as that likes. The server's, in FIN-WAIT-2, is held by nobody: nginx is done with it, and its kernel gives it up after net.ipv4.tcp_fin_timeout.",
	}
	l.Tell(step)
	return nil
}

// holders makes sure who holds which end.
func (l *nginxLeak) holders(ctx context.Context) error {
	mine, err := socketAt(ctx, l.Stage, l.Host, l.one.Local, l.hasty)
	if err != nil {
		return err
	}
	other, err := socketAt(ctx, l.Stage, l.server, l.hasty, l.one.Local)
	if err != nil {
		return err
	}
	if mine == nil || int(mine.Holder.PID) != l.client.PID || other == nil || other.Holder != tcpvet.Nobody {
		return fmt.Errorf("shop-client was to hold the client's end, and nobody the server's: they are %+v and %+v", mine, other)
	}
	return nil
}

func (l *nginxLeak) clientCloses(ctx context.Context) error {
	step := lab.Step{Name: "client-closes", Title: "The client closes too"}
	if _, err := l.client.must(ctx, callClose, socketCall{l.one.FD}); err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.hasty, "the client's FIN", states(0, tcpvet.TimeWait))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop-client calls close()."}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"The client's end is gone at once. The TIME-WAIT is on the server's side, for nginx closed first; so it is nginx's host that has many of them, if connections are closed often."}
	l.Tell(step)
	return nil
}

func (l *nginxLeak) leak(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "A client that does not look again"}
	for range nginxForgotten {
		c, err := l.ask(ctx, l.hasty)
		if err != nil {
			return err
		}
		l.fds = append(l.fds, c.FD)
	}
	ends, err := l.Settled(ctx, l.hasty, "nginx to close", func(e lab.Ends) bool {
		return e.Client[tcpvet.CloseWait] == nginxForgotten && e.Server[tcpvet.FinWait2] == nginxForgotten
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client opens %s connections to %s, makes a request on each, reads the answer, and does nothing more.", step.Count("connections_count", nginxForgotten), l.hasty)}
	step.Shown = []string{"Some time later, the sockets of both ends, with the TIME-WAIT from before:"}
	step.Means = []string{"A pool that does not look after its idle connections has this as soon as the server's idle limit is shorter than its own. It is no fault of nginx, and no setting of its host cures it."}
	l.Tell(step)
	return nil
}

func (l *nginxLeak) diagnosis(ctx context.Context) error {
	return diagnosis(ctx, l.Stage, "both hosts", lab.Expect{
		Rules: []string{"close-wait-leak", "fin-wait-2-pileup"},
		Of: map[string]lab.Particulars{
			"close-wait-leak":   {Kind: "never-read", Severity: tcpvet.Warning, Service: l.hasty},
			"fin-wait-2-pileup": {Kind: "orphaned", Service: l.hasty},
		},
	})
}

func (l *nginxLeak) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The client closes what nginx has closed"}
	for _, fd := range l.fds {
		if _, err := l.client.must(ctx, callClose, socketCall{fd}); err != nil {
			return err
		}
	}
	ends, err := l.Settled(ctx, l.hasty, "every connection to end", func(e lab.Ends) bool { return resting(&e) && e.Client[tcpvet.TimeWait] == 0 })
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client calls close() for all %s.", step.Count("closed_count", len(l.fds)))}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"What cures it is in the client: close what the server has closed, or close idle connections before the server does, with an idle limit below its keepalive_timeout."}
	l.Tell(step)
	return nil
}
