package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KilledLeak ends clients that leak connections, and destroys a leaked one from
// outside.
var KilledLeak = &lab.Scenario{
	Name:      "killed-leak",
	Title:     "what the end of a leaking process returns, and what ss -K does",
	Source:    "article: only the end of the program returns the resources; RFC 9293, section 3.6; sock_diag(7), SOCK_DESTROY",
	Claims:    []int{18, 22},
	Needs:     []lab.Need{lab.Installed("ss"), destroying},
	Expects:   []string{"close-wait-leak", "port-exhaustion", "sysctl-antipattern"},
	Acts:      []lab.Act{idleServer, rawClient},
	Constants: []string{"for 60 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		k := &killedLeak{Stage: s}
		return inOrder(ctx, k.open, k.early, k.late, k.diagnosis, k.destroy, k.end, func(ctx context.Context) error {
			return k.judge(ctx, "after", []string{"sysctl-antipattern"}, "The leak is gone with its process. What is left is the small port range, which this play has set.")
		})
	},
}

// killedLeak is a play of KilledLeak under way.
type killedLeak struct {
	*lab.Stage
	server        *lab.Host
	tap           *lab.Tap
	stock, prices netip.AddrPort
	client        *lab.Process
}

// leakedPorts is the port range of the client's host: small, for the segments of
// all connections are counted.
const leakedPorts = 20

func (k *killedLeak) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A client that leaks, on a host with few ports"}
	if k.server, err = k.NewHost(ctx, "server"); err != nil {
		return err
	}
	link, err := k.Link(ctx, k.Host, k.server, lab.LinkOptions{})
	if err != nil {
		return err
	}
	if k.tap, err = k.Host.Tap(ctx, link.A.Interface); err != nil {
		return err
	}
	if err := k.Host.SetPortRange(rangeLow, rangeLow+leakedPorts-1); err != nil {
		return err
	}
	k.stock, k.prices = netip.AddrPortFrom(link.B.Addr4, 8080), netip.AddrPortFrom(link.B.Addr4, 8081)
	server, err := k.server.Start(idleServer, "stock-server", k.stock.String(), k.prices.String())
	if err != nil {
		return err
	}
	listen := listenOrder{On: []netip.AddrPort{k.stock, k.prices}, Idle: serverIdle}
	if err := server.Cue(ctx, serverListen, listen, &struct{}{}); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("The client's host has the address %s and %s local ports. On %s stock-server (process %s) listens on the ports %s and %s. It closes what is idle for %s.",
			link.A.Addr4, step.Count("ports_count", leakedPorts), link.B.Addr4, step.ID("server_pid", server.PID),
			step.ID("stock_port", int(k.stock.Port())), step.ID("prices_port", int(k.prices.Port())), step.Seconds("idle_seconds", serverIdle)),
	}
	k.Tell(step)
	return nil
}

// leak starts a client that takes all ports to a service and closes nothing, and
// waits until the server has closed.
func (k *killedLeak) leak(ctx context.Context, service netip.AddrPort, server func(lab.Ends) bool) (ends lab.Ends, err error) {
	if k.client, err = k.Host.Start(rawClient, "shop-client", "http://"+service.String()+"/stock"); err != nil {
		return ends, err
	}
	var l leaked
	if err := k.client.Cue(ctx, clientLeak, leakOrder{To: service, Limit: leakedPorts + 1}, &l); err != nil {
		return ends, err
	}
	if err := exhausted(l.Failure); err != nil || l.Opened != leakedPorts {
		return ends, errors.Join(fmt.Errorf("%d connections over %d ports", l.Opened, leakedPorts), err)
	}
	return k.Settled(ctx, service, "the server to close", func(e lab.Ends) bool { return e.Client[tcpvet.CloseWait] == leakedPorts && server(e) })
}

// toServer matches what the clients of a service send; toClient what it sends.
func (k *killedLeak) toServer(service netip.AddrPort, m lab.Match) lab.Match {
	return func(c *lab.Crossing) bool { return c.Segment.Dst == service && m(c) }
}

func (k *killedLeak) toClient(service netip.AddrPort, m lab.Match) lab.Match {
	return func(c *lab.Crossing) bool { return c.Segment.Src == service && m(c) }
}

