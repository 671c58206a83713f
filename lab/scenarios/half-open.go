package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// HalfOpen has the peer vanish, and the client write: its kernel sends again and
// again.
var HalfOpen = &lab.Scenario{
	Name:      "half-open",
	Title:     "the peer is gone, and write() succeeds all the same",
	Source:    "article: half-open connections; RFC 9293, section 3.5.1; Documentation/networking/ip-sysctl.rst, tcp_retries2",
	Needs:     []lab.Need{lab.TUN},
	Expects:   []string{"half-open"},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"some 15 minutes", "the first pause is 200 ms"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		h := &halfOpen{Stage: s}
		return inOrder(ctx, h.open, h.silence, h.write, h.giveUp, h.otherEnd)
	},
}

// halfOpen is a play of HalfOpen under way.
type halfOpen struct {
	*lab.Stage
	*connectedPair
	tunnel *lab.Tunnel
}

func (h *halfOpen) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A connection in use"}
	if h.connectedPair, h.tunnel, err = tunnelPair(ctx, h.Stage, &step); err != nil {
		return err
	}
	if err := h.talk(ctx); err != nil {
		return err
	}
	step.Done = append(step.Done, "A request is answered. Neither program sets any option.")
	h.Tell(step)
	return nil
}

// silence cuts the way and shows that nothing happens.
func (h *halfOpen) silence(ctx context.Context) error {
	step := lab.Step{Name: "silence", Title: "The server vanishes, and nothing happens"}
	h.tunnel.Cut()
	cut := time.Now()
	if err := lab.Wait(ctx, h.Patience); err != nil {
		return err
	}
	sock, err := socketAt(ctx, h.Stage, h.Host, h.from, h.service)
	if err != nil {
		return err
	}
	if sock == nil || sock.State != tcpvet.Established || sock.Timer.Kind != tcpvet.TimerNone {
		return fmt.Errorf("the client's end is %+v, not in ESTAB without a timer", sock)
	}
	if sent := after(cut, h.tunnel.Segments()); len(sent) > 0 {
		return fmt.Errorf("something was sent: %v", texts(sent))
	}
	if err := h.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{"Every packet is lost from now on, either way, as when the server's host loses its power."}
	step.Shown = []string{fmt.Sprintf("%s later the client's end is in ESTAB, without a timer. Nothing has been sent.", step.Seconds("silent_seconds", time.Since(cut)))}
	step.Means = []string{
		"An idle connection sends nothing, so nothing can be missed. That is the half-open connection of the article: one end is gone, and the other holds on to it. No look at this host can tell it from one that is well, and tcpvet does not claim to.",
	}
	h.Tell(step)
	return nil
}

func (h *halfOpen) write(ctx context.Context) error {
	step := lab.Step{Name: "write", Title: "The client writes"}
	w, err := h.client.must(ctx, callWrite, writeCall{h.inClient, []byte(request)})
	if err != nil {
		return err
	}
	// The first, and three times again: the pauses between these double.
	const sendings = 4
	sent, err := h.tunnel.Wait(ctx, sendings, lost(h.clientSends(lab.Data)))
	if err != nil {
		return err
	}
	first, last := time.Duration(sent[2].Segment.At-sent[1].Segment.At), time.Duration(sent[sendings-1].Segment.At-sent[2].Segment.At)
	for _, c := range sent[1:] {
		if c.Segment.Seq != sent[0].Segment.Seq || c.Segment.Len != sent[0].Segment.Len {
			return fmt.Errorf("other data than the first was sent: %v", texts(sent))
		}
	}
	err = h.Judge(ctx, &step, lab.Expect{
		Rules: []string{"half-open"},
		Of:    map[string]lab.Particulars{"half-open": {Kind: "unacknowledged", Severity: tcpvet.Info, Service: h.service}},
	})
	if err != nil {
		return err
	}
	sock, err := socketAt(ctx, h.Stage, h.Host, h.from, h.service)
	if err != nil {
		return err
	}
	if sock == nil || sock.State != tcpvet.Established || sock.Timer.Kind != tcpvet.TimerOn {
		return fmt.Errorf("the client's end is %+v, not in ESTAB with the timer of retransmission", sock)
	}
	step.Segments = sent
	step.Done = []string{"The way stays broken. shop-client writes a request."}
	step.Shown = []string{
		fmt.Sprintf("write() gives %s, after %s. The end stays in ESTAB; ss -o shows timer:(on,TIME,%s).",
			step.Count("written_bytes", w.Bytes), step.Micros("write_micros", w.Took), step.Count("retransmits_count", int(sock.Timer.Retransmits))),
		fmt.Sprintf("The same segment is sent again and again; the second pause was %s, the third %s:",
			step.Millis("second_pause_millis", first), step.Millis("third_pause_millis", last)),
	}
	step.Means = []string{
		"write() only gives the bytes to one's own kernel. That sends them until they are acknowledged, with pauses that double up to two minutes; read() waits.",
	}
	h.Tell(step)
	return nil
}

