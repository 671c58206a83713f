package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// Nagle writes small messages in two pieces, and shows what Nagle's algorithm and
// delayed ACKs make of it.
var Nagle = &lab.Scenario{
	Name:      "nagle",
	Title:     "two small writes and a read: Nagle's algorithm waits for a delayed ACK",
	Source:    "article: Nagle's algorithm; RFC 9293, sections 3.7.4 and 3.8.6.3; tcp(7), TCP_NODELAY",
	Claims:    []int{25},
	Acts:      []lab.Act{smallWrites},
	Constants: []string{"40 ms at least"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		n := &nagle{Stage: s}
		return inOrder(ctx, n.open, n.delayed, n.noDelay, n.oneWrite, func(ctx context.Context) error {
			return quiet(ctx, s, "No table of sockets shows this. It shows in a recording: tcpvet pcap and tcpvet capture note nagle-delayed-ack.")
		})
	},
}

// A message has two pieces, of different sizes so that a recording tells them
// apart.
const (
	headBytes = 40
	bodyBytes = 20

	// messages is more than the quick ACKs with which a connection begins.
	messages = 30

	// The least delay of an ACK is 40 ms in Linux (TCP_DELACK_MIN); its timer
	// may be early by a tick, of 10 ms at most.
	leastDelayed = 30 * time.Millisecond
)

// nagle is a play of Nagle under way.
type nagle struct {
	*lab.Stage
	*connectedPair
	tap *lab.Tap
}

func (n *nagle) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A client that writes a message in two pieces"}
	server, err := n.NewHost(ctx, "server")
	if err != nil {
		return err
	}
	link, err := n.Link(ctx, n.Host, server, lab.LinkOptions{})
	if err != nil {
		return err
	}
	if n.tap, err = n.Host.Tap(ctx, link.A.Interface); err != nil {
		return err
	}
	n.connectedPair = &connectedPair{service: netip.AddrPortFrom(link.B.Addr4, 8080)}
	if n.server.Process, err = server.Start(smallWrites, "stock-server", n.service.String()); err != nil {
		return err
	}
	l, err := n.server.must(ctx, callListen, listenCall{On: n.service})
	if err != nil {
		return err
	}
	n.listener = l.FD
	if n.client.Process, err = n.Host.Start(smallWrites, "shop-client", n.service.String()); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("The client's host has the address %s, the server's %s. What crosses the link between them is recorded at the client's end.", link.A.Addr4, link.B.Addr4),
		fmt.Sprintf("shop-client (process %s) will send messages to stock-server (process %s), which listens on %s and answers each once it has all of it.",
			step.ID("client_pid", n.client.PID), step.ID("server_pid", n.server.PID), n.service),
	}
	n.Tell(step)
	return nil
}

// talk opens a connection with these options, and sends the messages over it in
// pieces of these sizes.
func (n *nagle) talk(ctx context.Context, options []option, pieces ...int) (talked, []lab.Crossing, error) {
	var asked talked
	bytes := 0
	for _, size := range pieces {
		bytes += size
	}
	one, err := n.another(ctx, options)
	if err != nil {
		return asked, nil, err
	}
	answered := make(chan error, 1)
	go func() {
		answered <- n.server.Cue(ctx, callAnswer, answerPiecesOrder{one.inServer, bytes, messages}, &talked{})
	}()
	if err := n.client.Cue(ctx, callAsk, askInPiecesOrder{one.inClient, pieces, messages}, &asked); err != nil {
		return asked, nil, err
	}
	if err := <-answered; err != nil {
		return asked, nil, err
	}
	// The last answer is in the recording once so many are.
	if _, err := n.tap.Wait(ctx, messages, one.serverSends(lab.Data)); err != nil {
		return asked, nil, err
	}
	crossed := n.tap.Select(func(c *lab.Crossing) bool {
		return one.clientSends(lab.AnySegment)(c) || one.serverSends(lab.AnySegment)(c)
	})
	n.from = one.from
	return asked, crossed, nil
}

// lastMessage gives what crossed for the last message.
func (n *nagle) lastMessage(crossed []lab.Crossing, first int) []lab.Crossing {
	for i := len(crossed) - 1; i >= 0; i-- {
		if n.clientSends(lab.Data)(&crossed[i]) && crossed[i].Segment.Len == first {
			return crossed[i:]
		}
	}
	return nil
}

// waited counts the messages whose second piece crossed only after the server's ACK
// of the first.
func (n *nagle) waited(crossed []lab.Crossing) (after, all int) {
	acknowledged := false
	for i := range crossed {
		switch c := &crossed[i]; {
		case n.clientSends(lab.Data)(c) && c.Segment.Len == headBytes:
			acknowledged = false
		case n.serverSends(lab.PureACK)(c):
			acknowledged = true
		case n.clientSends(lab.Data)(c):
			if all++; acknowledged {
				after++
			}
		}
	}
	return after, all
}