// early kills a client while the server waits for its FINs.
func (k *killedLeak) early(ctx context.Context) error {
	step := lab.Step{Name: "early", Title: "A leak is killed soon"}
	before, err := k.leak(ctx, k.stock, func(e lab.Ends) bool { return e.Server[tcpvet.FinWait2] == leakedPorts })
	if err != nil {
		return err
	}
	pid := k.client.PID
	took := k.client.Kill()
	after, err := k.Settled(ctx, k.stock, "the client's FINs", func(e lab.Ends) bool {
		return e.Client == [tcpvet.NumStates]uint64{} && e.Server[tcpvet.TimeWait] == leakedPorts
	})
	if err != nil {
		return err
	}
	fins, err := k.tap.Wait(ctx, leakedPorts, k.toServer(k.stock, lab.FIN))
	if err != nil {
		return err
	}
	if rst := k.tap.Select(lab.RST); len(rst) > 0 {
		return fmt.Errorf("RSTs crossed, where FINs met FIN-WAIT-2: %v", texts(rst))
	}
	step.Ends = &after
	step.Done = []string{
		fmt.Sprintf("shop-client (process %s) opens %s connections to %s and closes none. The server closes each: %s in CLOSE-WAIT at the client, %s in FIN-WAIT-2 at the server. Then the client is killed.",
			step.ID("client_pid", pid), step.Count("connections_count", leakedPorts), k.stock,
			step.Count("close_wait_count", int(before.Client[tcpvet.CloseWait])), step.Count("fin_wait_2_count", int(before.Server[tcpvet.FinWait2]))),
	}
	step.Shown = []string{fmt.Sprintf("Its kernel closed all within %s: %s FINs crossed. The sockets:", step.Millis("kill_millis", took), step.Count("fins_count", len(fins)))}
	step.Means = []string{
		"The client's ends are gone at once, for they closed second: the end of the process did what close() would have done. The server closed first, so it keeps the TIME-WAITs, for 60 s.",
	}
	k.Tell(step)
	return nil
}

// late has the server give up before.
func (k *killedLeak) late(ctx context.Context) error {
	step := lab.Step{Name: "late", Title: "A leak that lasts"}
	if err := k.server.SetSysctl("net.ipv4.tcp_fin_timeout", "1"); err != nil {
		return err
	}
	begin := time.Now()
	ends, err := k.leak(ctx, k.prices, func(e lab.Ends) bool { return e.Server == [tcpvet.NumStates]uint64{} })
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("On the server's host net.ipv4.tcp_fin_timeout is set to %s s. Another shop-client (process %s) leaks the same number of connections, to %s.",
		step.Count("fin_timeout_seconds", 1), step.ID("client_pid", k.client.PID), k.prices)}
	step.Shown = []string{fmt.Sprintf("After %s the server's kernel has given its ends up:", step.Seconds("gone_seconds", time.Since(begin)))}
	step.Means = []string{
		fmt.Sprintf("As the article says, a setting of the kernel does not cure CLOSE-WAIT. This one ended the ends that the server had in FIN-WAIT-2; the client has %s in CLOSE-WAIT as before, and the connections have no other end any more.",
			step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait]))),
	}
	k.Tell(step)
	return nil
}

func (k *killedLeak) diagnosis(ctx context.Context) error {
	if err := lab.Wait(ctx, k.Patience); err != nil {
		return err
	}
	return k.judge(ctx, "diagnosis", []string{"close-wait-leak", "port-exhaustion", "sysctl-antipattern"},
		"The third is the small port range, which this play has set.")
}

func (k *killedLeak) judge(ctx context.Context, name string, rules []string, means string) error {
	step := lab.Step{Name: name, Title: "What tcpvet diagnose says"}
	if err := k.Judge(ctx, &step, lab.Expect{Rules: rules}); err != nil {
		return err
	}
	step.Means = []string{means}
	k.Tell(step)
	return nil
}

