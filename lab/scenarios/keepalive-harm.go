package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveHarm shows what keepalive costs: a connection that a short outage ends,
// and probes that keep a middlebox's table full.
var KeepaliveHarm = &lab.Scenario{
	Name:    "keepalive-harm",
	Title:   "keepalive ends healthy connections in a short outage, and fills the tables of middleboxes",
	Source:  "article: what keepalive may do harm; RFC 1122, section 4.2.3.6",
	Claims:  []int{29},
	Needs:   []lab.Need{lab.TUN},
	Expects: []string{"half-open"},
	Acts:    []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		h := &harm{Stage: s}
		return inOrder(ctx, h.open, h.outage, h.mended, h.table)
	},
}

// The keepalive of the connections, in seconds.
const (
	harmIdle, harmInterval   = 1, 1
	hastyCount, patientCount = 2, 60

	herd     = 30              // connections of each kind that a middlebox sees
	herdIdle = 3 * time.Second // after which it would forget an idle one
)

// harm is a play of KeepaliveHarm under way.
type harm struct {
	*lab.Stage
	tunnel *lab.Tunnel

	plain, hasty, patient *connectedPair
}

func (h *harm) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "Three connections"}
	if h.plain, h.tunnel, err = tunnelPair(ctx, h.Stage, &step); err != nil {
		return err
	}
	if h.hasty, err = h.plain.another(ctx, probing(harmIdle, harmInterval, hastyCount)); err != nil {
		return err
	}
	if h.patient, err = h.plain.another(ctx, probing(harmIdle, harmInterval, patientCount)); err != nil {
		return err
	}
	for _, p := range []*connectedPair{h.plain, h.hasty, h.patient} {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	step.Done = append(step.Done,
		fmt.Sprintf("It opens two more, with keepalive: TCP_KEEPIDLE %s s, TCP_KEEPINTVL %s s, and TCP_KEEPCNT %s for the one from port %s, %s for the one from port %s.",
			step.Count("idle_seconds", harmIdle), step.Count("interval_seconds", harmInterval), step.Count("hasty_count", hastyCount), step.ID("hasty_port", int(h.hasty.from.Port())),
			step.Count("patient_count", patientCount), step.ID("patient_port", int(h.patient.from.Port()))),
		"A request is answered on each. Then they are idle.")
	h.Tell(step)
	return nil
}

func (h *harm) outage(ctx context.Context) error {
	step := lab.Step{Name: "outage", Title: "A short outage"}
	begin := time.Now()
	h.tunnel.Cut()
	reads, err := h.hasty.client.awaits(ctx, h.hasty.inClient)
	if err != nil {
		return err
	}
	if err := reads[0].timedOut(); err != nil {
		return err
	}
	if _, err := h.hasty.client.must(ctx, callClose, socketCall{h.hasty.inClient}); err != nil {
		return err
	}
	err = h.Judge(ctx, &step, lab.Expect{
		Rules: []string{"half-open"},
		Of:    map[string]lab.Particulars{"half-open": {Kind: "keepalive", Severity: tcpvet.Info, Service: h.plain.service}},
	})
	if err != nil {
		return err
	}
	h.tunnel.Mend()
	step.Done = []string{fmt.Sprintf("Every packet is lost, for %s, as when a router restarts. Both programs and both hosts are well.", step.Seconds("outage_seconds", time.Since(begin)))}
	step.Shown = []string{
		fmt.Sprintf("On the connection with TCP_KEEPCNT %s, read() fails after %s: \"%v\" (errno %s, %s). Of the one with %s, tcpvet sees the probes in the middle of the outage:",
			step.Count("hasty_count", hastyCount), step.Seconds("failed_seconds", reads[0].At.Sub(begin)), reads[0].Failure, step.ID("errno", reads[0].Failure.Errno),
			reads[0].Failure.name(), step.Count("patient_count", patientCount)),
	}
	h.Tell(step)
	return nil
}

