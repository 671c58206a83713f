package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// CloseWaitLeakGo looks at the status of each answer, and neither reads its body nor
// closes it.
var CloseWaitLeakGo = &lab.Scenario{
	Name:    "close-wait-leak-go",
	Title:   "a Go program that does not close the bodies of its answers",
	Source:  "net/http, type Response: the caller has to close Body; article: CLOSE_WAIT is cured in the code",
	Claims:  []int{18},
	Acts:    []lab.Act{idleServer, goClient},
	Expects: []string{"close-wait-leak", "fin-wait-2-pileup"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &goLeak{Stage: s}
		return inOrder(ctx, l.open, l.forget, l.tidy, l.diagnosis, l.end, l.right, func(ctx context.Context) error {
			return quiet(ctx, s, "The client keeps no connection that the server has closed.")
		})
	},
}

// goRequests is how many requests the client makes in each way.
const goRequests = 20

// goLeak is a play of CloseWaitLeakGo under way.
type goLeak struct {
	*lab.Stage
	service netip.AddrPort
	client  *lab.Process
	before  int // goroutines that the leaking client has
}

func (l *goLeak) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A client in Go, and a server"}
	l.service = stock
	server, err := l.Host.Start(idleServer, "stock-server", l.service.String())
	if err != nil {
		return err
	}
	listen := listenOrder{On: []netip.AddrPort{l.service}, Idle: serverIdle}
	if err := server.Cue(ctx, serverListen, listen, &struct{}{}); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("stock-server (process %s) answers requests on %s, and closes a connection on which nothing came for %s.",
			step.ID("server_pid", server.PID), l.service, step.Seconds("idle_seconds", serverIdle)),
	}
	l.Tell(step)
	return nil
}

// startClient starts a client, and counts the goroutines that it has by itself.
func (l *goLeak) startClient(ctx context.Context) (err error) {
	if l.client, err = l.Host.Start(goClient, "shop-client", l.url()); err != nil {
		return err
	}
	var idle goAnswered
	if err := l.client.Cue(ctx, goTidy, struct{}{}, &idle); err != nil {
		return err
	}
	l.before = idle.Goroutines
	return nil
}

func (l *goLeak) url() string { return "http://" + l.service.String() + "/stock" }

func (l *goLeak) get(ctx context.Context, read, end bool) (a goAnswered, err error) {
	err = l.client.Cue(ctx, goGet, goOrder{URL: l.url(), Times: goRequests, Read: read, Close: end}, &a)
	return a, err
}

func (l *goLeak) forget(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "The body is neither read nor closed"}
	if err := l.startClient(ctx); err != nil {
		return err
	}
	a, err := l.get(ctx, false, false)
	if err != nil {
		return err
	}
	if err := exactly("connections opened", a.Opened, goRequests); err != nil {
		return err
	}
	ends, err := l.leaking(ctx)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("shop-client (process %s) makes %s requests with one http.Client. Of each answer it looks at the status, and returns.",
			step.ID("client_pid", l.client.PID), step.Count("requests_count", a.Answered)),
	}
	step.Shown = []string{
		fmt.Sprintf("It opened %s connections, and has %s goroutines more than before. Once the server has closed what was idle:",
			step.Count("connections_count", a.Opened), step.Count("goroutines_count", a.Goroutines-l.before)),
	}
	step.Means = []string{
		"Until its body was read to the end or closed, a connection belongs to its answer. It does not go back to the pool, so the next request opens another.",
		fmt.Sprintf("Nobody reads from it either: the FIN of the server lies in its queue, unseen. (Recv-Q is %s: the FIN counts as a byte.)", step.Count("recv_q_bytes", unreadFIN)),
	}
	l.Tell(step)
	return nil
}

// unreadFIN is the Recv-Q of a socket in which nothing lies but a FIN.
const unreadFIN = 1

