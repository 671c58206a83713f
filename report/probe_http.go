package report

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/vet"
)

// ProbeHTTP prints for people how a server keeps idle connections. Wide tells each
// connection and each client too.
func ProbeHTTP(w io.Writer, h *probe.HTTP, wide bool, style Style) error {
	p := &printer{out: bufio.NewWriter(w), style: style}
	p.probeHTTPHead(h)
	p.reading(&probe.Reading{Text: h.Text(), Remedies: h.Remedies(), Unknown: h.Unknown()}, func() {
		if wide {
			p.probeHTTPWide(h)
		}
	})
	p.wrap(probeHTTPFooter(h), 0, "  ", faint)
	return p.out.Flush()
}

// probeHTTPHead says in short what was found, and where.
func (p *printer) probeHTTPHead(h *probe.HTTP) {
	k, ok := h.Keeping()
	word, code := "NOT MEASURED", colors[tcpvet.Critical]
	switch {
	case h.Answer.Close:
		word, code = "NOT KEPT", colors[tcpvet.Info]
	case ok && k.Found():
		word, code = "KEPT "+k.Enclosed(), colors[tcpvet.Info]
	case ok && h.Stopped:
		word, code = "KEPT SO FAR", colors[tcpvet.Info]
	case ok:
		word, code = "KEPT ALL THE TIME", colors[tcpvet.Info]
	}
	if h.ClientIdle > 0 && h.Fits(h.ClientIdle) == probe.FitTooLong {
		word, code = "TOO LONG", colors[tcpvet.Warning]
	}
	said := fmt.Sprintf("%s %d", h.Answer.Protocol, h.Answer.Status)
	if h.Answer.TLS != "" {
		said += " over " + h.Answer.TLS
	}
	if h.Answer.Server != "" {
		said += ", " + vet.Plain(h.Answer.Server)
	}
	p.verdict(word, code, h.Target, fmt.Sprintf("   at %s   %s", tcpvet.EndpointText(h.Remote), said))
}

// probeHTTPWide lists the connections that were left idle, and the usual clients.
func (p *printer) probeHTTPWide(h *probe.HTTP) {
	for i := range h.Kept {
		p.wrap(fmt.Sprintf("connection %d: %s", i+1, keptText(&h.Kept[i])), 2, "  ", "")
	}
	for i := range probe.Clients {
		c := &probe.Clients[i]
		fit := "ok"
		if f := h.Fits(c.Of(h)); f != probe.FitOK {
			fit = f.String()
		}
		idle := "no limit"
		if c.Idle > 0 {
			idle = probe.Spell(c.Of(h))
		}
		p.wrap(fmt.Sprintf("%s: %s, %s (%s)", c.Name, idle, fit, c.Source), 2, "  ", "")
	}
}

// keptText says what became of one connection.
func keptText(k *probe.Kept) string {
	text := ""
	if idle, ok := k.Survived(); ok {
		text = "answered after " + probe.Spell(idle)
	}
	within, asked, gone := k.Closed()
	switch {
	case gone && asked:
		return "asked after " + probe.Spell(k.Exchanges[1].Sent-k.Exchanges[0].Done) + ", and ended within " + probe.SpellUp(within) + " by " + k.How.String()
	case gone:
		return "ended within " + probe.SpellUp(within) + " by " + k.How.String()
	case k.Ended > 0:
		return text + ", and then ended by " + k.How.String() + " " + probe.Spell(k.Ended-k.Exchanges[1].Done) + " later"
	case text == "":
		return "not ended while it was watched"
	}
	return text
}

func probeHTTPFooter(h *probe.HTTP) string {
	line := fmt.Sprintf("measured: %s left idle", vet.Counted(len(h.Kept), "connection"))
	if n := h.Requests.Answered; n > 0 {
		line += fmt.Sprintf(", %s on another", vet.Counted(n, "request"))
	}
	line += fmt.Sprintf(", in %.1f s", h.Took.Seconds())
	return line + ", by " + h.Method + ", " + h.Taken.Format(time.DateTime+" -0700")
}
