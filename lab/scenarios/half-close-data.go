package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// HalfCloseData has a client close its direction alone, and the server send
// after that.
var HalfCloseData = &lab.Scenario{
	Name:   "half-close-data",
	Title:  "one direction closes, and data still flows in the other",
	Source: "article: FIN_WAIT_2 and CLOSE_WAIT; RFC 9293, section 3.6",
	Claims: []int{3},
	Acts:   []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		h := &halfClose{Stage: s}
		return inOrder(ctx, h.open, h.shutdown, h.data, h.close, func(ctx context.Context) error {
			return quiet(ctx, s, "The server sent what it had to send, and closed. A CLOSE-WAIT that ends is no leak.")
		})
	},
}

// halfClose is a play of HalfCloseData under way.
type halfClose struct {
	*lab.Stage
	*linkedPair
}

func (h *halfClose) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection with a request"}
	if h.linkedPair, err = linkPair(ctx, h.Stage, &step); err != nil {
		return err
	}
	w, err := h.client.must(ctx, callWrite, writeCall{h.inClient, []byte(request)})
	if err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("shop-client writes a request of %s bytes.", step.Count("request_bytes", w.Bytes)))
	h.Tell(step)
	return nil
}

// shutdown has the client close its direction, and the server read up to there.
func (h *halfClose) shutdown(ctx context.Context) error {
	step := lab.Step{Name: "shutdown", Title: "The client has nothing more to send"}
	if _, err := h.client.must(ctx, callShutdown, socketCall{h.inClient}); err != nil {
		return err
	}
	r, err := h.server.must(ctx, callDrain, socketCall{h.inServer})
	if err != nil {
		return err
	}
	if r.Bytes != len(request) {
		return fmt.Errorf("the server read %d bytes of a request of %d", r.Bytes, len(request))
	}
	ends, err := h.Settled(ctx, h.service, "the ACK of the client's FIN", states(tcpvet.FinWait2, tcpvet.CloseWait))
	if err != nil {
		return err
	}
	held, err := socketAt(ctx, h.Stage, h.Host, h.from, h.service)
	if err != nil {
		return err
	}
	if held == nil || held.Mini || held.Timer.Kind != tcpvet.TimerNone {
		return fmt.Errorf("the client's end is %+v, and was to be held and without a timer", held)
	}
	refused, err := h.client.mustFail(ctx, callWrite, writeCall{h.inClient, []byte(request)}, "write", "EPIPE")
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{
		"shop-client calls shutdown(SHUT_WR): that sends a FIN and leaves the socket to the program. close() would have sent the same FIN.",
		fmt.Sprintf("stock-server reads %s bytes, and then the end of what the client sends.", step.Count("read_bytes", r.Bytes)),
	}
	step.Shown = []string{
		fmt.Sprintf("If shop-client writes now, it gets \"%v\" (errno %s, %s) from its own kernel. The sockets of both ends:", refused.Failure, step.ID("errno", refused.Failure.Errno), refused.Failure.name()),
	}
	step.Means = []string{
		"The connection is half closed: the client's end is in FIN-WAIT-2. The article says of an end in this state that it has told the other that it still has data to send. It has told that it has none; that write() proves it.",
		"This FIN-WAIT-2 has no timer, for a process holds it. After close() it would have one: net.ipv4.tcp_fin_timeout.",
	}
	h.Tell(step)
	return nil
}

// What the server sends after the client's FIN. Together it fits into the first
// window, so that no write waits for the client.
const (
	pages     = 5
	pageBytes = 10_000
)

func (h *halfClose) data(ctx context.Context) error {
	step := lab.Step{Name: "data", Title: "The server still sends"}
	before := h.tap.Select(h.serverSends(lab.Data))
	var written, read int
	begin := time.Now()
	for range pages {
		w, err := h.server.must(ctx, callWrite, writeCall{h.inServer, make([]byte, pageBytes)})
		if err != nil {
			return err
		}
		written += w.Bytes
	}
	err := lab.Until(ctx, "the client to read it all", func() (bool, error) {
		r, err := h.client.try(ctx, callRead, socketCall{h.inClient})
		if err == nil && r.Failure == nil && !r.End {
			read += r.Bytes
		}
		return read >= written, err
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	ends, err := h.Settled(ctx, h.service, "the ends to stay", states(tcpvet.FinWait2, tcpvet.CloseWait))
	if err != nil {
		return err
	}
	fin, err := h.tap.Wait(ctx, 1, h.clientSends(lab.FIN))
	if err != nil {
		return err
	}
	later := func(c *lab.Crossing) bool { return lab.Data(c) && c.Segment.At > fin[0].Segment.At }
	if _, err := h.tap.Wait(ctx, 1, h.serverSends(later)); err != nil {
		return err
	}
	if len(before) > 0 || read != written {
		return fmt.Errorf("%d segments of data came before the FIN, and %d of %d bytes after it", len(before), read, written)
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("stock-server writes %s bytes, and shop-client reads.", step.Count("written_bytes", written))}
	step.Shown = []string{fmt.Sprintf("shop-client reads %s bytes within %s, all of them after its own FIN. The sockets have not changed:", step.Count("read_bytes", read), step.Seconds("read_seconds", took))}
	step.Means = []string{
		"CLOSE-WAIT is not yet a fault: the end that is in it may send for as long as it likes. It becomes one when the program has nothing more to send, and does not close.",
	}
	h.Tell(step)
	return nil
}

func (h *halfClose) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The server closes too"}
	if _, err := h.server.must(ctx, callClose, socketCall{h.inServer}); err != nil {
		return err
	}
	ends, err := h.Settled(ctx, h.service, "the server's FIN", states(tcpvet.TimeWait, 0))
	if err != nil {
		return err
	}
	end, err := h.client.must(ctx, callRead, socketCall{h.inClient})
	if err != nil {
		return err
	}
	if !end.End {
		return fmt.Errorf("read() gave %d bytes more, not the end", end.Bytes)
	}
	if _, err := h.client.must(ctx, callClose, socketCall{h.inClient}); err != nil {
		return err
	}
	fin, err := h.tap.Wait(ctx, 1, h.clientSends(lab.FIN))
	if err != nil {
		return err
	}
	fin2, err := h.tap.Wait(ctx, 1, h.serverSends(lab.FIN))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = append(fin, fin2...)
	step.Done = []string{"stock-server calls close(). shop-client reads the end, and calls close()."}
	step.Shown = []string{"The two FINs, and the sockets:"}
	step.Means = []string{fmt.Sprintf("Each FIN closes one direction. The client's, which came first, left TIME-WAIT at the client; between the two lay %s.",
		step.Millis("between_millis", time.Duration(fin2[0].Segment.At-fin[0].Segment.At)))}
	h.Tell(step)
	return nil
}
