package vet

import (
	"strconv"
	"strings"
	"time"
)

// Day has 24 hours.
const Day = 24 * time.Hour

// Duration writes a duration in its two largest units, cut and not rounded:
// "350 ms", "2.5 s", "13 min 5 s", "2 h 13 min", "3 d 4 h".
func Duration(d time.Duration) string { return string(AppendDuration(nil, d)) }

// UpTo writes an upper bound as Duration does, but rounded up: a bound that is cut is
// none.
func UpTo(d time.Duration) string {
	unit := time.Second
	switch {
	case d < time.Second:
		unit = time.Millisecond
	case d < 10*time.Second:
		unit = 100 * time.Millisecond
	case d >= Day:
		unit = time.Hour
	case d >= time.Hour:
		unit = time.Minute
	}
	return Duration((d + unit - 1).Truncate(unit))
}

// AppendDuration appends what Duration writes.
func AppendDuration(b []byte, d time.Duration) []byte {
	switch {
	case d < 0:
		return AppendDuration(append(b, '-'), -max(d, -1<<63+1))
	case d < time.Second:
		return unit(b, d, time.Millisecond, "ms")
	case d < 10*time.Second && d%time.Second >= 100*time.Millisecond:
		b = strconv.AppendInt(b, int64(d/time.Second), 10)
		b = append(b, '.', byte('0'+d%time.Second/(100*time.Millisecond)))
		return append(b, " s"...)
	case d < time.Minute:
		return unit(b, d, time.Second, "s")
	case d < time.Hour:
		return units(b, d, time.Minute, "min", time.Second, "s")
	case d < Day:
		return units(b, d, time.Hour, "h", time.Minute, "min")
	}
	return units(b, d, Day, "d", time.Hour, "h")
}

// ShellDuration writes a duration as flags and filters take it: 5m, 1h, 4m22.144s.
func ShellDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func unit(b []byte, d, of time.Duration, name string) []byte {
	b = strconv.AppendInt(b, int64(d/of), 10)
	return append(append(b, ' '), name...)
}

func units(b []byte, d, large time.Duration, largeName string, small time.Duration, smallName string) []byte {
	b = unit(b, d, large, largeName)
	if rest := d % large; rest >= small {
		b = unit(append(b, ' '), rest, small, smallName)
	}
	return b
}

// About writes a duration that was estimated, rounded to no more than it can
// be worth: "about 40 s", "about 4 min 40 s", "about 2 h 10 min", "about 78 d".
func About(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		d = max(d.Round(time.Second), time.Second)
	case d < time.Hour:
		d = d.Round(10 * time.Second)
	case d < Day:
		d = d.Round(10 * time.Minute)
	case d < 10*Day:
		d = d.Round(time.Hour)
	default:
		d = d.Round(Day)
	}
	return "about " + Duration(d)
}

// Ago writes how long ago something was, where only bounds are known "between
// 5 min and 2 h 13 min ago".
func Ago(low, high time.Duration) string {
	l, h := Duration(low), Duration(high)
	if l == h {
		return l + " ago"
	}
	return "between " + l + " and " + h + " ago"
}
