package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// SimultaneousClose has both ends of a connection close before either knows that
// the other has.
var SimultaneousClose = &lab.Scenario{
	Name:   "simultaneous-close",
	Title:  "both ends close at once: CLOSING, and TIME-WAIT on both",
	Source: "article: the state CLOSING; RFC 9293, section 3.6, case 3",
	Claims: []int{3},
	Needs:  []lab.Need{lab.TUN},
	Acts:   []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		b := &bothClose{Stage: s}
		return inOrder(ctx, b.open, b.finWait1, b.closing, b.timeWait, func(ctx context.Context) error {
			return quiet(ctx, s, "Both ends end by themselves. There is nothing to find.")
		})
	},
}

// bothClose is a play of SimultaneousClose under way.
type bothClose struct {
	*lab.Stage
	*connectedPair
	tunnel     *lab.Tunnel
	fins, acks lab.Held
}

func (b *bothClose) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection over a link that can be stopped"}
	if b.connectedPair, b.tunnel, err = tunnelPair(ctx, b.Stage, &step); err != nil {
		return err
	}
	b.Tell(step)
	return nil
}

// finWait1 has both close, and keeps both FINs back.
func (b *bothClose) finWait1(ctx context.Context) error {
	step := lab.Step{Name: "fins", Title: "Both close"}
	// FINs that are sent again would carry the ACK that is to be kept back.
	b.tunnel.Drop(lab.FIN)
	first, second := lab.Nth(1, b.clientSends(lab.FIN)), lab.Nth(1, b.serverSends(lab.FIN))
	b.fins = b.tunnel.Hold(func(c *lab.Crossing) bool { return first(c) || second(c) })
	if _, err := b.client.must(ctx, callClose, socketCall{b.inClient}); err != nil {
		return err
	}
	if _, err := b.server.must(ctx, callClose, socketCall{b.inServer}); err != nil {
		return err
	}
	if err := b.fins.Wait(ctx, 2); err != nil {
		return err
	}
	ends, err := b.Settled(ctx, b.service, "both FINs", states(tcpvet.FinWait1, tcpvet.FinWait1))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop-client and stock-server call close(), and both FINs are under way at the same time: the stage keeps them back."}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"Each end has sent a FIN and waits for the ACK of it. Neither knows that the other has closed."}
	b.Tell(step)
	return nil
}

// closing lets the FINs arrive, and keeps the ACKs back.
func (b *bothClose) closing(ctx context.Context) error {
	step := lab.Step{Name: "closing", Title: "The FINs cross"}
	b.acks = b.tunnel.Hold(lab.PureACK)
	b.fins.Release()
	if err := b.acks.Wait(ctx, 2); err != nil {
		return err
	}
	ends, err := b.Settled(ctx, b.service, "both FINs to arrive", states(tcpvet.Closing, tcpvet.Closing))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = since(b.tunnel.Select(arrived(lab.AnySegment)), lab.FIN)
	step.Done = []string{"Both FINs go on their way. The ACKs that they draw are kept back."}
	step.Shown = []string{"What has crossed since both closed, and the sockets:"}
	step.Means = []string{
		"CLOSING: a FIN came where the ACK of one's own was due. The article calls it a rare exception, for just this reason, and is right: it takes two ends that close within one round trip.",
	}
	b.Tell(step)
	return nil
}

// timeWait lets the ACKs arrive.
func (b *bothClose) timeWait(ctx context.Context) error {
	step := lab.Step{Name: "time-wait", Title: "The ACKs cross too"}
	b.acks.Release()
	ends, err := b.Settled(ctx, b.service, "both ACKs", states(tcpvet.TimeWait, tcpvet.TimeWait))
	if err != nil {
		return err
	}
	segments := since(b.tunnel.Select(arrived(lab.AnySegment)), lab.FIN)
	if len(segments) < 4 {
		return fmt.Errorf("the close took fewer segments than two FINs and two ACKs: %v", texts(segments))
	}
	fin, fin2 := &segments[0].Segment, &segments[1].Segment
	if !lab.FIN(&segments[0]) || !lab.FIN(&segments[1]) || fin.Src == fin2.Src || fin.Ack != fin2.Seq || fin2.Ack != fin.Seq {
		return fmt.Errorf("the FINs did not cross: %v", texts(segments))
	}
	for i := range segments[2:4] {
		ack := &segments[2+i].Segment
		if !lab.PureACK(&segments[2+i]) || ack.Ack != fin.Seq+1 && ack.Ack != fin2.Seq+1 {
			return fmt.Errorf("no ACK of a FIN: %v", texts(segments))
		}
	}
	step.Ends = &ends
	step.Segments = segments
	step.Done = []string{"Both ACKs go on their way."}
	step.Shown = []string{fmt.Sprintf("%s segments. Neither FIN acknowledges the other.", step.Count("segments_count", len(segments)))}
	step.Means = []string{
		"Both ends sent the first FIN that they knew of, so both keep a TIME-WAIT. Otherwise only the end that closes first has one. None of the two went through CLOSE-WAIT or LAST-ACK.",
		"The states beside the segments are those that the segments alone prove. That an end has got the other's FIN shows in no segment before its own ACK, so one end passes for FIN-WAIT-2 there; the kernel's table had it in CLOSING.",
	}
	b.Tell(step)
	return nil
}
