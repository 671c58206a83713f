package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// AcceptQueueFull is a server that listens and does not accept.
var AcceptQueueFull = &lab.Scenario{
	Name:    "accept-queue-full",
	Title:   "a server that does not accept: its clients are not refused, they hang",
	Source:  "listen(2); kernel functions sk_acceptq_is_full and tcp_conn_request; RFC 9293, section 3.10.7.2",
	Expects: []string{"accept-queue-full", "syn-sent-pileup"},
	Acts:    []lab.Act{socketCrowd},
	Play: func(ctx context.Context, s *lab.Stage) error {
		q := &fullQueue{Stage: s}
		return inOrder(ctx, q.open, q.fill, q.hang, q.diagnosis, q.accept, func(ctx context.Context) error {
			return quiet(ctx, s, "All clients are connected, the queue is empty, and each request has been read.")
		})
	},
}

const (
	acceptBacklog = 4
	acceptHanging = 10 // enough for syn-sent-pileup to warn
)

// fullQueue is a play of AcceptQueueFull under way.
type fullQueue struct {
	*lab.Stage
	crowds
	tap   *lab.Tap
	queue tcpvet.Queue // when it was full
	first uint16       // local port of the first client that hangs
}

func (q *fullQueue) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A server with a short queue"}
	if q.tap, err = q.Host.Tap(ctx, "lo"); err != nil {
		return err
	}
	if q.crowds, err = startCrowds(ctx, q.Host, q.Host, stock, acceptBacklog); err != nil {
		return err
	}
	q.introduce(&step)
	step.Done = append(step.Done, fmt.Sprintf("It calls listen() with a backlog of %s, and then never accept(), as a program whose workers are all busy, or that waits for a lock.",
		step.Count("backlog_count", acceptBacklog)))
	q.Tell(step)
	return nil
}

// fill connects as many as the kernel lets in.
func (q *fullQueue) fill(ctx context.Context) error {
	step := lab.Step{Name: "fill", Title: "The first clients connect, though nobody accepts them"}
	const fits = acceptBacklog + 1 // sk_acceptq_is_full asks whether there are more than the limit
	if _, err := q.client.must(ctx, crowdConnect, connectOrder{To: stock, Count: fits}); err != nil {
		return err
	}
	w, err := q.client.must(ctx, crowdWrite, writeOrder{Of: stock, Each: len(request)})
	if err != nil {
		return err
	}
	ends, err := q.Settled(ctx, stock, "the connections to be open", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == fits && e.Server[tcpvet.Established] == fits
	})
	if err != nil {
		return err
	}
	if q.queue, err = q.listener(ctx); err != nil {
		return err
	}
	if q.queue.Length != fits || q.queue.Limit != acceptBacklog {
		return fmt.Errorf("the accept queue holds %d of %d, not %d of %d", q.queue.Length, q.queue.Limit, fits, acceptBacklog)
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client connects %s times, and writes a request of %s bytes to each connection.",
		step.Count("connected_count", w.Count), step.Count("request_bytes", len(request)))}
	step.Shown = []string{
		fmt.Sprintf("All of these calls succeed. ss -ltn shows the listener with Recv-Q %s, the connections that wait, and Send-Q %s, the limit. The sockets:",
			step.Count("queued_count", int(q.queue.Length)), step.Count("limit_count", int(q.queue.Limit))),
	}
	step.Means = []string{
		"The kernel completes handshakes by itself, acknowledges the data and queues the connections until accept() takes them. A connect() that succeeds does not say that the program over there is well. " +
			"The queue takes one more than its limit.",
	}
	q.Tell(step)
	return nil
}

// listener gives the queue of the server.
func (q *fullQueue) listener(ctx context.Context) (tcpvet.Queue, error) {
	census, err := q.Census(ctx)
	if err != nil {
		return tcpvet.Queue{}, err
	}
	for l, queue := range census.Listeners {
		if l.Local == stock {
			return *queue, nil
		}
	}
	return tcpvet.Queue{}, fmt.Errorf("find the listener on %s: the look has none", stock)
}