// leaking waits until the server has closed, and makes sure that the client has not,
// that nobody has read the FIN, and that keepalive is on.
func (l *goLeak) leaking(ctx context.Context) (lab.Ends, error) {
	ends, err := l.Settled(ctx, l.service, "the server to close", func(e lab.Ends) bool {
		return e.Client[tcpvet.CloseWait] == goRequests && e.Server[tcpvet.FinWait2] == goRequests
	})
	if err != nil {
		return ends, err
	}
	sockets, err := l.Sockets(ctx, l.Host)
	if err != nil {
		return ends, err
	}
	unread := 0
	for i := range sockets {
		s := &sockets[i]
		if s.State == tcpvet.CloseWait && s.RecvQ == unreadFIN && s.Timer.Kind == tcpvet.TimerKeepalive {
			unread++
		}
	}
	return ends, exactly("connections in CLOSE-WAIT with an unread FIN and a keepalive timer", unread, goRequests)
}

func (l *goLeak) tidy(ctx context.Context) error {
	step := lab.Step{Name: "tidy", Title: "What does not help"}
	var a goAnswered
	if err := l.client.Cue(ctx, goTidy, struct{}{}, &a); err != nil {
		return err
	}
	ends, err := l.leaking(ctx)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"The client runs the garbage collector, twice, and calls CloseIdleConnections(). No variable refers to any of the answers any more."}
	step.Shown = []string{fmt.Sprintf("It still has %s goroutines more than at the beginning. The sockets of both ends:", step.Count("goroutines_count", a.Goroutines-l.before))}
	step.Means = []string{
		"The goroutines of the transport wait for somebody to read or close each body, and keep its connection alive. To the pool these connections are in use, not idle.",
		"The dialer of this client turned SO_KEEPALIVE on, as Go does unasked. That asks whether the peer is there; it closes nothing.",
	}
	l.Tell(step)
	return nil
}

func (l *goLeak) diagnosis(ctx context.Context) error {
	return diagnosis(ctx, l.Stage, "this namespace", lab.Expect{
		Rules: []string{"close-wait-leak", "fin-wait-2-pileup"},
		Of:    map[string]lab.Particulars{"close-wait-leak": {Kind: "never-read", Severity: tcpvet.Warning, Service: l.service}},
	})
}

func (l *goLeak) end(ctx context.Context) error {
	step := lab.Step{Name: "end", Title: "The client ends"}
	l.client.Kill()
	ends, err := l.Settled(ctx, l.service, "the kernel to close what the client held", func(e lab.Ends) bool { return resting(&e) })
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("Process %s is killed: it has no means left to close these connections itself.", step.ID("client_pid", l.client.PID))}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"A restart helps until the leak is back. The cure is a line of code."}
	l.Tell(step)
	return nil
}

func (l *goLeak) right(ctx context.Context) error {
	step := lab.Step{Name: "right", Title: "The client as it should be"}
	if err := l.startClient(ctx); err != nil {
		return err
	}
	read, err := l.get(ctx, true, false)
	if err != nil {
		return err
	}
	both, err := l.get(ctx, true, true)
	if err != nil {
		return err
	}
	closed, err := l.get(ctx, false, true)
	if err != nil {
		return err
	}
	if read.Opened >= goRequests || both.Opened >= goRequests {
		return fmt.Errorf("%d requests each opened %d connections, read, and %d, read and closed", goRequests, read.Opened, both.Opened)
	}
	ends, err := l.Settled(ctx, l.service, "the client to close", func(e lab.Ends) bool { return resting(&e) })
	if err != nil {
		return err
	}
	step.Ends = &ends
	requests := step.Count("requests_count", goRequests)
	step.Done = []string{
		fmt.Sprintf("Another shop-client makes %s requests, and reads each body to its end. Connections opened: %s.", requests, step.Count("read_connections_count", read.Opened)),
		fmt.Sprintf("%s more, with \"defer resp.Body.Close()\" besides. Connections opened: %s.", requests, step.Count("both_connections_count", both.Opened)),
		fmt.Sprintf("%s more, closed and not read. Connections opened: %s.", requests, step.Count("closed_connections_count", closed.Opened)),
	}
	step.Shown = []string{"Once the server has closed what was idle:"}
	step.Means = []string{
		"None of these leaks. What was read to the end goes back to the pool and is used again, and the transport notices the FIN of an idle one and closes it. What was closed without being read is safe too, but may cost a connection each.",
		"So: \"defer resp.Body.Close()\" after each answer, on every path, and read the body where one wants the connection back.",
	}
	l.Tell(step)
	return nil
}
