package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveAdapter gives Python's requests the article's adapter, which turns
// keepalive on, and TCP_NODELAY off.
var KeepaliveAdapter = &lab.Scenario{
	Name:   "keepalive-adapter",
	Title:  "the article's keepalive adapter turns TCP_NODELAY off",
	Source: "article: the second cure for Python; urllib3, HTTPConnection.default_socket_options",
	Claims: []int{24, 25},
	Needs:  []lab.Need{requestsModule},
	Acts:   []lab.Act{bodyReader},
	// The library has a figure in its name.
	Constants: []string{"urllib3"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		a := &adapter{Stage: s}
		return inOrder(ctx, a.open, a.unasked, a.printed, a.added, func(ctx context.Context) error {
			return quiet(ctx, s, "Three open connections that work. How long a request waits shows in a recording only.")
		})
	},
}

// postBytes is a body that fits into a segment with room to spare.
const postBytes = 200

// adapter is a play of KeepaliveAdapter under way.
type adapter struct {
	*lab.Stage
	service netip.AddrPort
	client  *lab.Process
	tap     *lab.Tap
}

func (a *adapter) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A client in Python, and a server that reads what it is sent"}
	server, err := a.NewHost(ctx, "server")
	if err != nil {
		return err
	}
	link, err := a.Link(ctx, a.Host, server, lab.LinkOptions{})
	if err != nil {
		return err
	}
	if a.tap, err = a.Host.Tap(ctx, link.A.Interface); err != nil {
		return err
	}
	a.service = netip.AddrPortFrom(link.B.Addr4, 8080)
	p, err := server.Start(bodyReader, "order-server", a.service.String())
	if err != nil {
		return err
	}
	if err := p.Cue(ctx, bodyServe, a.service, &struct{}{}); err != nil {
		return err
	}
	if a.client, err = startPython(ctx, a.Host, "shop.py", adapterProgram, lab.Setup{}); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("The client's host has the address %s, the server's %s. What crosses the link between them is recorded at the client's end.", link.A.Addr4, link.B.Addr4),
		fmt.Sprintf("order-server (process %s) listens on %s, and answers a request once it has read its body.", step.ID("server_pid", p.PID), a.service),
		fmt.Sprintf("shop.py (process %s) sends orders by Python's requests: session.post(url, data=body), with a body of %s bytes. Python writes the head of a request by one call, and the body by another.",
			step.ID("client_pid", a.client.PID), step.Count("body_bytes", postBytes)),
	}
	a.Tell(step)
	return nil
}

// post makes a session with options of that name, and requests. It makes sure of the
// options that the socket has then, of the timer that the kernel has for it, and
// whether the recording shows that small segments waited.
func (a *adapter) post(ctx context.Context, step *lab.Step, options string, want posted) (p posted, stalls *tcpvet.Note, err error) {
	order := postOrder{Options: options, URL: "http://" + a.service.String() + "/orders", Bytes: postBytes, Times: messages}
	if err := a.client.Cue(ctx, "post", order, &p); err != nil {
		return p, nil, err
	}
	want.Port, want.Median, want.Defaults = p.Port, p.Median, 1
	if want.Keepalive == 0 {
		want.Idle, want.Interval = p.Idle, p.Interval // the host's settings, of no effect
	}
	if p != want {
		return p, nil, fmt.Errorf("the socket's options are %+v, and were to be %+v", p, want)
	}
	if err := a.timed(ctx, p); err != nil {
		return p, nil, err
	}
	if stalls, err = a.stalls(ctx, p.Port); err != nil {
		return p, nil, err
	}
	waits := stalls != nil && stalls.Certainty == tcpvet.Certain
	if waits != (p.NoDelay == 0) {
		return p, nil, fmt.Errorf("TCP_NODELAY is %d, and that small segments waited is %v: %+v", p.NoDelay, waits, stalls)
	}
	step.Done = append(step.Done, fmt.Sprintf("shop.py makes a request to see the connection, and %s to measure.", step.Count("requests_count", messages)))
	shown := fmt.Sprintf("The socket has TCP_NODELAY %s and SO_KEEPALIVE %s", step.ID("no_delay", p.NoDelay), step.ID("keepalive", p.Keepalive))
	if p.Keepalive == 1 {
		shown += fmt.Sprintf(", TCP_KEEPIDLE %s and TCP_KEEPINTVL %s", step.ID("keepidle_seconds", p.Idle), step.ID("keepintvl_seconds", p.Interval))
	}
	step.Shown = append(step.Shown, fmt.Sprintf("%s. A request takes %s (median).", shown, step.Millis("median_ms", time.Duration(p.Median))))
	return p, stalls, nil
}

