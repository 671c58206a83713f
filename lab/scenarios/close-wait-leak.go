package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// CloseWaitLeak is the commonest way to "cannot assign requested address": a
// client that opens a connection for each request and closes none, towards a
// server that closes what is idle.
var CloseWaitLeak = &lab.Scenario{
	Name:        "close-wait-leak",
	Title:       "a client that closes no connection runs out of local ports",
	Source:      "article: errno 99 from CLOSE_WAIT; RFC 9293, section 3.6",
	Claims:      []int{2, 14, 18},
	Expects:     []string{"close-wait-leak", "fin-wait-2-pileup", "port-exhaustion"},
	Acts:        []lab.Act{idleServer, rawClient},
	Descriptors: func(o lab.Options) int { return o.Ports + widening + ownDescriptors },
	Constants:   []string{"Linux has 28,232 unless", "after 60 s: it is"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &leak{Stage: s}
		for _, step := range []func(context.Context) error{
			l.open, l.exhaust, l.bothEnds, l.otherService, l.settings,
			l.diagnosis, l.widerRange, l.closeOne, l.end, l.reuse,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	},
}

const (
	rangeLow       = 32768 // where Linux begins its own range
	widening       = 10    // ports that are added to the range to see what that helps
	ownDescriptors = 32    // of a Go process that polls and has a few pipes

	serverIdle = 300 * time.Millisecond
	settling   = 10 * time.Second // for a server on a busy machine to close what is idle
)

// The services lie below the local port range.
var (
	stock  = netip.MustParseAddrPort("127.0.0.1:8080")
	prices = netip.MustParseAddrPort("127.0.0.1:8081")
)

// leak is a play of CloseWaitLeak under way.
type leak struct {
	*lab.Stage
	server, client *lab.Process
	leaked         leaked
	answered       time.Time // when the last of its requests was
	cure           string    // the command that the finding names, "" for none
}

func (l *leak) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A client, a server, and a range of local ports"}
	if err := l.Host.SetPortRange(rangeLow, uint16(rangeLow+l.Ports-1)); err != nil {
		return err
	}
	ports, err := l.Host.Sysctl("net.ipv4.ip_local_port_range")
	if err != nil {
		return err
	}
	var low, high, netns int
	if _, err := fmt.Sscan(ports, &low, &high); err != nil {
		return fmt.Errorf("read net.ipv4.ip_local_port_range: %w", err)
	}
	if l.server, err = l.Host.Start(idleServer, "stock-server", stock.String(), prices.String()); err != nil {
		return err
	}
	listen := listenOrder{On: []netip.AddrPort{stock, prices}, Idle: serverIdle}
	if err := l.server.Cue(ctx, serverListen, listen, &struct{}{}); err != nil {
		return err
	}
	if l.client, err = l.startClient(); err != nil {
		return err
	}
	link, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("read the number of the network namespace: %w", err)
	}
	if _, err := fmt.Sscanf(link, "net:[%d]", &netns); err != nil {
		return fmt.Errorf("read the number of the network namespace in %q: %w", link, err)
	}
	step.Done = []string{
		fmt.Sprintf("This run has a network namespace to itself, net:[%s], with its own loopback interface, settings and sockets. "+
			"Nothing outside of it changes.", step.ID("netns", netns)),
		fmt.Sprintf("Its net.ipv4.ip_local_port_range is \"%s %s\". A program that connects gets one of these %s ports for its own end. "+
			"Linux has 28,232 unless told otherwise.", step.ID("range_low", low), step.ID("range_high", high), step.Count("range_count", high-low+1)),
		fmt.Sprintf("stock-server (process %s) answers requests on %s and %s. It closes a connection on which nothing came for %s, as web servers do: "+
			"nginx calls that keepalive_timeout.", step.ID("server_pid", l.server.PID), stock, prices, step.Seconds("idle_seconds", serverIdle)),
		fmt.Sprintf("shop-client (process %s) will ask it for the stock.", step.ID("client_pid", l.client.PID)),
	}
	l.Tell(step)
	return nil
}

func (l *leak) startClient() (*lab.Process, error) {
	return l.Host.Start(rawClient, "shop-client", "http://"+stock.String()+"/stock")
}

func (l *leak) exhaust(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "A connection for each request, and none is closed"}
	if err := l.client.Cue(ctx, clientLeak, leakOrder{To: stock, Limit: l.Ports + 1}, &l.leaked); err != nil {
		return err
	}
	l.answered = time.Now()
	if err := exhausted(l.leaked.Failure); err != nil {
		return fmt.Errorf("%d connections over %d ports: %w", l.leaked.Opened, l.Ports, err)
	}
	first, second, failing := l.leaked.First, l.leaked.Second, l.leaked.Failure.Took
	step.Done = []string{
		fmt.Sprintf("shop-client connects to %s, sends a request, reads the whole answer, and forgets the connection without a call of close(). "+
			"Then it does the same again, until something fails.", stock),
	}
	step.Shown = []string{
		fmt.Sprintf("%s requests were answered, in %s, from local ports %s to %s. The next one fails before a packet is sent:",
			step.Count("requests_count", l.leaked.Opened), step.Seconds("requests_seconds", l.leaked.Took),
			step.ID("lowest_port", int(l.leaked.Low)), step.ID("highest_port", int(l.leaked.High))),
		told(&step, l.leaked.Failure),
		fmt.Sprintf("A connect() took %s in the first half of them and %s in the second (medians). The one that failed took %s.",
			step.Micros("first_half_micros", first), step.Micros("second_half_micros", second), step.Micros("failing_micros", failing)),
	}
	step.Means = []string{
		fmt.Sprintf("The message speaks of an address. What ran out is local ports: %s of %s are taken by connections to %s, and each stays taken for as long "+
			"as its connection is open.", step.Count("requests_count", l.leaked.Opened), step.Count("range_count", l.Ports), stock),
	}
	// A quarter more is more than what the noise of a busy machine makes of it.
	if second > first+first/4 {
		step.Means = append(step.Means, "It became slower before it failed: the kernel tries every second port first, and has to search longer once those are taken.")
	}
	l.Tell(step)
	return nil
}

