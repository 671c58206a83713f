package scenarios

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// FourWayClose closes one connection between two hosts, and stops the segments
// on the way so that the states of both ends can be seen.
var FourWayClose = &lab.Scenario{
	Name:      "four-way-close",
	Title:     "how a connection closes, segment by segment",
	Source:    "article: the four-way close; RFC 9293, section 3.6",
	Claims:    []int{3, 4, 6, 8, 19},
	Needs:     []lab.Need{lab.TUN},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"60 s from the last", "gives 0 bytes"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		f := &fourWay{Stage: s}
		return inOrder(ctx, f.open, f.finWait1, f.closeWait, f.lastAck, f.over, func(ctx context.Context) error {
			return quiet(ctx, s, "One connection in TIME-WAIT is what a close leaves behind. It is no finding.")
		})
	},
}

// fourWay is a play of FourWayClose under way.
type fourWay struct {
	*lab.Stage
	*connectedPair
	tunnel      *lab.Tunnel
	fin, ack    lab.Held
	clientClose time.Time
}

func (f *fourWay) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection over a link that can be stopped"}
	if f.connectedPair, f.tunnel, err = tunnelPair(ctx, f.Stage, &step); err != nil {
		return err
	}
	ends, err := f.Settled(ctx, f.service, "both ends to be open", states(tcpvet.Established, tcpvet.Established))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Shown = []string{"The kernel's sockets by state, for either end:"}
	f.Tell(step)
	return nil
}

// finWait1 has the client close, and keeps its FIN back.
func (f *fourWay) finWait1(ctx context.Context) error {
	step := lab.Step{Name: "fin", Title: "The client closes"}
	// What is kept back is sent again by its kernel: only the first one is
	// to arrive.
	f.tunnel.Drop(f.clientSends(lab.FIN))
	f.fin = f.tunnel.Hold(lab.Nth(1, f.clientSends(lab.FIN)))
	f.clientClose = time.Now()
	c, err := f.client.must(ctx, callClose, socketCall{f.inClient})
	if err != nil {
		return err
	}
	if err := f.fin.Wait(ctx, 1); err != nil {
		return err
	}
	ends, err := f.Settled(ctx, f.service, "the client's FIN", states(tcpvet.FinWait1, tcpvet.Established))
	if err != nil {
		return err
	}
	if sock, err := socketAt(ctx, f.Stage, f.Host, f.from, f.service); err != nil || sock == nil || sock.Inode != 0 {
		return errors.Join(fmt.Errorf("after close() the client's end is %+v, want one without an inode, so nobody's", sock), err)
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client calls close(), which returns after %s. The FIN that its kernel sends is kept back.", step.Micros("close_micros", c.Took))}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{
		"FIN-WAIT-1: the FIN is sent and not yet acknowledged. No process holds the client's end any more; the kernel does the rest. The server's end knows of nothing.",
	}
	f.Tell(step)
	return nil
}

// closeWait lets the FIN arrive, and looks before the server does.
func (f *fourWay) closeWait(ctx context.Context) error {
	step := lab.Step{Name: "ack", Title: "The server's kernel acknowledges, and the server does nothing"}
	f.fin.Release()
	ends, err := f.Settled(ctx, f.service, "the ACK of the FIN", states(tcpvet.FinWait2, tcpvet.CloseWait))
	if err != nil {
		return err
	}
	before, err := f.recvQ(ctx)
	if err != nil {
		return err
	}
	r, err := f.server.must(ctx, callRead, socketCall{f.inServer})
	if err != nil {
		return err
	}
	after, err := f.recvQ(ctx)
	if err != nil {
		return err
	}
	if !r.End || before != 1 || after != 0 {
		return fmt.Errorf("read() of the server: end %v, Recv-Q %d before and %d after it, want the end, 1 and 0", r.End, before, after)
	}
	step.Ends = &ends
	step.Segments = since(f.tunnel.Select(arrived(lab.AnySegment)), f.clientSends(lab.FIN))
	step.Done = []string{"The FIN goes on its way. Only after both ends were looked at is the server told to call read()."}
	step.Shown = []string{
		fmt.Sprintf("The Recv-Q of the server's end is %s, though no byte of data was sent. Then read() gives the end, and Recv-Q is %s.",
			step.Count("recvq_before_count", int(before)), step.Count("recvq_after_count", int(after))),
	}
	step.Means = []string{
		"CLOSE-WAIT: the peer has closed, and this end has acknowledged it. The kernel did that alone, before the program had made a single call. " +
			"So the article is wrong to say that CLOSE_WAIT comes from an ACK that the program did not send: what is missing is the FIN, and close() sends that.",
		"FIN-WAIT-2: the FIN is acknowledged, and the other's FIN is yet to come. The article says that this end has more data to send. It is the other way round: this end has said " +
			"that it sends no more, and the one in CLOSE-WAIT still may.",
		"The unread FIN counts as one byte in Recv-Q. A read() that gives 0 bytes is how a program learns that the peer has closed.",
	}
	f.Tell(step)
	return nil
}

// recvQ gives that of the server's end.
func (f *fourWay) recvQ(ctx context.Context) (uint32, error) {
	sock, err := socketAt(ctx, f.Stage, f.tunnel.B.Host, f.service, f.from)
	if err != nil {
		return 0, err
	}
	if sock == nil {
		return 0, fmt.Errorf("the server's end of the connection to %s is gone", f.from)
	}
	return sock.RecvQ, nil
}

