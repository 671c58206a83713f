package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveFreesPort turns keepalive on for a client that closes nothing: the ports
// come back, and the descriptors do not.
var KeepaliveFreesPort = &lab.Scenario{
	Name:        "keepalive-frees-port",
	Title:       "keepalive gives the port of a CLOSE-WAIT back, and not its descriptor",
	Source:      "article: keepalive as a cure for CLOSE_WAIT; kernel functions tcp_keepalive_timer, tcp_reset and tcp_done",
	Claims:      []int{18, 24},
	Expects:     []string{"close-wait-leak", "descriptor-limit", "port-exhaustion", "tableless-sockets"},
	Acts:        []lab.Act{idleServer, rawClient},
	Descriptors: func(o lab.Options) int { return allowance(portsOf(o.Ports)) },
	Constants:   []string{"usual 60 s and the article's 30 s that is between 60 s and 90 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		f := &freesPort{Stage: s, ports: portsOf(s.Ports)}
		return inOrder(ctx, f.open, f.leak, f.guard, f.again, f.diagnosis)
	},
}

// allowance is the client's limit of descriptors: enough for the range of local
// ports once, and not twice.
func allowance(ports int) int { return ports + ports/2 + ownDescriptors }

// The keepalive of the client, in seconds, and what a server's end waits for.
const (
	freeIdle, freeInterval, freeCount = 1, 1, 9
	freeFinTimeout                    = 1
)

// freesPort is a play of KeepaliveFreesPort under way.
type freesPort struct {
	*lab.Stage
	ports  int
	client *lab.Process
	tap    *lab.Tap
	last   uint16 // the local port of the connection that was opened last
}

func (f *freesPort) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A client with two limits"}
	if err := setRange(&step, f.Host, f.ports); err != nil {
		return err
	}
	if err := set(f.Host, map[string]int{"tcp_fin_timeout": freeFinTimeout}); err != nil {
		return err
	}
	server, err := f.Host.Start(idleServer, "stock-server", stock.String())
	if err != nil {
		return err
	}
	if err := server.Cue(ctx, serverListen, listenOrder{On: []netip.AddrPort{stock}, Idle: serverIdle}, &struct{}{}); err != nil {
		return err
	}
	if f.tap, err = f.Host.Tap(ctx, "lo"); err != nil {
		return err
	}
	limit := allowance(f.ports)
	if f.client, err = f.Host.StartWith(lab.Setup{Descriptors: limit}, rawClient, "shop-client", "http://"+stock.String()+"/stock"); err != nil {
		return err
	}
	step.Done = append(step.Done,
		fmt.Sprintf("stock-server (process %s) listens on %s, and closes a connection that was idle for %s. net.ipv4.tcp_fin_timeout is %s, so that its ends in FIN-WAIT-2 last for as many seconds.",
			step.ID("server_pid", server.PID), stock, step.Seconds("server_idle_seconds", serverIdle), step.Count("fin_timeout_seconds", freeFinTimeout)),
		fmt.Sprintf("shop-client (process %s) may have %s descriptors.", step.ID("client_pid", f.client.PID), step.Count("limit_descriptors", limit)))
	f.Tell(step)
	return nil
}

// settled waits until nothing is left of the server's ends, and so many of the
// client's are in CLOSE-WAIT and none in another state.
func (f *freesPort) settled(ctx context.Context, what string, closeWait int) (lab.Ends, error) {
	want := [tcpvet.NumStates]uint64{tcpvet.CloseWait: uint64(closeWait)}
	return f.Settled(ctx, stock, what, func(e lab.Ends) bool {
		return e.Client == want && e.Server == [tcpvet.NumStates]uint64{}
	})
}

