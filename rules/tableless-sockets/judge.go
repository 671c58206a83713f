package tablelesssockets

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// holder is a process with sockets in no table.
type holder struct {
	tcpvet.Process
	info   tcpvet.ProcessInfo
	now    tcpvet.Tableless
	before *tcpvet.Tableless // at the earlier look; nil where there was none, or it did not tell
	apart  time.Duration     // between the looks
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	chosen := selected(&c.Now)
	var findings []tcpvet.Finding
	for p, info := range c.Now.Processes {
		if info.Tableless == nil || !p.Known() || chosen != nil && !chosen[p] {
			continue
		}
		h := holder{Process: p, info: info, now: *info.Tableless}
		if c.Before != nil && c.Before.Facts.Has(tcpvet.FactTableless) {
			if h.apart = c.Now.Taken.Sub(c.Before.Taken); h.apart > 0 {
				h.before = c.Before.Processes[p].Tableless
			}
		}
		if h.now.Used > 0 {
			findings = append(findings, h.used(&c.Now))
		}
		if severity := h.gradeQuiet(c.Patience); severity > 0 {
			findings = append(findings, h.quiet(&c.Now, severity))
		}
	}
	return findings
}

// selected gives the processes that hold some selected socket; nil where no filter
// left any out.
func selected(c *tcpvet.Census) map[tcpvet.Process]bool {
	if c.Selected >= c.Sockets {
		return nil
	}
	chosen := make(map[tcpvet.Process]bool)
	for g, t := range c.Groups {
		chosen[g.Holder] = true
		for p := range t.Shared {
			chosen[p] = true
		}
	}
	return chosen
}

// more is how many more there are than at the earlier look.
func more(now, before uint64) uint64 {
	if now <= before {
		return 0
	}
	return now - before
}

// part is the part of the process's descriptors that n are; ok is false where that
// is not known.
func (h *holder) part(n uint64) (part float64, ok bool) {
	if h.info.Descriptors < n || h.info.Descriptors == 0 {
		return 0, false
	}
	return float64(n) / float64(h.info.Descriptors), true
}

func (h *holder) nearLimit() bool {
	return h.info.DescriptorLimit > 0 && float64(h.info.Descriptors) > nearLimit*float64(h.info.DescriptorLimit)
}

func (h *holder) gradeUsed() tcpvet.Severity {
	part, ok := h.part(h.now.Used)
	switch {
	case ok && part >= cause && h.nearLimit():
		return tcpvet.Critical
	case h.now.Used >= many:
		return tcpvet.Warning
	}
	return tcpvet.Info
}

// passing tells that no earlier look found enough of them too: what was reset just
// now may be about to be closed.
func (h *holder) passing(severity tcpvet.Severity) bool {
	least := uint64(1)
	if severity > tcpvet.Info {
		least = many
	}
	return h.before == nil || h.before.Used < least
}

func (h *holder) gradeQuiet(patience time.Duration) tcpvet.Severity {
	switch {
	case h.before == nil:
		return 0
	case more(h.now.Quiet, h.before.Quiet) >= growing:
		return tcpvet.Warning
	case min(h.now.Quiet, h.before.Quiet) >= many && h.apart >= patience:
		return tcpvet.Info
	}
	return 0
}

func (h *holder) used(c *tcpvet.Census) tcpvet.Finding {
	f := h.finding(c, "used", h.gradeUsed(), h.now.Used, ended(h.now.Used))
	f.Numbers = []tcpvet.Number{
		{Name: "used_descriptors", Value: float64(h.now.Used)},
		{Name: "quiet_descriptors", Value: float64(h.now.Quiet)},
		{Name: "unasked_descriptors", Value: float64(h.now.Unasked)},
	}
	who := vet.ProcessText(c, h.Process)
	f.Detail = append(f.Detail,
		fmt.Sprintf("%s has not called close() on %s after the end: the peer reset it, keepalive or retransmission gave up, the program shut it down in both directions, or it was closed from outside, by tcpvet fix close or ss -K.",
			who, vet.Counted(h.now.Used, "connection")),
		"Such a socket is in no table, so that ss and netstat do not show it; its port is free, unless bind() chose it; its descriptor is not.")
	f.Detail = append(f.Detail, h.shareText(h.now.Used)...)
	if h.passing(f.Severity) {
		f.Certainty = tcpvet.Likely
	}
	switch {
	case h.before == nil:
		f.Detail = append(f.Detail, "One look does not tell for how long: right after a reset the program may be about to close.")
	case h.before.Used == 0:
		f.Detail = append(f.Detail, "There was none at the earlier look, "+vet.Duration(h.apart)+" before.")
	default:
		f.Detail = append(f.Detail, h.growthText(h.now.Used, h.before.Used))
	}
	if h.before != nil {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "more_used_descriptors", Value: float64(more(h.now.Used, h.before.Used))})
	}
	f.Detail = append(f.Detail, h.othersText()...)
	h.addCounts(&f)
	return f
}

func ended(n uint64) string {
	if n == 1 {
		return "of a connection that the kernel has ended"
	}
	return "of connections that the kernel has ended"
}

