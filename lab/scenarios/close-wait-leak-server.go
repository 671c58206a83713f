package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// CloseWaitLeakServer is a server that does not close what its clients have closed.
// It uses up descriptors, not ports.
var CloseWaitLeakServer = &lab.Scenario{
	Name:    "close-wait-leak-server",
	Title:   "a server that closes nothing: no descriptor, no accept(), and clients that time out",
	Source:  "article: a server with many CLOSE_WAIT; accept(2), EMFILE; listen(2)",
	Claims:  []int{9, 18},
	Acts:    []lab.Act{keepingServer, rawClient, socketCalls},
	Expects: []string{"accept-queue-full", "close-wait-leak", "descriptor-limit", "fin-wait-2-pileup"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &serverLeak{Stage: s}
		return inOrder(ctx, l.open, l.leak, l.queue, l.refused, l.diagnosis, l.close, func(ctx context.Context) error {
			return quiet(ctx, s, "The server holds nothing that its clients have closed.")
		})
	},
}

const (
	serverDescriptors = 64
	serverBacklog     = 8
)

// serverLeak is a play of CloseWaitLeakServer under way.
type serverLeak struct {
	*lab.Stage
	service netip.AddrPort
	server  *lab.Process
	client  *lab.Process // rawClient: closes after each answer
	waiting caller
	queued  []int // descriptors in waiting
	served  int   // clients that were answered
}

func (l *serverLeak) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A server with a limit, as all have one"}
	l.service = stock
	// A connect() that nobody answers is not to take two minutes.
	if err := set(l.Host, map[string]int{"tcp_syn_retries": 1}); err != nil {
		return err
	}
	if l.server, err = l.Host.StartWith(lab.Setup{Descriptors: serverDescriptors}, keepingServer, "stock-server", l.service.String()); err != nil {
		return err
	}
	if err := l.server.Cue(ctx, keepingListen, keepingOrder{l.service, serverBacklog}, &struct{}{}); err != nil {
		return err
	}
	if l.client, err = l.Host.Start(rawClient, "shop-client", "http://"+l.service.String()+"/stock"); err != nil {
		return err
	}
	if l.waiting, err = startCaller(l.Host, "late-client", l.service); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("stock-server (process %s) listens on %s, with room for %s in its accept queue. It may have %s descriptors (ulimit -n).",
			step.ID("server_pid", l.server.PID), l.service, step.Count("backlog_count", serverBacklog), step.Count("limit_descriptors", serverDescriptors)),
		"It answers one request on each connection. Then it forgets the connection, without a call of close().",
		fmt.Sprintf("net.ipv4.tcp_syn_retries is %s here, so that nobody has to wait long for what fails below.", step.Count("syn_retries_count", 1)),
	}
	l.Tell(step)
	return nil
}

// descriptors counts those that the server's limit is about: a process may have
// inherited others, of higher numbers.
func (l *serverLeak) descriptors() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", l.server.PID))
	if err != nil {
		return 0, fmt.Errorf("count the descriptors of the server: %w", err)
	}
	n := 0
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd < serverDescriptors {
			n++
		}
	}
	return n, nil
}

func (l *serverLeak) leak(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "Clients come and go"}
	open, err := l.descriptors()
	for ; err == nil && open < serverDescriptors; open, err = l.descriptors() {
		var o once
		if err := l.client.Cue(ctx, clientOnce, l.service, &o); err != nil {
			return err
		}
		if o.Failure != nil {
			return fmt.Errorf("connect to %s: %v", l.service, o.Failure)
		}
		if l.served++; l.served > serverDescriptors {
			return fmt.Errorf("%d clients were answered, and the server has %d descriptors in use: it leaks none", l.served, open)
		}
	}
	if err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.service, "the clients to close", func(e lab.Ends) bool {
		return int(e.Server[tcpvet.CloseWait]) == l.served && int(e.Client[tcpvet.FinWait2]) == l.served
	})
	if err != nil {
		return err
	}
	sockets, err := openSockets(l.server.PID)
	if err != nil {
		return err
	}
	if err := exactly("sockets of the server", sockets, l.served+1); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("%s clients connect, one after the other. Each makes its request, reads the answer, and closes.", step.Count("clients_count", l.served))}
	step.Shown = []string{fmt.Sprintf("All were answered. stock-server has %s descriptors now, %s of them sockets. The sockets of both ends:",
		step.Count("open_descriptors", open), step.Count("socket_descriptors", sockets))}
	step.Means = []string{
		"All ends in CLOSE-WAIT have one and the same local port, that of the server. So a leak in a server takes no ports. What it takes are descriptors, one each.",
		"The clients' ends, in FIN-WAIT-2, belong to no process, and have no descriptor.",
	}
	l.Tell(step)
	return nil
}

