package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveHalfClosed has the peer close its direction alone, and keep the socket:
// its kernel answers every probe, so that keepalive never ends a CLOSE-WAIT.
var KeepaliveHalfClosed = &lab.Scenario{
	Name:    "keepalive-half-closed",
	Title:   "keepalive does not end a CLOSE-WAIT whose peer has closed one direction only",
	Source:  "article: keepalive as a cure for CLOSE_WAIT; shutdown(2); RFC 9293, section 3.6",
	Claims:  []int{18, 24},
	Expects: []string{"close-wait-leak"},
	Acts:    []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		h := &halfClosed{Stage: s}
		return inOrder(ctx, h.open, h.shutdown, h.answered, h.diagnosis, h.close)
	},
}

// The keepalive of the client: without answers it would end the connection after
// halfIdle + halfCount x halfInterval seconds.
const (
	halfIdle, halfInterval, halfCount = 1, 1, 2
)

// halfClosed is a play of KeepaliveHalfClosed under way.
type halfClosed struct {
	*lab.Stage
	*linkedPair
	closed time.Time // when the server's FIN crossed
}

func (h *halfClosed) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection with keepalive at the client's end"}
	if h.linkedPair, err = linkPair(ctx, h.Stage, &step); err != nil {
		return err
	}
	if err := h.set(ctx, probing(halfIdle, halfInterval, halfCount)); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("shop-client sets SO_KEEPALIVE, TCP_KEEPIDLE %s s, TCP_KEEPINTVL %s s and TCP_KEEPCNT %s: a dead peer would be found after %s s.",
		step.Count("idle_seconds", halfIdle), step.Count("interval_seconds", halfInterval), step.Count("probes_count", halfCount),
		step.Count("dead_seconds", halfIdle+halfCount*halfInterval)))
	h.Tell(step)
	return nil
}

func (h *halfClosed) shutdown(ctx context.Context) error {
	step := lab.Step{Name: "shutdown", Title: "The server has nothing more to send"}
	if _, err := h.server.must(ctx, callShutdown, socketCall{h.inServer}); err != nil {
		return err
	}
	ends, err := h.Settled(ctx, h.service, "the ACK of the server's FIN", states(tcpvet.CloseWait, tcpvet.FinWait2))
	if err != nil {
		return err
	}
	fins, err := h.tap.Wait(ctx, 1, h.serverSends(lab.FIN))
	if err != nil {
		return err
	}
	h.closed = time.Unix(0, fins[0].Segment.At)
	sock, err := socketAt(ctx, h.Stage, h.link.B.Host, h.service, h.from)
	if err != nil {
		return err
	}
	if sock == nil || sock.Mini || sock.Inode == 0 || sock.Timer.Kind != tcpvet.TimerNone {
		return fmt.Errorf("the server's end is %+v, not held and without a timer", sock)
	}
	step.Ends = &ends
	step.Done = []string{"stock-server calls shutdown(SHUT_WR): a FIN, and the socket stays with the program, which may still read. The client does nothing about it."}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"The server's end is in FIN-WAIT-2, and stock-server holds it. net.ipv4.tcp_fin_timeout is about those that nobody holds: no timer runs at this one."}
	h.Tell(step)
	return nil
}

func (h *halfClosed) answered(ctx context.Context) error {
	step := lab.Step{Name: "probes", Title: "Every probe is answered"}
	// Twice as many as a dead peer would get.
	const n = 2 * halfCount
	probe := lab.Both(keepaliveProbe, func(c *lab.Crossing) bool { return c.Segment.At > h.closed.UnixNano() })
	probes, err := h.tap.Wait(ctx, n, h.clientSends(probe))
	if err != nil {
		return err
	}
	last := time.Unix(0, probes[n-1].Segment.At)
	if err := lab.Until(ctx, "an answer to the last probe", func() (bool, error) {
		return len(after(last, h.tap.Select(h.serverSends(lab.PureACK)))) > 0, nil
	}); err != nil {
		return err
	}
	ends, err := h.Settled(ctx, h.service, "both ends to be as they were", states(tcpvet.CloseWait, tcpvet.FinWait2))
	if err != nil {
		return err
	}
	if rst := h.tap.Select(lab.RST); len(rst) > 0 {
		return fmt.Errorf("an RST has crossed: %v", texts(rst))
	}
	step.Ends = &ends
	step.Segments = since(h.tap.Segments(), h.serverSends(lab.FIN))
	step.Shown = []string{fmt.Sprintf("%s after the server's FIN, the client has sent %s probes. Each was answered by an ACK, and none by RST:",
		step.Seconds("watched_seconds", last.Sub(h.closed)), step.Count("probes_count", len(probes)))}
	step.Means = []string{
		"Keepalive asks whether the peer's kernel still has the connection, and it does, for as long as stock-server holds its end. So the article's second cure does nothing here: the CLOSE-WAIT lasts until shop-client closes.",
		"It is otherwise where the peer calls close(): scenario keepalive-frees-port.",
	}
	h.Tell(step)
	return nil
}

func (h *halfClosed) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := h.Judge(ctx, &step, lab.Expect{
		Rules: []string{"close-wait-leak"},
		Of:    map[string]lab.Particulars{"close-wait-leak": {Severity: tcpvet.Info, Service: h.service}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"The answers to the probes move the time by which the kernel dates the last segment, so that the age of this CLOSE-WAIT lies between two bounds. tcpvet says so."}
	h.Tell(step)
	return nil
}

func (h *halfClosed) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The client closes"}
	if _, err := h.client.must(ctx, callClose, socketCall{h.inClient}); err != nil {
		return err
	}
	ends, err := h.Settled(ctx, h.service, "the client's FIN", states(0, tcpvet.TimeWait))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop-client calls close()."}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"That was what was missing, and no setting does it."}
	h.Tell(step)
	return nil
}