// giveUp has the kernel come to its end sooner than it would.
func (h *halfOpen) giveUp(ctx context.Context) error {
	step := lab.Step{Name: "give-up", Title: "The kernel gives up"}
	before, err := setting(h.Host, "tcp_retries2")
	if err != nil {
		return err
	}
	const retries = 3
	if err := set(h.Host, map[string]int{"tcp_retries2": retries}); err != nil {
		return err
	}
	reads, err := h.client.awaits(ctx, h.inClient)
	if err != nil {
		return err
	}
	if err := reads[0].timedOut(); err != nil {
		return err
	}
	if err := set(h.Host, map[string]int{"tcp_retries2": before}); err != nil {
		return err
	}
	sent := h.tunnel.Select(lost(h.clientSends(lab.Data)))
	// Kernel function tcp_model_timeout: the pauses from TCP_RTO_MIN on, doubled
	// so many times.
	least := (2<<retries - 1) * 200 * time.Millisecond
	again := reads[0].At.Sub(time.Unix(0, sent[1].Segment.At))
	if again < least-tick {
		return fmt.Errorf("the kernel gave up %s after the first retransmission, and could not before %s", again, least)
	}
	if rst := h.tunnel.Select(h.clientSends(lab.RST)); len(rst) > 0 {
		return fmt.Errorf("the client sent an RST: %v", texts(rst))
	}
	if _, err := h.client.must(ctx, callClose, socketCall{h.inClient}); err != nil {
		return err
	}
	step.Segments = sent
	step.Done = []string{fmt.Sprintf("With net.ipv4.tcp_retries2 = %s, as it is, that takes some 15 minutes. It is set to %s, and the client calls read().",
		step.Count("retries_before_count", before), step.Count("retries_count", retries))}
	step.Shown = []string{fmt.Sprintf("read() fails: \"%v\" (errno %s, %s), %s after the data was first sent again. All that was sent:",
		reads[0].Failure, step.ID("errno", reads[0].Failure.Errno), reads[0].Failure.name(), step.Seconds("again_seconds", again))}
	step.Means = []string{
		fmt.Sprintf("net.ipv4.tcp_retries2 is no number of retransmissions but a time: that of so many of them, of which the first pause is 200 ms. For %s it is %s. When the next one is due after that, the kernel gives up instead, without an RST.",
			step.Count("retries_count", retries), step.Seconds("model_seconds", least)),
		"The setting is for the whole host. A program sets TCP_USER_TIMEOUT for its own sockets: scenario user-timeout.",
	}
	h.Tell(step)
	return nil
}

func (h *halfOpen) otherEnd(ctx context.Context) error {
	step := lab.Step{Name: "other-end", Title: "The server comes back"}
	ends, err := h.Settled(ctx, h.service, "the client's end to be gone", states(0, tcpvet.Established))
	if err != nil {
		return err
	}
	h.tunnel.Mend()
	if err := h.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"Nothing is lost any more: it was the way that broke, not the server."}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{
		"The server's end is half-open now. It will stay so until the server writes, or for good: it only waits for a request, and sets no keepalive. One such end is no finding; scenario no-keepalive is about many.",
	}
	h.Tell(step)
	return nil
}