// destroy ends one connection from outside.
func (k *killedLeak) destroy(ctx context.Context) error {
	step := lab.Step{Name: "destroy", Title: "One connection is destroyed from outside"}
	before, err := k.descriptors()
	if err != nil {
		return err
	}
	const port = rangeLow // all of the range are taken, so the first is
	ss, err := k.Host.Program(ctx, lab.Program{Name: "ss", Single: true, Args: []string{"-K", "-Htn", "state", "close-wait", "dst", k.prices.String(), "sport", "=", fmt.Sprint(port)}})
	if err != nil {
		return err
	}
	if status, err := ss.Wait(ctx); err != nil || status != 0 {
		return errors.Join(fmt.Errorf("ss -K ended with status %d: %s", status, ss.Errors()), err)
	}
	ends, err := k.Ends(ctx, k.prices)
	if err != nil {
		return err
	}
	after, err := k.descriptors()
	if err != nil {
		return err
	}
	var again leaked
	if err := k.client.Cue(ctx, clientLeak, leakOrder{To: k.prices, Limit: 2}, &again); err != nil {
		return err
	}
	if err := exhausted(again.Failure); err != nil || again.Opened != 1 || again.Last != port {
		return errors.Join(fmt.Errorf("after port %d was freed: %d connects succeeded, the last from port %d", port, again.Opened, again.Last), err)
	}
	if ends.Client[tcpvet.CloseWait] != leakedPorts-1 || after != before {
		return fmt.Errorf("one destroyed: %d are left in CLOSE-WAIT, and the process has %d descriptors, with %d before", ends.Client[tcpvet.CloseWait], after, before)
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("On the client's host: ss -K state close-wait dst %s sport = %s. Then the client connects twice more.", k.prices, step.ID("port", port))}
	step.Shown = []string{
		fmt.Sprintf("The process has %s descriptors open, as many as before. The first connect() succeeds, from port %s. The second: \"%v\" (errno %s, %s). Before them the sockets were:",
			step.Count("descriptors_count", after), step.ID("new_port", int(again.Last)), again.Failure, step.ID("errno", again.Failure.Errno), again.Failure.name()),
	}
	step.Means = []string{
		"The article says that only the end of the program returns what it holds. Nearly: the kernel can be told to destroy a socket, and that returns its port. The descriptor stays with the program, which has to close it all the same; a leak that goes on runs out of those instead.",
	}
	k.Tell(step)
	return nil
}

// descriptors counts those of the client.
func (k *killedLeak) descriptors() (int, error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", k.client.PID))
	if err != nil {
		return 0, fmt.Errorf("count the descriptors of the client: %w", err)
	}
	return len(fds), nil
}

// end kills the second client, when the server knows of nothing any more.
func (k *killedLeak) end(ctx context.Context) error {
	step := lab.Step{Name: "end", Title: "The leak is killed late"}
	before, err := k.Settled(ctx, k.prices, "the server to give up the last one too", func(e lab.Ends) bool {
		return e.Client[tcpvet.CloseWait] == leakedPorts && e.Server == [tcpvet.NumStates]uint64{}
	})
	if err != nil {
		return err
	}
	took := k.client.Kill()
	if _, err := k.Settled(ctx, k.prices, "all ends to go", func(e lab.Ends) bool {
		return e.Client == [tcpvet.NumStates]uint64{} && e.Server == [tcpvet.NumStates]uint64{}
	}); err != nil {
		return err
	}
	fins, err := k.tap.Wait(ctx, leakedPorts, k.toServer(k.prices, lab.FIN))
	if err != nil {
		return err
	}
	rsts, err := k.tap.Wait(ctx, leakedPorts, k.toClient(k.prices, lab.RST))
	if err != nil {
		return err
	}
	var o once
	if k.client, err = k.Host.Start(rawClient, "shop-client", "http://"+k.prices.String()+"/stock"); err != nil {
		return err
	}
	if err := k.client.Cue(ctx, clientOnce, k.prices, &o); err != nil {
		return err
	}
	if o.Failure != nil {
		return fmt.Errorf("connect after the client ended: %v", o.Failure)
	}
	step.Done = []string{fmt.Sprintf("The client is killed, with %s connections in CLOSE-WAIT.", step.Count("close_wait_count", int(before.Client[tcpvet.CloseWait])))}
	step.Shown = []string{
		fmt.Sprintf("Its kernel closed all within %s. %s FINs crossed, and %s RSTs came back. Neither host has a socket of these connections any more. A new shop-client connects at once, from port %s.",
			step.Millis("kill_millis", took), step.Count("fins_count", len(fins)), step.Count("rsts_count", len(rsts)), step.ID("new_port", int(o.Port))),
	}
	step.Means = []string{
		"The server's host knew of these connections no more, and answered their FINs as it answers any segment without a connection. So the end of a process returns all, whenever it comes: ports, descriptors and memory. A restart is first aid, and close() in the code the cure.",
	}
	k.Tell(step)
	return nil
}
