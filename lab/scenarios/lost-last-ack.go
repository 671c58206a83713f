package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// LostLastAck loses the last ACK of a close: the first reason for TIME-WAIT.
var LostLastAck = &lab.Scenario{
	Name:      "lost-last-ack",
	Title:     "the last ACK of a close is lost, and TIME-WAIT answers for it",
	Source:    "article: question 1, why 2MSL; RFC 9293, sections 3.4.2 and 3.10.7.4",
	Claims:    []int{4, 5, 7},
	Needs:     []lab.Need{lab.TUN},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"MSL = 2", "2MSL", "2 minutes", "60 s in all"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &lostAck{Stage: s}
		return inOrder(ctx, l.open, l.lose, l.answer, func(ctx context.Context) error {
			return quiet(ctx, s, "The close is over. There is nothing to find.")
		}, l.without)
	},
}

// lostAck is a play of LostLastAck under way.
type lostAck struct {
	*lab.Stage
	*connectedPair
	tunnel          *lab.Tunnel
	acks, laterFINs *lab.Rule
}

func (l *lostAck) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection over a link that can lose segments"}
	if l.connectedPair, l.tunnel, err = tunnelPair(ctx, l.Stage, &step); err != nil {
		return err
	}
	l.Tell(step)
	return nil
}

// close closes both ends, the client's by the cue first, and loses the last ACK
// and what the server sends then.
func (l *lostAck) close(ctx context.Context, first string) error {
	if _, err := l.client.must(ctx, first, socketCall{l.inClient}); err != nil {
		return err
	}
	err := lab.Until(ctx, "the ACK of the client's FIN", func() (bool, error) {
		sock, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
		return sock != nil && sock.State == tcpvet.FinWait2, err
	})
	if err != nil {
		return err
	}
	l.acks = l.tunnel.Drop(l.clientSends(lab.PureACK))
	l.laterFINs = l.tunnel.Drop(afterFirst(l.serverSends(lab.FIN)))
	if _, err := l.server.must(ctx, callHangUp, socketCall{l.inServer}); err != nil {
		return err
	}
	return l.acks.Wait(ctx, 1)
}

func (l *lostAck) lose(ctx context.Context) error {
	step := lab.Step{Name: "lost", Title: "Both close, and the last ACK is lost"}
	if err := l.close(ctx, callClose); err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.service, "the server's FIN", states(tcpvet.TimeWait, tcpvet.LastAck))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = since(l.tunnel.Segments(), l.clientSends(lab.FIN))
	step.Done = []string{"shop-client closes, and then stock-server. The ACK of the server's FIN is lost on its way."}
	step.Shown = []string{"What crossed, and the sockets:"}
	step.Means = []string{"The server's end is in LAST-ACK and cannot leave it before an ACK comes. Its program has closed long ago. The client's end is in TIME-WAIT."}
	l.Tell(step)
	return nil
}

// lostFINs is how many more FINs are lost, so that the timer of TIME-WAIT has
// run for a while when one arrives.
const lostFINs = 2

