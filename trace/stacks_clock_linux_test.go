package trace

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Lines as time_namespaces(7) shows them.
func TestParseClockOffset(t *testing.T) {
	const text = "monotonic      172800         0\nboottime       604800       5\n"
	for _, test := range []struct {
		text, name string
		number     int
		want       time.Duration
		ok         bool
	}{
		{text, "monotonic", unix.CLOCK_MONOTONIC, 48 * time.Hour, true},
		{text, "boottime", unix.CLOCK_BOOTTIME, 7*24*time.Hour + 5, true},
		{"1 -3 0\n7 4 1\n", "monotonic", unix.CLOCK_MONOTONIC, -3 * time.Second, true}, // by number
		{"", "monotonic", unix.CLOCK_MONOTONIC, 0, true},
		{"monotonic x 0\n", "monotonic", unix.CLOCK_MONOTONIC, 0, false},
		{"monotonic 1 99999999999999\n", "monotonic", unix.CLOCK_MONOTONIC, 0, false},
	} {
		got, err := parseClockOffset(test.text, test.name, test.number)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %v, %v; want %v", test.text, got, err, test.want)
		}
	}
}
