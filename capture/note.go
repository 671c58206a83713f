package capture

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// noter writes the notes of one conversation.
type noter struct {
	c     *conversation
	close *tcpvet.Ending
	now   int64 // the latest time of the capture
	notes []tcpvet.Note
}

// write writes all notes, causes before what they led to.
func (n *noter) write() {
	n.opened()
	for i := range n.c.ends {
		n.stalled(uint8(i))
	}
	n.reset()
	for i := range n.c.ends {
		n.unheard(uint8(i))
	}
	n.closed()
	n.reused()
}

func (n *noter) add(note tcpvet.Note) { n.notes = append(n.notes, note) }

// likely makes a note one of several readings.
func likely(kind tcpvet.NoteKind, by tcpvet.End, text string, or ...tcpvet.NoteKind) tcpvet.Note {
	return tcpvet.Note{Kind: kind, Certainty: tcpvet.Likely, By: by, Text: text, Or: or}
}

// other names the end that i is not.
func (n *noter) other(i uint8) tcpvet.End { return n.c.end(1 - i) }

// since is how long before the end of the capture t was.
func (n *noter) since(t int64) time.Duration { return elapsed(t, n.now) }

// length writes a time with two or three digits: "41 ms", "2.32 s", "110 s".
func length(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d < time.Millisecond:
		return digits(d, time.Microsecond) + " us"
	case d < time.Second:
		return digits(d, time.Millisecond) + " ms"
	case d < 1000*time.Second:
		return digits(d, time.Second) + " s"
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}

func digits(d, unit time.Duration) string {
	decimals := 2
	switch {
	case d >= 100*unit:
		decimals = 0
	case d >= 10*unit:
		decimals = 1
	}
	s := strconv.FormatFloat(float64(d)/float64(unit), 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// count writes a number with its noun: "1 probe", "3 probes".
func count[N uint32 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// times writes how often: "once", "24 times".
func times(n uint32) string {
	if n == 1 {
		return "once"
	}
	return count(n, "time")
}