// timed makes sure that the kernel has a keepalive timer for the connection, or
// none, as its option says.
func (a *adapter) timed(ctx context.Context, p posted) error {
	sockets, err := a.Sockets(ctx, a.Host)
	if err != nil {
		return err
	}
	for i := range sockets {
		s := &sockets[i]
		if int(s.Local.Port()) != p.Port || tcpvet.Unmap(s.Remote) != a.service {
			continue
		}
		if has := s.Timer.Kind == tcpvet.TimerKeepalive; has != (p.Keepalive == 1) {
			return fmt.Errorf("the timer of the connection from port %d is %s, and SO_KEEPALIVE %d", p.Port, s.Timer.Kind, p.Keepalive)
		}
		return nil
	}
	return fmt.Errorf("find the connection from port %d: it is not open any more", p.Port)
}

// stalls gives the note nagle-delayed-ack of the connection from a port, nil for
// none, once its last answer is recorded.
func (a *adapter) stalls(ctx context.Context, port int) (*tcpvet.Note, error) {
	answers := func(c *lab.Crossing) bool { return int(c.Segment.Dst.Port()) == port && lab.Data(c) }
	if _, err := a.tap.Wait(ctx, messages+1, answers); err != nil {
		return nil, err
	}
	return noteOfStalls(a.tap, port)
}

func (a *adapter) unasked(ctx context.Context) error {
	step := lab.Step{Name: "default", Title: "requests as it is"}
	if _, _, err := a.post(ctx, &step, "default", posted{NoDelay: 1}); err != nil {
		return err
	}
	step.Means = []string{"urllib3, which requests is built on, has a list of options for each new socket. Its only entry turns TCP_NODELAY on. So the two writes of a request leave at once, as two small segments."}
	a.Tell(step)
	return nil
}

func (a *adapter) printed(ctx context.Context) error {
	step := lab.Step{Name: "printed", Title: "With the article's adapter"}
	p, stalls, err := a.post(ctx, &step, "printed", posted{Keepalive: 1, Idle: 30, Interval: 3})
	if err != nil {
		return err
	}
	if time.Duration(p.Median) < leastDelayed {
		return fmt.Errorf("half of the requests took %s or less: no ACK was delayed", time.Duration(p.Median))
	}
	step.Done = append([]string{"The adapter hands the list SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL to urllib3 as socket_options, as the article prints it."}, step.Done...)
	step.Means = []string{
		"It does what the article wants: the kernel has a keepalive timer for this connection now. But the list takes the place of urllib3's own, and with that TCP_NODELAY is gone.",
		fmt.Sprintf("Now the body of a request waits in the client's kernel until the head is acknowledged, and the server's kernel delays that ACK: %s times in the recording, %s on average. Scenario nagle shows it segment by segment.",
			step.Count("stalls_count", int(stalls.Count)), step.Millis("stall_ms", stalls.Took/time.Duration(stalls.Count))),
		"So this cure makes each small POST slower, over every connection of the program, and finds dead peers. It closes nothing that the program forgets: scenario keepalive-frees-port shows what it does for a connection in CLOSE-WAIT.",
	}
	a.Tell(step)
	return nil
}

func (a *adapter) added(ctx context.Context) error {
	step := lab.Step{Name: "added", Title: "With the same options, added to those of urllib3"}
	if _, _, err := a.post(ctx, &step, "added", posted{NoDelay: 1, Keepalive: 1, Idle: 30, Interval: 3}); err != nil {
		return err
	}
	step.Done = append([]string{"This adapter hands over HTTPConnection.default_socket_options + [...], with the article's options in the brackets."}, step.Done...)
	step.Means = []string{"Keepalive is on, and nothing waits."}
	a.Tell(step)
	return nil
}