func (l *serverLeak) queue(ctx context.Context) error {
	step := lab.Step{Name: "accept-fails", Title: "No descriptor for the next client"}
	for range serverBacklog + 1 {
		c, err := l.waiting.must(ctx, callConnect, connectCall{To: l.service})
		if err != nil {
			return err
		}
		if _, err := l.waiting.must(ctx, callWrite, writeCall{c.FD, []byte(request)}); err != nil {
			return err
		}
		l.queued = append(l.queued, c.FD)
	}
	var seen keptOpen
	err := lab.Until(ctx, "accept() to fail", func() (bool, error) {
		err := l.server.Cue(ctx, keepingSeen, struct{}{}, &seen)
		return seen.Failures > 0, err
	})
	if err != nil {
		return err
	}
	if err := failsBy(seen.Failure, "accept", "EMFILE"); err != nil {
		return err
	}
	if err := exactly("clients answered", seen.Answered, l.served); err != nil {
		return err
	}
	length, err := l.acceptQueue(ctx)
	if err != nil {
		return err
	}
	if err := exactly("connections in the accept queue", length, serverBacklog+1); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("late-client (process %s) opens %s connections more, and writes a request on each.", step.ID("late_pid", l.waiting.PID), step.Count("queued_count", len(l.queued)))}
	step.Shown = []string{
		"For the client connect() and write() succeed. In the server:",
		told(&step, seen.Failure),
		fmt.Sprintf("The listener has %s connections in its accept queue, one more than the %s that it asked for: that is where the kernel stops. (For a listener Recv-Q is the length of the queue, and Send-Q its limit.)",
			step.Count("queue_count", length), step.Count("backlog_count", serverBacklog)),
	}
	step.Means = []string{
		"The kernel opens connections by itself and queues them. accept() cannot take them out: a connection needs a descriptor in the process. These clients believe that they are connected, and wait for an answer.",
	}
	l.Tell(step)
	return nil
}

// acceptQueue gives the length of the listener's queue, and makes sure of its limit
// where the source can tell that.
func (l *serverLeak) acceptQueue(ctx context.Context) (length int, err error) {
	sockets, err := l.Sockets(ctx, l.Host)
	if err != nil {
		return 0, err
	}
	for i := range sockets {
		s := &sockets[i]
		if s.State != tcpvet.Listen || tcpvet.Unmap(s.Local) != l.service {
			continue
		}
		if s.Knows(tcpvet.FactBacklogMax) {
			err = exactly("limit of the accept queue", int(s.SendQ), serverBacklog)
		}
		return int(s.RecvQ), err
	}
	return 0, fmt.Errorf("find the listener on %s: there is none", l.service)
}

func (l *serverLeak) refused(ctx context.Context) error {
	step := lab.Step{Name: "time-out", Title: "The queue is full"}
	const overflows = "TcpExtListenOverflows"
	before, err := counter(ctx, l.Stage, l.Host, overflows)
	if err != nil {
		return err
	}
	begin := time.Now()
	c, err := l.waiting.mustFail(ctx, callConnect, connectCall{To: l.service}, "connect", "ETIMEDOUT")
	if err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := counter(ctx, l.Stage, l.Host, overflows)
	if err != nil {
		return err
	}
	if after == before {
		return fmt.Errorf("%s stayed at %d", overflows, after)
	}
	step.Done = []string{"late-client connects once more."}
	step.Shown = []string{
		fmt.Sprintf("After %s:", step.Seconds("connect_seconds", took)),
		told(&step, c.Failure),
		fmt.Sprintf("ListenOverflows rose by %s (nstat -az TcpExtListenOverflows).", step.Count("overflows_count", int(after-before))),
	}
	step.Means = []string{
		"With a full queue the kernel drops the SYN and says nothing. So clients see time-outs, not refusals, though the server runs and listens.",
	}
	l.Tell(step)
	return nil
}

func (l *serverLeak) diagnosis(ctx context.Context) error {
	return diagnosis(ctx, l.Stage, "this namespace", lab.Expect{
		Rules: []string{"accept-queue-full", "close-wait-leak", "descriptor-limit", "fin-wait-2-pileup"},
		Of: map[string]lab.Particulars{
			"accept-queue-full": {Kind: "full", Severity: tcpvet.Critical, Service: l.service},
			"close-wait-leak":   {Severity: tcpvet.Critical, Service: l.service},
			"descriptor-limit":  {Kind: "leak", Severity: tcpvet.Critical},
			"fin-wait-2-pileup": {Kind: "orphaned", Service: l.service},
		},
	}, "One fault, seen from four sides: the leak, the descriptors that it takes, the queue that fills since accept() fails, and the other ends of what leaks.")
}

func (l *serverLeak) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The server closes what its clients have closed"}
	var seen keptOpen
	if err := l.server.Cue(ctx, keepingClose, struct{}{}, &seen); err != nil {
		return err
	}
	if err := exactly("connections that the server closed", seen.Closed, l.served); err != nil {
		return err
	}
	for _, fd := range l.queued {
		if err := l.waiting.reads(ctx, fd, len(answer)); err != nil {
			return err
		}
		if _, err := l.waiting.must(ctx, callClose, socketCall{fd}); err != nil {
			return err
		}
	}
	step.Done = []string{fmt.Sprintf("stock-server calls close() for the %s connections in CLOSE-WAIT, and goes on.", step.Count("closed_count", seen.Closed))}
	step.Shown = []string{fmt.Sprintf("All %s clients that waited in the queue get their answer at once. They close, and the server closes what they have closed. The sockets of both ends then:",
		step.Count("answered_count", len(l.queued)))}
	err := lab.Until(ctx, "the server to close the rest", func() (bool, error) {
		err := l.server.Cue(ctx, keepingClose, struct{}{}, &seen)
		return seen.Closed == l.served+len(l.queued), err
	})
	if err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.service, "every connection to end", func(e lab.Ends) bool { return resting(&e) })
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Means = []string{"A higher limit, or a longer queue, would have put off the day. The clients closed first, so the TIME-WAITs are theirs. They have no descriptor: the article counts them among what uses up file handles, and that holds for CLOSE-WAIT only."}
	l.Tell(step)
	return nil
}
