package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/lab"
)

// UnreadData is a server that accepts connections and does not read from them.
var UnreadData = &lab.Scenario{
	Name:    "unread-data",
	Title:   "a server does not read: the window shuts, and its clients hang in write()",
	Source:  "RFC 9293, sections 3.8.6 and 3.8.6.1; RFC 1122, section 4.2.2.17; tcp(7), TCP_USER_TIMEOUT",
	Expects: []string{"unread-data"},
	Acts:    []lab.Act{socketCrowd},
	Play: func(ctx context.Context, s *lab.Stage) error {
		u := &unread{Stage: s}
		return inOrder(ctx, u.open, u.fill, u.diagnosis, u.sender, u.limit, u.read, func(ctx context.Context) error {
			return quiet(ctx, s, "Nothing waits any more: all connections are open, and their queues are empty.")
		})
	},
}

const (
	unreadCount = 12
	unreadLimit = 500 * time.Millisecond // TCP_USER_TIMEOUT of one that has it
)

// unread is a play of UnreadData under way.
type unread struct {
	*lab.Stage
	crowds
	tap     *lab.Tap
	port    uint16 // the local port of the first client
	written int
}

func (u *unread) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A server, and clients that have much to say"}
	// Small buffers are full soon.
	for name, value := range map[string]string{"tcp_rmem": "4096 65536 131072", "tcp_wmem": "4096 65536 131072"} {
		if err := u.Host.SetSysctl("net.ipv4."+name, value); err != nil {
			return err
		}
	}
	if u.tap, err = u.Host.Tap(ctx, "lo"); err != nil {
		return err
	}
	if u.crowds, err = startCrowds(ctx, u.Host, u.Host, stock, listenBacklog); err != nil {
		return err
	}
	if _, err := u.server.must(ctx, crowdListen, listenOrderOf{prices, listenBacklog}); err != nil {
		return err
	}
	opened, err := u.connect(ctx, stock, unreadCount)
	if err != nil {
		return err
	}
	u.port = opened.First
	u.introduce(&step)
	step.Done = append(step.Done, fmt.Sprintf("It opens %s connections, and the server accepts them. net.ipv4.tcp_rmem and net.ipv4.tcp_wmem are small, so that the queues fill soon.",
		step.Count("connections_count", opened.Count)))
	u.Tell(step)
	return nil
}

func (u *unread) fill(ctx context.Context) error {
	step := lab.Step{Name: "fill", Title: "The clients write, the server does not read"}
	w, err := u.client.must(ctx, crowdWrite, writeOrder{Of: stock, Fill: true})
	if err != nil {
		return err
	}
	if err := exactly("connections whose queue is full", w.Full, unreadCount); err != nil {
		return err
	}
	u.written = w.Bytes
	received, queued, err := u.stuck(ctx, stock, unreadCount)
	if err != nil {
		return err
	}
	if received+queued != w.Bytes {
		return fmt.Errorf("of %d bytes %d are in Recv-Q and %d in Send-Q", w.Bytes, received, queued)
	}
	shut, err := u.tap.Wait(ctx, 1, lab.Both(fromPort(u.port), u.shut))
	if err != nil {
		return err
	}
	probes, err := u.tap.Wait(ctx, 2, lab.Both(fromPort(u.port), windowProbe))
	if err != nil {
		return err
	}
	for _, c := range u.tap.Select(fromPort(u.port)) {
		if c.Segment.At >= shut[0].Segment.At && c.Segment.At <= probes[1].Segment.At {
			step.Segments = append(step.Segments, c)
		}
	}
	step.Done = []string{"On each connection shop-client writes until the kernel takes no more. stock-server does not call read(): it waits for a lock, or was stopped, or has forgotten them."}
	step.Shown = []string{
		fmt.Sprintf("The kernel took %s bytes in all. %s of them are in Recv-Q at the server, and %s in Send-Q at the client. A further write() gives EAGAIN, unless it may wait. On the connection from local port %s this crosses since:",
			step.Count("written_bytes", w.Bytes), step.Count("recv_q_bytes", received), step.Count("send_q_bytes", queued), step.ID("client_port", int(u.port))),
	}
	step.Means = []string{
		"With its queue full the server's kernel announces a window of no bytes, and the client's must not send. It asks again and again with a window probe, since an announcement that the window is open again might get lost, and each is answered. " +
			"So the server's host is well and says so, for as long as its program does not read.",
	}
	u.Tell(step)
	return nil
}

// stuck waits until n connections to a service have data that is not read, and
// probe the window. It gives the bytes in all Recv-Q and Send-Q.
func (u *unread) stuck(ctx context.Context, service netip.AddrPort, n int) (received, queued int, err error) {
	err = lab.Until(ctx, "the window to shut", func() (bool, error) {
		sockets, err := u.Sockets(ctx, u.Host)
		if err != nil {
			return false, err
		}
		full, probing := 0, 0
		received, queued = 0, 0
		for _, s := range sockets {
			switch {
			case s.State != tcpvet.Established:
			case tcpvet.Unmap(s.Local) == service && s.RecvQ > 0:
				full++
				received += int(s.RecvQ)
			case tcpvet.Unmap(s.Remote) == service && s.Timer.Kind == tcpvet.TimerPersist:
				probing++
				queued += int(s.SendQ)
			}
		}
		return full == n && probing == n, nil
	})
	return received, queued, err
}

// shut matches the announcement of a window of 0 by the server.
func (u *unread) shut(c *lab.Crossing) bool {
	return c.Segment.Src == u.service && c.Segment.Window == 0 && !lab.RST(c)
}

