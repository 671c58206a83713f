package probe

import (
	"testing"
	"time"
)

// What Apache (timeout=5, max=100), nginx (timeout=20), Node (timeout=5) and others
// send (RFC 2068, section 19.7.1), and what none should.
func TestParseHint(t *testing.T) {
	for _, test := range []struct {
		header  string
		timeout time.Duration // -1 for none
		max     int           // -1 for none
	}{
		{"timeout=5, max=100", 5 * time.Second, 100},
		{"timeout=20", 20 * time.Second, -1},
		{"max=999", -1, 999},
		{"TIMEOUT=5 ,Max=1", 5 * time.Second, 1},
		{`timeout="15"`, 15 * time.Second, -1},
		{"timeout = 7", 7 * time.Second, -1},
		{"timeout=0", 0, -1},
		{"timeout=5, timeout=9", 5 * time.Second, -1},
		{"", -1, -1},
		{"300", -1, -1}, // as some clients send it
		{"timeout=-5", -1, -1},
		{"timeout=1.5", -1, -1},
		{"timeout=99999999999999999999", -1, -1},
		{"timeout=9223372036854775807", -1, -1}, // as seconds it is no duration
		{"max=9223372036854775807", -1, -1},
		{"timeout=, max=3", -1, 3},
		{"header=timeout=5", -1, -1},
	} {
		h := ParseHint(test.header)
		if h.HasTimeout != (test.timeout >= 0) || h.HasTimeout && h.Timeout != test.timeout ||
			h.HasMax != (test.max >= 0) || h.HasMax && h.Max != test.max || h.Text != test.header {
			t.Errorf("%q: %+v", test.header, h)
		}
	}
}

func FuzzParseHint(f *testing.F) {
	f.Add("timeout=5, max=100")
	f.Add(`timeout="9223372036854775807",max=`)
	f.Fuzz(func(t *testing.T, header string) {
		h := ParseHint(header)
		if h.Timeout < 0 || h.Timeout%time.Second != 0 || h.Max < 0 || h.Text != header {
			t.Errorf("%q: %+v", header, h)
		}
	})
}