// lastAck has the server close, and keeps the last ACK back.
func (f *fourWay) lastAck(ctx context.Context) error {
	step := lab.Step{Name: "second-fin", Title: "The server closes too"}
	f.tunnel.Drop(f.clientSends(lab.PureACK))
	f.tunnel.Drop(afterFirst(f.serverSends(lab.FIN)))
	f.ack = f.tunnel.Hold(lab.Nth(1, f.clientSends(lab.PureACK)))
	if _, err := f.server.must(ctx, callClose, socketCall{f.inServer}); err != nil {
		return err
	}
	if err := f.ack.Wait(ctx, 1); err != nil {
		return err
	}
	ends, err := f.Settled(ctx, f.service, "the server's FIN", states(tcpvet.TimeWait, tcpvet.LastAck))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = since(f.tunnel.Select(arrived(lab.AnySegment)), f.clientSends(lab.FIN))
	step.Done = []string{"stock-server calls close(). Its FIN arrives; the ACK of it is kept back."}
	step.Shown = []string{"What has crossed since the client closed, and the sockets:"}
	step.Means = []string{
		"LAST-ACK is at the end that closed second, here the server, which waits for the ACK of its FIN. The article has the client enter it at this third step, and the server in " +
			"its later list: the list is right. The client, which closed first, is in TIME-WAIT as soon as the server's FIN has come.",
	}
	f.Tell(step)
	return nil
}

// afterFirst matches every segment that m does but the first. As lab.Nth, it
// serves one rule only.
func afterFirst(m lab.Match) lab.Match {
	seen := false
	return func(c *lab.Crossing) bool {
		if !m(c) {
			return false
		}
		again := seen
		seen = true
		return again
	}
}

// over lets the last ACK arrive.
func (f *fourWay) over(ctx context.Context) error {
	step := lab.Step{Name: "last-ack", Title: "The last ACK"}
	f.ack.Release()
	ends, err := f.Settled(ctx, f.service, "the last ACK", states(tcpvet.TimeWait, 0))
	if err != nil {
		return err
	}
	tw, err := socketAt(ctx, f.Stage, f.Host, f.from, f.service)
	if err != nil {
		return err
	}
	if tw == nil || tw.State != tcpvet.TimeWait || tw.Timer.Kind != tcpvet.TimerTimeWait || tw.Timer.Expires > timeWait {
		return fmt.Errorf("the client's end is %+v, not in a TIME-WAIT of at most %s", tw, timeWait)
	}
	// FIN, ACK, FIN, ACK.
	segments := since(f.tunnel.Select(arrived(lab.AnySegment)), f.clientSends(lab.FIN))
	if len(segments) != 4 || !f.clientSends(lab.FIN)(&segments[0]) || !f.serverSends(lab.PureACK)(&segments[1]) ||
		!f.serverSends(lab.FIN)(&segments[2]) || !f.clientSends(lab.PureACK)(&segments[3]) {
		return fmt.Errorf("the close took other segments than FIN, ACK, FIN, ACK: %v", texts(segments))
	}
	fin, ack, fin2, ack2 := &segments[0].Segment, &segments[1].Segment, &segments[2].Segment, &segments[3].Segment
	if ack.Ack != fin.Seq+1 || ack2.Ack != fin2.Seq+1 {
		return fmt.Errorf("the FINs have the sequence numbers %d and %d, and %d and %d are acknowledged", fin.Seq, fin2.Seq, ack.Ack, ack2.Ack)
	}
	step.Ends = &ends
	step.Segments = segments
	step.Done = []string{"The ACK goes on its way."}
	step.Shown = []string{
		fmt.Sprintf("The client's FIN has the sequence number %s, and %s is acknowledged. The server's has %s, and %s is acknowledged.",
			step.ID("client_fin_seq", int(fin.Seq)), step.ID("client_fin_acknowledged", int(ack.Ack)),
			step.ID("server_fin_seq", int(fin2.Seq)), step.ID("server_fin_acknowledged", int(ack2.Ack))),
		fmt.Sprintf("%s segments crossed. Between the ACK of the first FIN and the second FIN lie %s, in which the server had not closed. TIME-WAIT has %s left.",
			step.Count("segments_count", len(segments)), step.Millis("between_millis", time.Duration(fin2.At-ack.At)), step.Seconds("time_wait_left_seconds", tw.Timer.Expires)),
	}
	step.Means = []string{
		"A FIN counts as one byte, as a SYN does, so each is acknowledged by the next number. As the article says: it takes four segments, since the server may have more to send after the client's FIN, and its " +
			"own FIN has to wait for that. The opening takes three because a server has no reason to wait with its SYN. A server that closes before its kernel has sent the ACK sends both in one: scenario three-way-close.",
		"The server's end is gone. The client's stays in TIME-WAIT, on Linux for 60 s from the last FIN that it gets: scenario lost-last-ack shows why.",
	}
	f.Tell(step)
	return nil
}

// timeWait is TCP_TIMEWAIT_LEN (include/net/tcp.h).
const timeWait = 60 * time.Second

// texts gives segments in words, for errors.
func texts(segments []lab.Crossing) []string {
	var words []string
	for i := range segments {
		words = append(words, segments[i].Segment.Src.String()+" "+segments[i].String())
	}
	return words
}
