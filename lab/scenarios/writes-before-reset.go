package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/lab"
)

// WritesBeforeReset is ServerExitsFirst with an RST that is long under way.
var WritesBeforeReset = &lab.Scenario{
	Name:   "writes-before-reset",
	Title:  "every write to a server that has ended succeeds, until its RST is there",
	Source: "article: the server exits before the client, the second write; send(2), EPIPE",
	Claims: []int{21},
	Needs:  []lab.Need{lab.TUN},
	Acts:   []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		w := &lateReset{Stage: s}
		return inOrder(ctx, w.open, w.write, w.reset, func(ctx context.Context) error {
			return quiet(ctx, s, "No connection is left, on either side.")
		})
	},
}

// lateReset is a play of WritesBeforeReset under way.
type lateReset struct {
	*lab.Stage
	*connectedPair
	tunnel *lab.Tunnel
	rst    lab.Held
}

func (l *lateReset) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "The server ends"}
	if l.connectedPair, l.tunnel, err = tunnelPair(ctx, l.Stage, &step); err != nil {
		return err
	}
	l.rst = l.tunnel.Hold(lab.RST)
	l.server.Kill()
	ends, err := l.Settled(ctx, l.service, "the ACK of the server's FIN", states(tcpvet.CloseWait, tcpvet.FinWait2))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = append(step.Done, "The process of stock-server is killed.")
	step.Shown = []string{"The sockets of both ends:"}
	l.Tell(step)
	return nil
}

// again matches what is sent once more.
func again(c *lab.Crossing) bool { return c.Step.What.Has(capture.Retransmission) }

// lateWrites is how often the client writes before the RST is there.
const lateWrites = 5

func (l *lateReset) write(ctx context.Context) error {
	step := lab.Step{Name: "writes", Title: "The client writes, and the RST is under way"}
	written := 0
	for range lateWrites {
		w, err := l.client.must(ctx, callWrite, writeCall{l.inClient, []byte(request)})
		if err != nil {
			return err
		}
		written += w.Bytes
		// The first segment of data draws it, whatever comes after.
		if err := l.rst.Wait(ctx, 1); err != nil {
			return err
		}
	}
	client, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
	if err != nil {
		return err
	}
	if client == nil || client.State != tcpvet.CloseWait || int(client.SendQ) != written {
		return fmt.Errorf("the client's end is %+v, want CLOSE-WAIT with %d bytes in Send-Q", client, written)
	}
	step.Segments = since(l.tunnel.Segments(), lab.FIN)
	// The first write goes out at once. The others wait for its ACK, and go
	// together if the loss probe (RFC 8985, section 7) is due before the RST.
	sent := l.tunnel.Select(l.clientSends(lab.Both(lab.Data, lab.Not(again))))
	if len(sent) == 0 || len(sent) > 2 || int(sent[0].Segment.Len) != len(request) {
		return fmt.Errorf("the writes made these segments, not one with the first and one with the rest at the most: %v", texts(sent))
	}
	kept := "Only the first of them is a segment on the link: the others wait in the client's kernel for an ACK (Nagle)."
	if len(sent) == 2 {
		kept = "The first of them went out at once. The others waited in the client's kernel for an ACK (Nagle), until it probed for a loss and sent them together."
	}
	step.Done = []string{fmt.Sprintf("shop-client calls write() %s times, with %s bytes each time. The RST that the first one draws is kept back on its way.",
		step.Count("writes_count", lateWrites), step.Count("request_bytes", len(request)))}
	step.Shown = []string{fmt.Sprintf("All succeed. The client's end is still in CLOSE-WAIT; %s bytes are in its Send-Q, not acknowledged by anybody.", step.Count("sendq_bytes", int(client.SendQ)))}
	step.Means = []string{"\"The second write fails\" is true only where the RST is faster than the program. Over a network it is one round trip away, and a program that writes more often in that time is told that all went well.",
		kept}
	l.Tell(step)
	return nil
}

func (l *lateReset) reset(ctx context.Context) error {
	step := lab.Step{Name: "reset", Title: "The RST arrives"}
	l.rst.Release()
	if _, err := l.Settled(ctx, l.service, "the RST to end both", states(0, 0)); err != nil {
		return err
	}
	w, err := l.client.mustFail(ctx, callWrite, writeCall{l.inClient, []byte(request)}, "write", "EPIPE")
	if err != nil {
		return err
	}
	if _, err := l.client.must(ctx, callClose, socketCall{l.inClient}); err != nil {
		return err
	}
	step.Segments = l.tunnel.Select(lab.RST)
	step.Done = []string{"The RST goes on its way. shop-client calls write() once more, and then close()."}
	step.Shown = []string{fmt.Sprintf("\"%v\" (errno %s, %s). The bytes of the writes before it are lost, and no socket of the connection is left in either kernel's table.", w.Failure, step.ID("errno", w.Failure.Errno), w.Failure.name())}
	step.Means = []string{"Only an answer of the peer's program proves that what was written has been read."}
	l.Tell(step)
	return nil
}