// hang connects more, in vain.
func (q *fullQueue) hang(ctx context.Context) error {
	step := lab.Step{Name: "hang", Title: "The next ones hang"}
	before, err := q.drops(ctx)
	if err != nil {
		return err
	}
	begun, err := q.client.must(ctx, crowdConnect, connectOrder{To: stock, Count: acceptHanging, NoWait: true})
	if err != nil {
		return err
	}
	q.first = begun.First
	syn := lab.Both(fromPort(q.first), lab.SYN)
	if _, err := q.tap.Wait(ctx, 3, syn); err != nil {
		return err
	}
	ends, err := q.Settled(ctx, stock, "the others to hang", func(e lab.Ends) bool { return e.Client[tcpvet.SynSent] == acceptHanging })
	if err != nil {
		return err
	}
	after, err := q.drops(ctx)
	if err != nil {
		return err
	}
	queue, err := q.listener(ctx)
	if err != nil {
		return err
	}
	switch {
	case queue.Length != q.queue.Length:
		return fmt.Errorf("the accept queue holds %d, not %d as before", queue.Length, q.queue.Length)
	case after < before+2*acceptHanging: // the first has sent three, and the others not much less
		return fmt.Errorf("TcpExtListenOverflows went from %d to %d while %d clients sent SYNs", before, after, acceptHanging)
	case len(q.tap.Select(lab.RST)) > 0:
		return fmt.Errorf("the kernel refused a client: %v", texts(q.tap.Select(lab.RST)))
	}
	step.Ends = &ends
	step.Segments = q.tap.Select(fromPort(q.first))
	last := &step.Segments[len(step.Segments)-1]
	step.Done = []string{fmt.Sprintf("shop-client calls connect() %s times more.", step.Count("hanging_count", begun.Count))}
	step.Shown = []string{
		fmt.Sprintf("From local port %s go %s SYNs in %s, and no answer comes: neither SYN-ACK nor RST. The others fare alike. TcpExtListenOverflows goes from %s to %s. The sockets:",
			step.ID("hanging_port", int(q.first)), step.Count("syn_count", len(step.Segments)), step.Seconds("syn_seconds", at(last).Sub(at(&step.Segments[0]))),
			step.Count("overflows_before_count", int(before)), step.Count("overflows_count", int(after))),
	}
	step.Means = []string{
		"Once the queue is over its limit the kernel drops the SYNs, in the hope that the program catches up before the client tries again. A client cannot tell that from a firewall that drops, or from a host that is gone: " +
			"connect() waits, and in the end fails with ETIMEDOUT, never with ECONNREFUSED.",
	}
	q.Tell(step)
	return nil
}

func (q *fullQueue) drops(ctx context.Context) (uint64, error) {
	return counter(ctx, q.Stage, q.Host, "TcpExtListenOverflows")
}

func (q *fullQueue) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := q.Judge(ctx, &step, lab.Expect{
		Rules: []string{"accept-queue-full", "syn-sent-pileup"},
		Of: map[string]lab.Particulars{
			"accept-queue-full": {Kind: "full", Severity: tcpvet.Critical, Service: stock},
			"syn-sent-pileup":   {Kind: "unanswered", Severity: tcpvet.Warning, Service: stock},
		},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"It finds both ends of the fault, since both are on this host. Where the clients are elsewhere, they show SYN-SENT there and nothing more, and the cause is found here."}
	q.Tell(step)
	return nil
}

// accept empties the queue.
func (q *fullQueue) accept(ctx context.Context) error {
	step := lab.Step{Name: "accept", Title: "The server accepts again"}
	const all = acceptBacklog + 1 + acceptHanging
	begin := time.Now()
	accepting := make(chan error, 1)
	go func() {
		_, err := q.server.must(ctx, crowdAccept, acceptOrder{On: stock, Count: all})
		accepting <- err
	}()
	err := lab.Until(ctx, "all clients to be connected", func() (bool, error) {
		c, err := q.client.must(ctx, crowdConnected, crowdOf{stock})
		return c.Count == all, err
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	between, err := q.Ends(ctx, stock)
	if err != nil {
		return err
	}
	if _, err := q.client.must(ctx, crowdWrite, writeOrder{Of: stock, Each: len(request)}); err != nil {
		return err
	}
	if err := <-accepting; err != nil {
		return err
	}
	ends, err := q.Settled(ctx, stock, "both ends to be open", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == all && e.Server[tcpvet.Established] == all
	})
	if err != nil {
		return err
	}
	const requests = acceptBacklog + 1 + all
	read := 0
	err = lab.Until(ctx, "the requests to arrive", func() (bool, error) {
		r, err := q.server.must(ctx, crowdRead, crowdOf{stock})
		read += r.Bytes
		return read >= requests*len(request), err
	})
	if err != nil {
		return err
	}
	if err := exactly("bytes that were read", read, requests*len(request)); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"stock-server calls accept() in a loop. Once all clients are connected each of them writes a request, and the server reads what is there."}
	step.Shown = []string{
		fmt.Sprintf("After %s all %s clients are connected: those that hung got in with the next SYN that they sent. All %s requests arrive, those too that were written while nobody accepted.",
			step.Seconds("connected_seconds", took), step.Count("connected_count", all), step.Count("requests_count", requests)),
	}
	if known := between.Server[tcpvet.Established] + between.Server[tcpvet.SynRecv]; known < all {
		cookies, err := counter(ctx, q.Stage, q.Host, "TcpExtTCPReqQFullDoCookies")
		if err != nil {
			return err
		}
		if cookies < all-known {
			return fmt.Errorf("the server's kernel knows %d of %d connections, and sent %d cookies only", known, all, cookies)
		}
		step.Shown = append(step.Shown, fmt.Sprintf("Right after that the client's kernel had %s connections open, and the server's %s. Their SYNs had come all at once, and %s were answered by SYN cookies, of which nothing is kept; "+
			"then the queue was full again, and ACKs were dropped. Such a client believes to be connected, until it writes: by that the cookie comes once more.",
			step.Count("client_open_count", int(between.Client[tcpvet.Established])), step.Count("server_open_count", int(known)), step.Count("cookies_count", int(cookies))))
	}
	step.Means = []string{
		"The cure is a program that accepts: more workers, no call that blocks the loop, descriptors to spare. A larger backlog serves bursts that the program can work off; one that does not accept fills any queue, and its clients only wait longer.",
	}
	q.Tell(step)
	return nil
}