func (n *nagle) delayed(ctx context.Context) error {
	step := lab.Step{Name: "delayed", Title: "As the kernel does it unasked"}
	t, crossed, err := n.talk(ctx, nil, headBytes, bodyBytes)
	if err != nil {
		return err
	}
	if t.Median < leastDelayed {
		return fmt.Errorf("half of the messages took %s or less: no ACK was delayed", t.Median)
	}
	after, all := n.waited(crossed)
	if 2*after <= all {
		return fmt.Errorf("of %d messages only %d waited for an ACK between their pieces", all, after)
	}
	note, err := noteOfStalls(n.tap, int(n.from.Port()))
	if err != nil {
		return err
	}
	if note == nil {
		return fmt.Errorf("the recording has no note %s", tcpvet.NagleDelayedACK)
	}
	step.Segments = n.lastMessage(crossed, headBytes)
	step.Done = []string{fmt.Sprintf("For each of %s messages shop-client calls write() with %s bytes, write() with %s, and read().",
		step.Count("messages_count", t.Times), step.Count("head_bytes", headBytes), step.Count("body_bytes", bodyBytes))}
	step.Shown = []string{
		fmt.Sprintf("From the first write() to the answer it takes %s (median). %s of the second pieces left only after the first had been acknowledged. For the last message crossed:",
			step.Millis("median_ms", t.Median), step.Count("waited_count", after)),
	}
	step.Means = []string{
		"Nagle's algorithm, in the client's kernel: while a small segment is not acknowledged, no other small one leaves. So the second piece waits for an ACK, though write() has returned.",
		"Delayed ACK, in the server's kernel: an ACK waits for an answer that could carry it, for 40 ms at least. The server cannot answer, since it has one piece only. Each waits for the other, until that time is over. Only the first few ACKs of a connection come at once.",
		fmt.Sprintf("In the recording tcpvet counts %s such waits, of %s on average (nagle-delayed-ack).",
			step.Count("stalls_count", int(note.Count)), step.Millis("stall_ms", note.Took/time.Duration(note.Count))),
	}
	n.Tell(step)
	return nil
}

// unstalled makes sure that the recording has no note about the connection.
func (n *nagle) unstalled() error {
	note, err := noteOfStalls(n.tap, int(n.from.Port()))
	if err == nil && note != nil && note.Certainty == tcpvet.Certain {
		err = fmt.Errorf("the recording has a note that is not true: %s", note.Text)
	}
	return err
}

func (n *nagle) noDelay(ctx context.Context) error {
	step := lab.Step{Name: "no-delay", Title: "With TCP_NODELAY"}
	t, crossed, err := n.talk(ctx, []option{{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}}, headBytes, bodyBytes)
	if err != nil {
		return err
	}
	after, all := n.waited(crossed)
	if 2*after >= all {
		return fmt.Errorf("with TCP_NODELAY %d of %d messages waited for an ACK between their pieces", after, all)
	}
	if err := n.unstalled(); err != nil {
		return err
	}
	step.Segments = n.lastMessage(crossed, headBytes)
	step.Done = []string{fmt.Sprintf("The same over a connection on which shop-client has set TCP_NODELAY: %s messages, in two pieces each.", step.Count("messages_count", t.Times))}
	step.Shown = []string{fmt.Sprintf("A message takes %s (median). For the last one crossed:", step.Micros("median_us", t.Median))}
	step.Means = []string{"TCP_NODELAY turns Nagle's algorithm off: each piece leaves at once. The server has the whole message before it would delay anything."}
	n.Tell(step)
	return nil
}

func (n *nagle) oneWrite(ctx context.Context) error {
	step := lab.Step{Name: "one-write", Title: "In one piece"}
	t, crossed, err := n.talk(ctx, nil, headBytes+bodyBytes)
	if err != nil {
		return err
	}
	if err := n.unstalled(); err != nil {
		return err
	}
	step.Segments = n.lastMessage(crossed, headBytes+bodyBytes)
	step.Done = []string{fmt.Sprintf("Without TCP_NODELAY, but shop-client writes all %s bytes of a message by one call of write(). Again %s messages.",
		step.Count("message_bytes", headBytes+bodyBytes), step.Count("messages_count", t.Times))}
	step.Shown = []string{fmt.Sprintf("A message takes %s (median). For the last one crossed:", step.Micros("median_us", t.Median))}
	step.Means = []string{
		"Nagle's algorithm does no harm to a program that writes a message at once and then waits for the answer. What it was made for is the opposite: many small writes without an answer between them, which it packs into few segments.",
	}
	n.Tell(step)
	return nil
}

// noteOfStalls gives the note nagle-delayed-ack of the connection from a port, nil
// for none.
func noteOfStalls(tap *lab.Tap, port int) (*tcpvet.Note, error) {
	for _, c := range tap.Conversations() {
		if int(c.Client.Port()) != port {
			continue
		}
		for i := range c.Notes {
			if c.Notes[i].Kind == tcpvet.NagleDelayedACK {
				return &c.Notes[i], nil
			}
		}
		return nil, nil
	}
	return nil, fmt.Errorf("find the conversation from port %d: it was not recorded", port)
}
