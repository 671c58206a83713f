package recording

import (
	"bytes"
	"time"
)

// stampKind is how a line tells its time.
type stampKind uint8

const (
	noStamp   stampKind = iota // -t
	clockTime                  // hours, minutes, seconds: the default, -ttt, -ttttt
	unixTime                   // -tt
	dateTime                   // -tttt
)

// stamp is the time that a line tells. ns counts from 1970 for unixTime, from
// midnight for the others.
type stamp struct {
	kind             stampKind
	ns               int64
	year, month, day int
}

const day = 24 * time.Hour

// cutStamp cuts a time off the front of a line.
func cutStamp(line []byte) (stamp, []byte) {
	b := line
	if len(b) == 0 || !isDigit(b[0]) && b[0] != '-' {
		return stamp{}, line
	}
	word, rest, ok := bytes.Cut(b, []byte(" "))
	if !ok {
		return stamp{}, line
	}
	if ns, ok := clockOf(word); ok {
		return stamp{kind: clockTime, ns: ns}, rest
	}
	if year, month, day, ok := dateOf(word); ok {
		word, rest, _ = bytes.Cut(rest, []byte(" "))
		if ns, ok := clockOf(word); ok && ns >= 0 {
			return stamp{kind: dateTime, ns: ns, year: year, month: month, day: day}, rest
		}
		return stamp{}, line
	}
	seconds, b, ok := number(word)
	if !ok || seconds > 1<<33 || len(b) < 2 || b[0] != '.' {
		return stamp{}, line
	}
	if ns, ok := fraction(b[1:]); ok {
		return stamp{kind: unixTime, ns: int64(seconds)*1e9 + ns}, rest
	}
	return stamp{}, line
}

// clockOf reads 23:13:14.956630, or less than nothing with a minus before it.
func clockOf(b []byte) (ns int64, ok bool) {
	sign := int64(1)
	if len(b) > 0 && b[0] == '-' {
		sign, b = -1, b[1:]
	}
	if len(b) < 10 || b[2] != ':' || b[5] != ':' || b[8] != '.' {
		return 0, false
	}
	var part [3]int64
	for i := range part {
		high, low := b[3*i], b[3*i+1]
		if !isDigit(high) || !isDigit(low) {
			return 0, false
		}
		part[i] = int64(high-'0')*10 + int64(low-'0')
	}
	if part[1] > 59 || part[2] > 60 { // a leap second
		return 0, false
	}
	ns, ok = fraction(b[9:])
	return sign * (((part[0]*60+part[1])*60+part[2])*1e9 + ns), ok
}

// dateOf reads 2026-11-24.
func dateOf(b []byte) (year, month, day int, ok bool) {
	if len(b) != 10 || b[4] != '-' || b[7] != '-' {
		return 0, 0, 0, false
	}
	for i, c := range b {
		switch {
		case i == 4 || i == 7:
		case !isDigit(c):
			return 0, 0, 0, false
		case i < 4:
			year = year*10 + int(c-'0')
		case i < 7:
			month = month*10 + int(c-'0')
		default:
			day = day*10 + int(c-'0')
		}
	}
	return year, month, day, year >= 1970 && year < 2200 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// fraction reads the digits behind a decimal point, in nanoseconds.
func fraction(b []byte) (ns int64, ok bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	for i := range 9 {
		ns *= 10
		if i < len(b) {
			if !isDigit(b[i]) {
				return 0, false
			}
			ns += int64(b[i] - '0')
		}
	}
	return ns, true
}

// times turns stamps into times.
type times struct {
	clock Clock
	kind  stampKind
	delta bool // each tells what passed since the one before
	any   bool // kind is known
	zone  *time.Location
	last  int64
	days  int64 // nanoseconds since the first midnight
}

// timesOf finds out from the beginning of a text what its times count from.
// tcpdump -ttt and -ttttt both begin at zero; only the times of the latter never
// go back. sure is false where more of the text could tell more.
func timesOf(start []byte, zone *time.Location) (t times, sure bool) {
	t.zone = zone
	if zone == nil {
		t.zone = time.UTC
	}
	var last int64
	zero, back := false, false
	for line := range bytes.Lines(start) {
		if line[len(line)-1] != '\n' && len(start) < lookAhead {
			break // there may be more of it
		}
		if !bytes.Contains(line, wordArrow) && !bytes.Contains(line, wordTOS) {
			continue
		}
		s, rest := cutStamp(bytes.TrimLeft(line, " \t"))
		if s.kind == noStamp && !namesIP(rest) {
			continue
		}
		switch {
		case !t.any:
			t.any, t.kind = true, s.kind
			zero = s.kind == clockTime && s.ns == 0
		case s.kind == clockTime && s.ns < last:
			back = true
		}
		last = s.ns
	}
	t.delta = zero && back
	switch {
	case !t.any || t.kind == noStamp:
	case t.kind == unixTime, t.kind == dateTime:
		t.clock = Since1970
	case zero:
		t.clock = SinceFirst
	default:
		t.clock = SinceMidnight
	}
	return t, t.any && !zero
}

// at gives the time of a packet, in nanoseconds. It is not ok where its kind is
// another than that of the first packet.
func (t *times) at(s stamp) (ns int64, ok bool) {
	if !t.any {
		t.any, t.kind = true, s.kind
		switch s.kind {
		case unixTime, dateTime:
			t.clock = Since1970
		case clockTime:
			t.clock = SinceMidnight
		}
	}
	switch {
	case s.kind != t.kind:
		return 0, false
	case s.kind == dateTime:
		ns = time.Date(s.year, time.Month(s.month), s.day, 0, 0, 0, 0, t.zone).Add(time.Duration(s.ns)).UnixNano()
	case t.delta:
		ns = t.last + s.ns
	case t.clock == SinceMidnight:
		if ns = t.days + s.ns; ns < t.last-int64(day/2) { // it is past midnight
			t.days += int64(day)
			ns += int64(day)
		}
	default:
		ns = s.ns
	}
	t.last = ns
	return ns, true
}
