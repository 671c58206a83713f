package vet

import (
	"fmt"
	"strconv"
	"time"
)

// Integer is any type of integer.
type Integer interface {
	~int | ~int32 | ~int64 | ~uint | ~uint16 | ~uint32 | ~uint64
}

// Count writes a number with its thousands set off by commas: 27,352.
func Count[N Integer](n N) string {
	var digits []byte
	if n < 0 {
		digits = strconv.AppendInt(nil, int64(n), 10)
	} else {
		digits = strconv.AppendUint(nil, uint64(n), 10)
	}
	first := 0
	if digits[0] == '-' {
		first = 1
	}
	for i := len(digits) - 3; i > first; i -= 3 {
		digits = append(digits[:i], append([]byte{','}, digits[i:]...)...)
	}
	return string(digits)
}

// Counted writes a number with its noun, "1 socket" or "27,352 sockets". The
// noun is given in the singular and takes an s.
func Counted[N Integer](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Times writes how often: "once", "twice", "27 times".
func Times[N Integer](n N) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return Count(n) + " times"
}

// Percent writes a ratio with one decimal: 96.9 %. What is not quite all is
// never written as 100 %, and what is not quite nothing never as 0 %.
func Percent(ratio float64) string {
	switch p := ratio * 100; {
	case ratio == 0 || ratio == 1:
		return fmt.Sprintf("%.0f %%", p)
	case p > 0 && p < 0.05:
		return "under 0.1 %"
	case p < 100 && p >= 99.95:
		return "99.9 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// Rate writes how many came in how long, with what that is per second: "31 in
// the last 10 s (3.1/s)".
func Rate[N Integer](n N, in time.Duration) string {
	return fmt.Sprintf("%s in the last %s (%s)", Count(n), Duration(in), PerSecond(float64(n)/in.Seconds()))
}

// PerSecond writes a rate: 3.1/s, 470/s, 0.02/s, 28,232/s.
func PerSecond(r float64) string {
	switch {
	case r >= 100:
		return Count(int64(r)) + "/s" // never more than is borne
	case r >= 0.1 || r == 0:
		return strconv.FormatFloat(r, 'f', 1, 64) + "/s"
	case r >= 0.01:
		return strconv.FormatFloat(r, 'f', 2, 64) + "/s"
	}
	return "under 0.01/s"
}