func (h *holder) quiet(c *tcpvet.Census, severity tcpvet.Severity) tcpvet.Finding {
	f := h.finding(c, "quiet", severity, h.now.Quiet, "without a connection")
	f.Certainty = tcpvet.Likely
	f.Numbers = []tcpvet.Number{
		{Name: "quiet_descriptors", Value: float64(h.now.Quiet)},
		{Name: "more_quiet_descriptors", Value: float64(more(h.now.Quiet, h.before.Quiet))},
	}
	f.Detail = append(f.Detail,
		"They are closed and never had a connection, as far as the kernel tells: a socket() that does not connect, or a connect() that failed and was not closed.",
		h.growthText(h.now.Quiet, h.before.Quiet))
	f.Detail = append(f.Detail, h.shareText(h.now.Quiet)...)
	h.addCounts(&f)
	return f
}

// finding gives what both kinds have in common.
func (h *holder) finding(c *tcpvet.Census, kind string, severity tcpvet.Severity, n uint64, of string) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: severity, Kind: kind,
		Subject: tcpvet.Subject{Netns: h.info.Netns, Processes: []tcpvet.Process{h.Process}, Container: h.info.Container},
		Title: vet.Heading(c, h.info.Netns, h.info.Container, vet.ProgramText(c, h.Process),
			"holds "+vet.Counted(n, "descriptor")+" "+of),
		Remedies: []tcpvet.Remedy{
			tcpvet.Advise{Code: true, Text: "close the socket on every path, after an error of read(), write() or connect() too", Run: vet.FixTopic(h.info)},
			tcpvet.Advise{Text: "until then only the end of the process frees them: restart it", May: tcpvet.DropsConnections},
		},
	}
	f.Evidence = h.evidence(c, kind)
	return f
}

func (h *holder) addCounts(f *tcpvet.Finding) {
	if h.info.Descriptors > 0 {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "open_descriptors", Value: float64(h.info.Descriptors)})
	}
	if h.info.DescriptorLimit > 0 {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "limit_descriptors", Value: float64(h.info.DescriptorLimit)})
	}
}

func (h *holder) shareText(n uint64) []string {
	part, ok := h.part(n)
	if !ok || h.info.DescriptorLimit == 0 {
		return nil
	}
	return []string{fmt.Sprintf("That is %s of its %s; the limit is %s, and past it accept() and socket() fail with EMFILE (24).",
		vet.Percent(part), vet.Counted(h.info.Descriptors, "descriptor"), vet.Count(h.info.DescriptorLimit))}
}

// growthText says what the two looks tell together, and when that ends.
func (h *holder) growthText(now, before uint64) string {
	grown := more(now, before)
	if grown == 0 {
		return fmt.Sprintf("At the earlier look, %s before, there were %s.", vet.Duration(h.apart), vet.Count(before))
	}
	rate := float64(grown) / h.apart.Seconds()
	text := fmt.Sprintf("%s more than %s before (%s)", vet.Count(grown), vet.Duration(h.apart), vet.PerSecond(rate))
	if left := more(h.info.DescriptorLimit, h.info.Descriptors); left > 0 && grown >= growing {
		const sight = 365 * vet.Day
		if seconds := float64(left) / rate; seconds < sight.Seconds() {
			return text + fmt.Sprintf(": at that rate the other %s are gone in %s.",
				vet.Counted(left, "descriptor"), vet.About(time.Duration(seconds*float64(time.Second))))
		}
	}
	return text + "."
}

// othersText tells of the sockets in no table that the count leaves out.
func (h *holder) othersText() []string {
	var d []string
	if h.now.Quiet > 0 {
		d = append(d, vet.Counted(h.now.Quiet, "other descriptor")+" of closed sockets had no connection: those may be about to connect.")
	}
	if h.now.Unasked > 0 {
		d = append(d, vet.Counted(h.now.Unasked, "other descriptor")+" of sockets in no table could not be asked about.")
	}
	return d
}

// evidence shows the descriptors, and that one of them is in no table. ss does not
// tell the inode of a descriptor, nor /proc a connection.
func (h *holder) evidence(c *tcpvet.Census, kind string) []tcpvet.Evidence {
	if h.info.LeaderExited {
		return nil // /proc/PID/fd is empty then
	}
	var all []tcpvet.Evidence
	if h.info.Descriptors > 0 {
		all = append(all, tcpvet.Evidence{
			What: "open descriptors of the process", Got: vet.Count(h.info.Descriptors), Check: fmt.Sprintf("ls /proc/%d/fd | wc -l", h.PID),
		})
	}
	inode := h.now.Inode
	if inode == 0 || kind == "quiet" && h.now.Used > 0 { // then it is one of the used
		return all
	}
	all = append(all, tcpvet.Evidence{
		What: "one of these sockets, by its inode", Got: fmt.Sprintf("socket:[%d]", inode),
		Check: fmt.Sprintf(`ls -l /proc/%d/fd | grep -om1 'socket:\[%d\]'`, h.PID, inode),
	})
	if enter, ok := vet.Enter(c, h.info.Netns, h.Process); ok {
		all = append(all, tcpvet.Evidence{
			What: "entries of that inode in the tables of TCP sockets", Got: "0",
			Check: fmt.Sprintf("%sss -Htane | awk '/ ino:%d / {n++} END {print n+0}'", enter, inode),
		})
	}
	return all
}