func (l *lostAck) answer(ctx context.Context) error {
	step := lab.Step{Name: "again", Title: "The server sends its FIN again"}
	if err := l.laterFINs.Wait(ctx, lostFINs); err != nil {
		return err
	}
	before, _, until, err := l.rest(ctx)
	if err != nil {
		return err
	}
	l.laterFINs.Remove()
	l.acks.Remove()
	ends, err := l.Settled(ctx, l.service, "the ACK to be sent again", states(tcpvet.TimeWait, 0))
	if err != nil {
		return err
	}
	// A look that takes its time is no proof: then another is taken.
	var after time.Duration
	err = lab.Until(ctx, "a look at a TIME-WAIT that has begun again", func() (bool, error) {
		rest, least, _, err := l.rest(ctx)
		after = rest
		return least.After(until), err
	})
	if err != nil {
		return fmt.Errorf("%w: it had %s left before the FIN came again, and %s after", err, before, after)
	}
	fins := l.tunnel.Select(l.serverSends(lab.FIN))
	acks, err := l.tunnel.Wait(ctx, 1, l.clientSends(arrived(lab.Both(lab.PureACK, func(c *lab.Crossing) bool { return c.Segment.Ack == fins[0].Segment.Seq+1 }))))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = since(l.tunnel.Segments(), l.serverSends(lab.FIN))
	step.Done = []string{"The server's kernel gets no ACK, and sends the FIN again and again. The first of these are lost too; then the link is whole."}
	step.Shown = []string{
		fmt.Sprintf("The FIN was sent %s times, and acknowledged %s after the first. TIME-WAIT had %s left before the last one came, and %s after it.",
			step.Count("fins_count", len(fins)), step.Seconds("acknowledged_seconds", time.Duration(acks[0].Segment.At-fins[0].Segment.At)),
			step.Seconds("left_before_seconds", before), step.Seconds("left_after_seconds", after)),
	}
	step.Means = []string{
		"As the article says, of its first reason: the last ACK may be lost, the peer then sends its FIN again, and there has to be somebody who knows the connection. TIME-WAIT is. It answers with the same ACK, and its time begins anew.",
		"But the article's \"MSL = 2\" is no number. MSL is a time, the longest that a segment can live in the network; RFC 9293, section 3.4.2, takes it to be 2 minutes. Linux has no setting for it: TIME-WAIT is 60 s in all, whatever the network.",
	}
	l.Tell(step)
	return nil
}

// rest gives how long the client's TIME-WAIT still has, and between which times
// it ends.
func (l *lostAck) rest(ctx context.Context) (left time.Duration, least, most time.Time, err error) {
	begin := time.Now()
	sock, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
	if err == nil && (sock == nil || sock.State != tcpvet.TimeWait || sock.Timer.Kind != tcpvet.TimerTimeWait || sock.Timer.Expires > timeWait) {
		err = fmt.Errorf("the client's end is %+v, not in a TIME-WAIT of at most %s", sock, timeWait)
	}
	if err != nil {
		return 0, begin, begin, err
	}
	left = sock.Timer.Expires
	return left, begin.Add(left), time.Now().Add(left), nil
}

// without does the same on a host that keeps no TIME-WAIT.
func (l *lostAck) without(ctx context.Context) error {
	step := lab.Step{Name: "without", Title: "The same without TIME-WAIT"}
	const buckets = "net.ipv4.tcp_max_tw_buckets"
	before, err := l.Host.Sysctl(buckets)
	if err != nil {
		return err
	}
	if err := l.Host.SetSysctl(buckets, "0"); err != nil {
		return err
	}
	if err := l.connect(ctx, netip.AddrPort{}); err != nil {
		return err
	}
	// shutdown(), for a FIN-WAIT-2 without a process counts as TIME-WAIT too.
	if err := l.close(ctx, callShutdown); err != nil {
		return err
	}
	l.acks.Remove()
	l.laterFINs.Remove()
	rst, err := l.tunnel.Wait(ctx, 1, l.clientSends(lab.RST))
	if err != nil {
		return err
	}
	err = lab.Until(ctx, "the RST to end the server's end", func() (bool, error) {
		sock, err := socketAt(ctx, l.Stage, l.tunnel.B.Host, l.service, l.from)
		return sock == nil, err
	})
	if err != nil {
		return err
	}
	if err := l.Host.SetSysctl(buckets, before); err != nil {
		return err
	}
	ours := lab.Match(func(c *lab.Crossing) bool {
		return l.clientSends(lab.AnySegment)(c) || l.serverSends(lab.AnySegment)(c)
	})
	step.Segments = since(l.tunnel.Select(ours), l.clientSends(lab.FIN))
	step.Done = []string{"On the client's host net.ipv4.tcp_max_tw_buckets is set to " + step.ID("tw_buckets", 0) + ", so that it keeps no TIME-WAIT, and a second connection is opened and closed. Its last ACK is lost too."}
	step.Shown = []string{fmt.Sprintf("The FIN that comes again, %s after the first, is answered by an RST:", step.Seconds("reset_seconds", time.Duration(rst[0].Segment.At-since(step.Segments, l.serverSends(lab.FIN))[0].Segment.At)))}
	step.Means = []string{"The client had everything, and the server is told that the connection broke: it cannot know whether its last bytes have arrived. That is what TIME-WAIT spares it."}
	l.Tell(step)
	return nil
}