func windowProbe(c *lab.Crossing) bool { return c.Step.What.Has(capture.WindowProbe) }

func (u *unread) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	if err := lab.Wait(ctx, u.Patience); err != nil {
		return err
	}
	err := judgeEach(ctx, u.Stage, &step, lab.Expect{Rules: []string{"unread-data"}}, "unread-data",
		lab.Particulars{Kind: "unread", Severity: tcpvet.Warning},
		lab.Particulars{Kind: "blocked", Severity: tcpvet.Info})
	if err != nil {
		return err
	}
	step.Means = []string{"An application that reads leaves nothing in Recv-Q for so long. The two findings are the two ends of one fault."}
	u.Tell(step)
	return nil
}

// sender looks at the client's end alone.
func (u *unread) sender(ctx context.Context) error {
	step := lab.Step{Name: "sender", Title: "The client's side"}
	var most tcpvet.Socket
	err := lab.Until(ctx, "a window probe", func() (bool, error) {
		sockets, err := u.Sockets(ctx, u.Host)
		for _, s := range sockets {
			if tcpvet.Unmap(s.Remote) == stock && s.Timer.Kind == tcpvet.TimerPersist && s.State == tcpvet.Established {
				most = s
			}
		}
		return most.Timer.Kind == tcpvet.TimerPersist, err
	})
	if err != nil {
		return err
	}
	step.Done = []string{"Nothing changes."}
	step.Shown = []string{fmt.Sprintf("ss -o shows timer:(persist,TIME,%s) at one of the client's ends, with Send-Q %s. All of them are in ESTAB.",
		step.Count("persist_count", int(most.Timer.Retransmits)), step.Count("send_q_bytes", int(most.SendQ)))}
	step.Means = []string{
		"No timer ends this. A connection whose probes are answered is kept for as long as the programs live (RFC 1122, section 4.2.2.17), and SO_KEEPALIVE would be answered too. At the sender only a time limit helps.",
	}
	u.Tell(step)
	return nil
}

// limit shows a connection that has one.
func (u *unread) limit(ctx context.Context) error {
	step := lab.Step{Name: "time-limit", Title: "A client with a time limit"}
	opened, err := u.client.must(ctx, crowdConnect, connectOrder{To: prices, Count: 1, Options: userTimeout(unreadLimit)})
	if err != nil {
		return err
	}
	if _, err := u.server.must(ctx, crowdAccept, acceptOrder{On: prices, Count: 1}); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := u.client.must(ctx, crowdWrite, writeOrder{Of: prices, Fill: true}); err != nil {
		return err
	}
	ends, err := u.Settled(ctx, prices, "the client to give up", func(e lab.Ends) bool { return e.Client[tcpvet.Established] == 0 })
	if err != nil {
		return err
	}
	took := time.Since(begin)
	read, err := u.client.try(ctx, crowdRead, crowdOf{prices})
	if err != nil {
		return err
	}
	if err := failsBy(read.Failure, "recv", "ETIMEDOUT"); err != nil {
		return err
	}
	if took < unreadLimit {
		return fmt.Errorf("TCP_USER_TIMEOUT of %v ended the connection after %v", unreadLimit, took)
	}
	if ends.Server[tcpvet.Established] != 1 {
		return fmt.Errorf("the server's end of the connection that timed out is gone: %v", ends)
	}
	for _, c := range []crowd{u.client, u.server} {
		if _, err := c.must(ctx, crowdClose, crowdOf{prices}); err != nil {
			return err
		}
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("One more connection, from local port %s to %s, on which the client sets TCP_USER_TIMEOUT to %s. It too writes until the queue is full.",
		step.ID("limited_port", int(opened.First)), prices, step.Seconds("limit_seconds", unreadLimit))}
	step.Shown = []string{fmt.Sprintf("%s later the client's end is gone, and the program gets \"%v\" (errno %s, %s). The server's end stays, until that program reads or closes:",
		step.Seconds("given_up_seconds", took), read.Failure, step.ID("errno", read.Failure.Errno), read.Failure.name())}
	step.Means = []string{"TCP_USER_TIMEOUT ends a connection whose window stays shut, though the probes are answered. A time limit for write() in the program does as well."}
	u.Tell(step)
	return nil
}

// read lets the server read at last.
func (u *unread) read(ctx context.Context) error {
	step := lab.Step{Name: "read", Title: "The server reads"}
	begin := time.Now()
	got := 0
	err := lab.Until(ctx, "all data to arrive", func() (bool, error) {
		r, err := u.server.must(ctx, crowdRead, crowdOf{stock})
		got += r.Bytes
		return got >= u.written, err
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := exactly("bytes that were read", got, u.written); err != nil {
		return err
	}
	err = lab.Until(ctx, "the client's queues to be empty", func() (bool, error) {
		sockets, err := u.Sockets(ctx, u.Host)
		for _, s := range sockets {
			if s.State == tcpvet.Established && s.SendQ > 0 {
				return false, err
			}
		}
		return true, err
	})
	if err != nil {
		return err
	}
	step.Done = []string{"stock-server reads from all of its connections until nothing more comes."}
	step.Shown = []string{fmt.Sprintf("It gets all %s bytes, in %s: each read() opens the window, and the client's kernel sends what it had kept.",
		step.Count("read_bytes", got), step.Millis("read_ms", took))}
	step.Means = []string{"Nothing was lost. The cure is at the end that does not read; larger buffers would have been full a little later."}
	u.Tell(step)
	return nil
}
