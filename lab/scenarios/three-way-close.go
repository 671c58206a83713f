package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// ThreeWayClose closes a connection to a server that closes as soon as it reads
// the end.
var ThreeWayClose = &lab.Scenario{
	Name:      "three-way-close",
	Title:     "a server that closes at once makes three segments of four",
	Source:    "article: the close in three packets; RFC 9293, sections 3.6 and 3.8.6.3",
	Claims:    []int{6, 8},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"for up to 40 ms"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		t := &threeWay{Stage: s}
		return inOrder(ctx, t.open, t.close, func(ctx context.Context) error {
			return quiet(ctx, s, "Both programs have closed. There is nothing to find.")
		})
	},
}

// threeWay is a play of ThreeWayClose under way.
type threeWay struct {
	*lab.Stage
	*linkedPair
}

func (t *threeWay) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection, and a server that waits for its end"}
	if t.linkedPair, err = linkPair(ctx, t.Stage, &step); err != nil {
		return err
	}
	step.Done = append(step.Done, "stock-server calls read(), which waits. It will call close() as soon as read() gives the end.")
	t.Tell(step)
	return nil
}

const (
	toReach   = 5 * time.Millisecond // is mostly enough to get to a read() that waits
	mostTries = 50                   // bounds how often the server may be late
)

func (t *threeWay) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The client closes, and the server right after it"}
	var segments []lab.Crossing
	tries := 0
	for len(segments) != 3 {
		if tries++; tries > mostTries {
			return fmt.Errorf("the server closed late %d times: this machine is too busy to show a close in three segments", mostTries)
		}
		if tries > 1 {
			if err := t.connect(ctx, netip.AddrPort{}); err != nil {
				return err
			}
		}
		var err error
		if segments, err = t.closeOnce(ctx); err != nil {
			return err
		}
	}
	fin, fin2, ack := &segments[0].Segment, &segments[1].Segment, &segments[2].Segment
	if !t.serverSends(lab.FIN)(&segments[1]) || fin2.Ack != fin.Seq+1 || ack.Ack != fin2.Seq+1 {
		return fmt.Errorf("the close took other segments than FIN, FIN with ACK, ACK: %v", texts(segments))
	}
	tw, err := socketAt(ctx, t.Stage, t.Host, t.from, t.service)
	if err != nil {
		return err
	}
	if tw == nil || tw.State != tcpvet.TimeWait {
		return fmt.Errorf("the client's end is %+v, not in TIME-WAIT", tw)
	}
	gone, err := socketAt(ctx, t.Stage, t.link.B.Host, t.service, t.from)
	if err != nil || gone != nil {
		return errors.Join(fmt.Errorf("the server's end is %+v, and was to be gone", gone), err)
	}
	step.Segments = segments
	step.Done = []string{"shop-client calls close(). That wakes the server, whose read() gives the end, and it calls close() too."}
	if tries > 1 {
		step.Done = append(step.Done, fmt.Sprintf("This is connection %s: in those before, the server came so late that its kernel had sent the ACK by itself.", step.ID("connection", tries)))
	}
	step.Shown = []string{
		fmt.Sprintf("%s segments. The server's FIN acknowledges %s, which is one more than the sequence number of the client's FIN, %s. It comes %s after that.",
			step.Count("segments_count", len(segments)), step.ID("client_fin_acknowledged", int(fin2.Ack)), step.ID("client_fin_seq", int(fin.Seq)),
			step.Micros("between_micros", time.Duration(fin2.At-fin.At))),
		"The client's end is in TIME-WAIT, the server's is gone.",
	}
	step.Means = []string{
		"A kernel may put off an ACK, on Linux for up to 40 ms unless told otherwise, in the hope that there is something to send with it. The server's own FIN was. So the second and the third segment of the close in four became one, as the article's second recording has it.",
		"The client gets the FIN together with the ACK of its own, and passes from FIN-WAIT-1 to TIME-WAIT without a stay in FIN-WAIT-2.",
	}
	t.Tell(step)
	return nil
}

// closeOnce closes the connection, and gives the segments that this took.
func (t *threeWay) closeOnce(ctx context.Context) ([]lab.Crossing, error) {
	hungUp := make(chan error, 1)
	go func() {
		_, err := t.server.must(ctx, callHangUp, socketCall{t.inServer})
		hungUp <- err
	}()
	// So that it most likely waits in read() by then; if not, we try again.
	if err := lab.Wait(ctx, toReach); err != nil {
		return nil, err
	}
	if _, err := t.client.must(ctx, callClose, socketCall{t.inClient}); err != nil {
		return nil, err
	}
	if err := <-hungUp; err != nil {
		return nil, err
	}
	// The ACK of the server's FIN is the last.
	fins, err := t.tap.Wait(ctx, 1, t.serverSends(lab.FIN))
	if err != nil {
		return nil, err
	}
	last := func(c *lab.Crossing) bool { return c.Segment.Ack == fins[0].Segment.Seq+1 }
	if _, err := t.tap.Wait(ctx, 1, t.clientSends(lab.Both(last, lab.PureACK))); err != nil {
		return nil, err
	}
	ours := lab.Match(func(c *lab.Crossing) bool {
		return t.clientSends(lab.AnySegment)(c) || t.serverSends(lab.AnySegment)(c)
	})
	return since(t.tap.Select(ours), lab.FIN), nil
}