func (f *freesPort) leak(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "No connection is closed, and the ports run out"}
	var l leaked
	if err := f.client.Cue(ctx, clientLeak, leakOrder{To: stock, Limit: f.ports + 1}, &l); err != nil {
		return err
	}
	if err := exhausted(l.Failure); err != nil {
		return err
	}
	if err := exactly("connections over the ports of the range", l.Opened, f.ports); err != nil {
		return err
	}
	f.last = l.Last
	ends, err := f.settled(ctx, "the server's ends to be gone", f.ports)
	if err != nil {
		return err
	}
	if err := lab.Wait(ctx, f.Patience); err != nil {
		return err
	}
	err = f.Judge(ctx, &step, lab.Expect{
		Rules: []string{"close-wait-leak", "port-exhaustion"},
		Of:    map[string]lab.Particulars{"close-wait-leak": {Severity: tcpvet.Critical, Service: stock}},
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop-client makes requests, each over a connection of its own, and closes none. No socket has keepalive."}
	step.Shown = []string{
		fmt.Sprintf("%s requests are answered. Then:", step.Count("requests_count", l.Opened)),
		told(&step, l.Failure),
		"Once the server's ends are gone, of these connections there is:",
	}
	step.Means = []string{"Scenario close-wait-leak tells how it comes to this. What is new is that the server's kernel has forgotten the connections by now, and the client's has not."}
	f.Tell(step)
	return nil
}

// resets reads how many RSTs the host has sent.
func (f *freesPort) resets(ctx context.Context) (int, error) {
	census, err := f.Census(ctx)
	if err != nil {
		return 0, err
	}
	id, err := f.Host.Netns()
	if err != nil {
		return 0, err
	}
	n, ok := census.Netns[id].Counters["TcpOutRsts"]
	if !ok {
		return 0, fmt.Errorf("read TcpOutRsts: the look gives no such counter")
	}
	return int(n), nil
}

// guard turns keepalive on, on sockets that are in CLOSE-WAIT.
func (f *freesPort) guard(ctx context.Context) error {
	step := lab.Step{Name: "keepalive", Title: "Keepalive, as the article advises"}
	held, err := openSockets(f.client.PID)
	if err != nil {
		return err
	}
	resets, err := f.resets(ctx)
	if err != nil {
		return err
	}
	var g guarded
	begin := time.Now()
	if err := f.client.Cue(ctx, clientGuard, probing(freeIdle, freeInterval, freeCount), &g); err != nil {
		return err
	}
	ends, err := f.settled(ctx, "the client's ends to be gone", 0)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	left, err := openSockets(f.client.PID)
	if err != nil {
		return err
	}
	if held != left || left < f.ports {
		return fmt.Errorf("the client had %d descriptors of sockets, and has %d, where keepalive was to leave them", held, left)
	}
	all, err := f.resets(ctx)
	if err != nil {
		return err
	}
	resets = all - resets
	if err := exactly("RSTs that the host sent", resets, f.ports); err != nil {
		return err
	}
	err = f.Judge(ctx, &step, lab.Expect{
		Rules: []string{"tableless-sockets"},
		Of:    map[string]lab.Particulars{"tableless-sockets": {Kind: "used", Severity: tcpvet.Warning}},
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	f.tap.Stop() // it holds all that has crossed now
	step.Segments = since(f.tap.Select(lab.OnPort(f.last, lab.AnySegment)), lab.FIN)
	step.Done = []string{fmt.Sprintf("SO_KEEPALIVE is set on all %s, with TCP_KEEPIDLE %s s, TCP_KEEPINTVL %s s and TCP_KEEPCNT %s. Nothing is closed.",
		step.Count("held_count", g.Held), step.Count("idle_seconds", freeIdle), step.Count("interval_seconds", freeInterval), step.Count("probes_count", freeCount))}
	step.Shown = []string{
		fmt.Sprintf("After %s there is none of them left in the kernel's table, and the host has sent %s RSTs (TcpOutRsts). But ls -l /proc/%s/fd shows %s sockets, as before.",
			step.Seconds("freed_seconds", took), step.Count("resets_count", resets), step.ID("client_pid", f.client.PID), step.Count("descriptors_count", left)),
	}
	// With so many connections the recording may have lost some.
	if len(step.Segments) > 0 {
		step.Shown = append(step.Shown, "On the last of them crossed, since the server closed it:")
	}
	step.Means = []string{
		"The server's kernel no longer knows the connections, so it answers a probe by RST, and that ends a CLOSE-WAIT. The port is free. The descriptor belongs to the program, and only the program can close it: it now leads to a socket that is in no table, which ss and netstat do not show.",
		"It takes the server's net.ipv4.tcp_fin_timeout and up to an idle time more: with the usual 60 s and the article's 30 s that is between 60 s and 90 s.",
	}
	f.Tell(step)
	return nil
}

func (f *freesPort) again(ctx context.Context) error {
	step := lab.Step{Name: "again", Title: "The client goes on as before"}
	var l leaked
	if err := f.client.Cue(ctx, clientLeak, leakOrder{To: stock, Limit: f.ports + 1}, &l); err != nil {
		return err
	}
	if err := failsBy(l.Failure, "socket", "EMFILE"); err != nil {
		return err
	}
	if l.Opened == 0 || l.Opened >= f.ports {
		return fmt.Errorf("%d more requests were answered, where the descriptors were to run out before the %d ports", l.Opened, f.ports)
	}
	if _, err := f.settled(ctx, "the connections to be ended by keepalive", 0); err != nil {
		return err
	}
	open, err := openSockets(f.client.PID)
	if err != nil {
		return err
	}
	step.Done = []string{"It makes requests, each over a connection of its own, with keepalive from the beginning, and closes none."}
	step.Shown = []string{
		fmt.Sprintf("%s more are answered: there are ports again. Then:", step.Count("more_count", l.Opened)),
		told(&step, l.Failure),
		fmt.Sprintf("Keepalive ends these connections too, and %s sockets are open in the process, of which none is in a table.", step.Count("descriptors_count", open)),
	}
	step.Means = []string{
		"So the article's second cure moves the fault: in place of \"cannot assign requested address\" comes \"too many open files\". It helps a program that closes late; for one that never does, the article's own sentence holds: read the code.",
	}
	f.Tell(step)
	return nil
}

func (f *freesPort) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := f.Judge(ctx, &step, lab.Expect{
		Rules: []string{"descriptor-limit", "tableless-sockets"},
		Of: map[string]lab.Particulars{
			"descriptor-limit":  {Severity: tcpvet.Critical},
			"tableless-sockets": {Kind: "used", Severity: tcpvet.Critical},
		},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"A list of connections would show nothing at all here. tcpvet asks the descriptors."}
	f.Tell(step)
	return nil
}