func (l *leak) bothEnds(ctx context.Context) error {
	step := lab.Step{Name: "both-ends", Title: "The server closes, the client does not"}
	seen, ends, err := l.settled(ctx)
	if err != nil {
		return err
	}
	waited := time.Since(l.answered)
	timeout, err := l.Host.Sysctl("net.ipv4.tcp_fin_timeout")
	if err != nil {
		return err
	}
	seconds, err := strconv.Atoi(timeout)
	if err != nil {
		return fmt.Errorf("read net.ipv4.tcp_fin_timeout: %w", err)
	}
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("Nothing more comes from the client. %s after its last request the server has closed all %s connections, each by a FIN, which says: nothing more comes from here.",
			step.Seconds("closed_seconds", waited), step.Count("closed_count", int(seen.Closed))),
	}
	step.Shown = []string{"The kernel's sockets by state, as one counts the last column of netstat -n, for either end:"}
	step.Means = []string{
		fmt.Sprintf("CLOSE-WAIT, %s times: the other side has closed, the kernel has acknowledged its FIN, and the program has yet to call close(). "+
			"Only the program can. The kernel waits without a timer, so for as long as the process lives.",
			step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait]))),
		fmt.Sprintf("FIN-WAIT-2, %s times: the server's ends of the same connections, waiting for the client's FIN. No process holds them any more, and the kernel "+
			"gives them up after %s s (net.ipv4.tcp_fin_timeout). The client's ends stay.", step.Count("fin_wait_2_count", int(ends.Server[tcpvet.FinWait2])),
			step.Count("fin_timeout_seconds", seconds)),
	}
	l.Tell(step)
	return nil
}

// settled waits until the server has closed every connection that the client
// left open, and the client's kernel has acknowledged that: it may delay the ACK
// of a FIN as of any segment (RFC 9293, section 3.8.6.3).
func (l *leak) settled(ctx context.Context) (seen traffic, ends lab.Ends, err error) {
	for begin := time.Now(); ; {
		if err = l.server.Cue(ctx, serverTraffic, struct{}{}, &seen); err != nil {
			return seen, ends, err
		}
		if seen.Closed == seen.Accepted {
			if ends, err = l.Ends(ctx, stock); err != nil || ends.Server[tcpvet.FinWait1] == 0 {
				return seen, ends, err
			}
		}
		if time.Since(begin) > serverIdle+settling {
			return seen, ends, fmt.Errorf("wait for the server to close its connections: it has closed %d of %d, and %d FINs are not acknowledged",
				seen.Closed, seen.Accepted, ends.Server[tcpvet.FinWait1])
		}
		if err = lab.Wait(ctx, 10*time.Millisecond); err != nil {
			return seen, ends, err
		}
	}
}

func (l *leak) otherService(ctx context.Context) error {
	step := lab.Step{Name: "other-service", Title: "Another service is still within reach"}
	var o once
	if err := l.client.Cue(ctx, clientOnce, prices, &o); err != nil {
		return err
	}
	if o.Failure != nil {
		return fmt.Errorf("connect to %s while the ports to %s are used up: %v", prices, stock, o.Failure)
	}
	step.Done = []string{fmt.Sprintf("The same process connects to %s.", prices)}
	shown := fmt.Sprintf("It is answered, from local port %s", step.ID("other_port", int(o.Port)))
	if o.Held {
		shown += fmt.Sprintf(", which one of its connections to %s has too", stock)
	}
	step.Shown = []string{shown + "."}
	step.Means = []string{
		"Ports are counted for each remote address and port by itself. So a total over all connections of a machine, large or small, proves nothing: " +
			"what counts is how many go to one service.",
	}
	l.Tell(step)
	return nil
}

// exhausted makes sure that a client stopped for want of a port, which is what
// the story says.
func exhausted(f *failure) error {
	switch {
	case f == nil:
		return errors.New("connect() did not fail")
	case !f.noPort():
		return fmt.Errorf("not for want of a local port: %v (%s)", f, f.name())
	}
	return nil
}

// told gives a failure as a program tells it.
func told(step *lab.Step, f *failure) string {
	return fmt.Sprintf("%v (errno %s, %s)", f, step.ID("errno", f.Errno), f.name())
}
