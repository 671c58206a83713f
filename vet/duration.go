package vet

import (
	"fmt"
	"time"
)

// Day has 24 hours.
const Day = 24 * time.Hour

// Duration writes a duration in its two largest units, cut and not rounded:
// "350 ms", "2.5 s", "13 min 5 s", "2 h 13 min", "3 d 4 h".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second >= 100*time.Millisecond:
		return fmt.Sprintf("%d.%d s", d/time.Second, d%time.Second/(100*time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return units(d, time.Minute, "min", time.Second, "s")
	case d < Day:
		return units(d, time.Hour, "h", time.Minute, "min")
	}
	return units(d, Day, "d", time.Hour, "h")
}

func units(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	if rest := d % large / small; rest != 0 {
		return fmt.Sprintf("%d %s %d %s", d/large, largeName, rest, smallName)
	}
	return fmt.Sprintf("%d %s", d/large, largeName)
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
