package report

import (
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// LadderLine is what a ladder shows of one segment.
type LadderLine struct {
	At       int64 // nanoseconds, as Segment.At
	Seq, Ack uint32
	NoSeq    bool
	Flags    capture.Flags
	Len      int // bytes of payload
	Step     capture.Step
}

// LadderLineOf copies what a ladder shows of s, which its reader fills again.
func LadderLineOf(s *capture.Segment, step capture.Step) LadderLine {
	return LadderLine{At: s.At, Seq: s.Seq, Ack: s.Ack, NoSeq: s.NoSeq, Flags: s.Flags, Len: s.Len, Step: step}
}

// rung is one row of a ladder: a segment, a time without any, or a run of
// segments that are not shown one by one.
type rung struct {
	line *LadderLine
	gap  time.Duration
	run  *run

	client, server tcpvet.State // after it
}

// run sums segments up.
type run struct {
	at                 int64 // of the first
	took               time.Duration
	segments           uint64
	toClient, toServer uint64 // bytes, without those sent again
	again, probes      uint64 // segments
}

const (
	// longGap is a time between two segments that gets a row of its own: more
	// than a round trip, and more than an ACK is delayed (40 to 200 ms).
	longGap = 200 * time.Millisecond

	// leastRun is how many segments are worth a fold: a request, its answer
	// and their ACKs stay.
	leastRun = 8

	// mostRungs is how many rows a ladder may have before whatever changes no
	// state is folded, repeats and silences too.
	mostRungs = 150
)

// rungs makes the rows of a ladder. With all, nothing is folded.
func rungs(lines []LadderLine, all bool) []rung {
	rows := fold(lines, func(l *LadderLine, gap time.Duration) bool {
		return !all && gap < longGap && l.Step.What&(remarkable&^capture.DupACK) == 0
	})
	if len(rows) <= mostRungs || all {
		return rows
	}
	return fold(lines, func(*LadderLine, time.Duration) bool { return true })
}

// fold makes rows, folding what changes nothing and plain says yes to, given
// the time since the segment before.
func fold(lines []LadderLine, plain func(*LadderLine, time.Duration) bool) []rung {
	var rows []rung
	for i := 0; i < len(lines); {
		l := &lines[i]
		gap := since(lines, i)
		if gap >= longGap {
			rows = append(rows, rung{gap: gap, client: l.Step.ClientBefore, server: l.Step.ServerBefore})
		}
		n := 0 // how many from here on may be folded; the silence before them has its row
		for gap = 0; i+n < len(lines) && !lines[i+n].changes() && plain(&lines[i+n], gap); gap = since(lines, i+n) {
			n++
		}
		if n >= leastRun {
			rows = append(rows, sum(lines[i:i+n]))
			i += n
			continue
		}
		rows = append(rows, rung{line: l, client: l.Step.ClientAfter, server: l.Step.ServerAfter})
		i++
	}
	return rows
}

// since is the time between a segment and the one before it.
func since(lines []LadderLine, i int) time.Duration {
	if i == 0 || i == len(lines) {
		return 0
	}
	return gapBetween(lines[i-1].At, lines[i].At)
}

// gapBetween is never negative: a clock may have been set back.
func gapBetween(from, to int64) time.Duration { return time.Duration(max(to-from, 0)) }

// changes tells whether the segment changed a state, or was to.
func (l *LadderLine) changes() bool {
	return l.Flags.Any(capture.SYN|capture.FIN|capture.RST) || l.Step.ClientBefore != l.Step.ClientAfter || l.Step.ServerBefore != l.Step.ServerAfter
}

func sum(lines []LadderLine) rung {
	last := &lines[len(lines)-1]
	r := &run{at: lines[0].At, took: gapBetween(lines[0].At, last.At), segments: uint64(len(lines))}
	for i := range lines {
		l := &lines[i]
		switch {
		case l.Step.What&(capture.KeepaliveProbe|capture.WindowProbe) != 0:
			r.probes++
		case l.Step.What.Has(capture.Retransmission):
			r.again++
		case l.Step.From == tcpvet.ClientEnd:
			r.toServer += uint64(l.Len)
		default:
			r.toClient += uint64(l.Len)
		}
	}
	return rung{run: r, client: last.Step.ClientAfter, server: last.Step.ServerAfter}
}

// text says what was folded, in at most width characters if it can.
func (r *run) text(width int) string {
	head, tail := vet.Counted(r.segments, "segment"), " in "+span(r.took)
	var bytes, rest string
	if r.toServer > 0 {
		bytes += ", " + vet.Counted(r.toServer, "byte") + " to the server"
	}
	if r.toClient > 0 {
		bytes += ", " + vet.Counted(r.toClient, "byte") + " to the client"
	}
	if r.again > 0 {
		rest += ", " + vet.Count(r.again) + " sent again"
	}
	if r.probes > 0 {
		rest += ", " + vet.Counted(r.probes, "probe")
	}
	all := ", " + vet.Counted(r.toServer+r.toClient, "byte")
	for _, text := range []string{head + bytes + rest + tail, head + all + rest + tail, head + all + tail} {
		if len(text) <= width {
			return text
		}
	}
	return head + tail
}

func span(d time.Duration) string { return string(appendSpan(nil, d)) }

// label says what a segment is in at most width characters: its flags, its
// numbers relative to its conversation's first ones, its bytes, and what is
// remarkable. What does not fit is left out, bytes first.
func (l *LadderLine) label(absolute bool, width int) string {
	from, to := l.Step.SeqBase, l.Step.AckBase
	if absolute {
		from, to = 0, 0
	}
	flags := l.flagNames()
	var seq, ack, size, remark string
	if !l.NoSeq && (l.Len > 0 || l.Flags.Any(capture.SYN|capture.FIN|capture.RST)) {
		seq = " seq " + strconv.FormatUint(uint64(l.Seq-from), 10)
		if l.Len > 0 {
			seq += ":" + strconv.FormatUint(uint64(l.Seq-from+uint32(l.Len)), 10)
		}
	}
	if l.Flags.Has(capture.ACK) {
		ack = " ack " + strconv.FormatUint(uint64(l.Ack-to), 10)
	}
	if l.Len > 0 {
		size = ", " + vet.Counted(l.Len, "byte")
	}
	if what := l.Step.What & remarkable; what != 0 {
		remark = " (" + what.String() + ")"
	}
	for _, text := range []string{flags + seq + ack + size + remark, flags + seq + ack + remark, flags + seq + remark, flags + remark} {
		if len(text) <= width {
			return text
		}
	}
	return flags
}

// flagNames gives the flags in the order in which they are spoken of.
func (l *LadderLine) flagNames() string {
	var names []string
	for _, f := range [...]struct {
		flag capture.Flags
		name string
	}{
		{capture.SYN, "SYN"}, {capture.FIN, "FIN"}, {capture.RST, "RST"}, {capture.PSH, "PSH"}, {capture.ACK, "ACK"}, {capture.URG, "URG"},
		{capture.ECE, "ECE"}, {capture.CWR, "CWR"}, {capture.AE, "AE"},
	} {
		if l.Flags.Has(f.flag) {
			names = append(names, f.name)
		}
	}
	if names == nil {
		return "no flag"
	}
	return strings.Join(names, ",")
}

// ladderHead says in a few lines how a conversation opened and closed.
func ladderHead(c *tcpvet.Conversation) []string {
	title := "conversation " + strconv.Itoa(c.Number)
	if c.File != "" {
		title += " of " + vet.Plain(c.File)
	}
	opened := "opened: " + dashed(string(c.Open.Kind))
	if c.Open.Connect != nil {
		opened += " in " + span(*c.Open.Connect)
	}
	if c.Open.RTT != nil {
		opened += ", RTT " + span(*c.Open.RTT)
	}
	if n := c.Open.SYNRetransmits; n > 0 {
		opened += ", " + vet.Counted(n, "SYN") + " sent again"
	}
	closed := "closed: " + dashed(string(c.Close.Kind))
	switch c.Close.First {
	case tcpvet.ClientEnd, tcpvet.ServerEnd:
		closed += ", the " + string(c.Close.First) + " first"
	}
	if c.Close.PassiveWait != nil && *c.Close.PassiveWait > 0 {
		closed += ", " + span(*c.Close.PassiveWait) + " in CLOSE-WAIT"
	}
	switch c.Close.TimeWait {
	case tcpvet.BothEnds:
		closed += ", a TIME-WAIT at both ends"
	case tcpvet.ClientEnd, tcpvet.ServerEnd:
		closed += ", the TIME-WAIT at the " + string(c.Close.TimeWait)
	}
	return []string{title, opened, closed}
}

func dashed(s string) string { return string(orDash(nil, s)) }

// sinceFirst is the time of a row, in seconds.
func sinceFirst(lines []LadderLine, at int64) string {
	return strconv.FormatFloat(gapBetween(lines[0].At, at).Seconds(), 'f', 6, 64)
}

// stateText is a state as it stands beside the ladder, "" for one that was
// never seen.
func stateText(s tcpvet.State) string {
	if s == 0 {
		return ""
	}
	return jsonv1.ConversationState(s)
}