// mended uses the connections after the outage.
func (h *harm) mended(ctx context.Context) error {
	step := lab.Step{Name: "mended", Title: "After the outage"}
	for _, p := range []*connectedPair{h.plain, h.patient} {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	server := h.hasty.server
	if _, err := server.must(ctx, callWrite, writeCall{h.hasty.inServer, []byte(answer)}); err != nil {
		return err
	}
	reads, err := server.awaits(ctx, h.hasty.inServer)
	if err != nil {
		return err
	}
	if err := failsBy(reads[0].Failure, "read", "ECONNRESET"); err != nil {
		return err
	}
	if _, err := server.must(ctx, callClose, socketCall{h.hasty.inServer}); err != nil {
		return err
	}
	if err := h.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{"Packets pass again. The client makes a request on the connection without keepalive and on the one with many probes; the server writes to the one that is left."}
	step.Shown = []string{fmt.Sprintf("The two requests are answered. The server's write() draws an RST: \"%v\" (errno %s, %s).", reads[0].Failure, step.ID("errno", reads[0].Failure.Errno), reads[0].Failure.name())}
	step.Means = []string{
		"The article is right: keepalive ended a connection that was well, and that would have outlived the outage if nobody had asked. Here the times are short, so that it takes seconds; a higher TCP_KEEPCNT bears a longer outage, and takes longer to find a dead peer.",
	}
	h.Tell(step)
	return nil
}

// table counts what a middlebox would hold.
func (h *harm) table(ctx context.Context) error {
	step := lab.Step{Name: "table", Title: "What a middlebox sees of idle connections"}
	plain, err := h.plain.others(ctx, herd, nil)
	if err != nil {
		return err
	}
	guarded, err := h.plain.others(ctx, herd, probing(harmIdle, harmInterval, patientCount))
	if err != nil {
		return err
	}
	for _, p := range append(append(pool{}, plain...), guarded...) {
		if err := p.talk(ctx); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := lab.Wait(ctx, herdIdle+time.Second/2); err != nil {
		return err
	}
	end := time.Now()
	crossed := after(begin, h.tunnel.Segments())
	flows := make(map[netip.AddrPort]bool) // clients' endpoints
	for _, c := range after(end.Add(-herdIdle), crossed) {
		flows[c.Segment.Src], flows[c.Segment.Dst] = true, true
	}
	count := func(of pool) (entries int) {
		for _, p := range of {
			if flows[p.from] {
				entries++
			}
		}
		return entries
	}
	held, without := count(guarded), count(plain)
	if held != herd || without != 0 {
		return fmt.Errorf("something crossed in the last %s on %d of %d connections with keepalive and on %d without", herdIdle, held, herd, without)
	}
	probes, answers := 0, 0
	for _, c := range crossed {
		switch {
		case guarded.clientSends(keepaliveProbe)(&c):
			probes++
		case guarded.serverSends(lab.PureACK)(&c):
			answers++
		}
	}
	step.Done = []string{fmt.Sprintf("The client opens %s connections without keepalive and %s with a probe a second, makes a request on each, and leaves them idle for %s.",
		step.Count("plain_count", len(plain)), step.Count("guarded_count", len(guarded)), step.Seconds("watched_seconds", end.Sub(begin)))}
	step.Shown = []string{
		fmt.Sprintf("Those with keepalive send %s probes in this time, %s, and get %s answers. The others send nothing.", step.Count("probes_count", probes),
			step.Rate("probes_rate", float64(probes)/end.Sub(begin).Seconds()), step.Count("answers_count", answers)),
		fmt.Sprintf("A middlebox that forgets after %s now has entries for %s of those with keepalive, and for %s of those without.", step.Seconds("limit_seconds", herdIdle),
			step.Count("guarded_entries_count", held), step.Count("plain_entries_count", without)),
	}
	step.Means = []string{
		"That is what keepalive is for, and its price. Every idle connection takes an entry for good, and its probes take the middlebox's time: connections divided by TCP_KEEPIDLE, each second. Where the table is full no new connection gets through, which is the article's other harm. " +
			"So probe no more often than half of the limit asks for, and close what a pool does not need.",
	}
	h.Tell(step)
	return nil
}
