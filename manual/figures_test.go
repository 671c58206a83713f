package manual

import (
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// TestFigures computes the figures that the texts state, and looks for them
// where they stand.
func TestFigures(t *testing.T) {
	const low, high = 32768, 60999 // the default range
	const size = high - low + 1
	perMinute := func(seconds float64) string { return strconv.FormatFloat(size/seconds, 'f', 1, 64) }
	for _, test := range []struct{ topic, want string }{
		{"ports", grouped(size)},
		{"ports", perMinute(tcpvet.TimeWaitLength.Seconds())},
		{"ip_local_port_range", grouped(size)},
		{"ip_local_port_range", grouped(60999 - 10240 + 1)},
		{"EADDRNOTAVAIL", grouped(size)},
		{"EADDRINUSE", grouped(size)},
		{"tcp_tw_reuse_delay", grouped(size)},
		{"article 10", perMinute(60)},
		{"article 10", strconv.Itoa(size / 120)},
		// What the article counted: CLOSE_WAIT, SYN_SENT, ESTABLISHED, TIME_WAIT.
		{"article", grouped(27352)},
		{"article 2", grouped(27352 + 4 + 58 + 4)},
		{"article 2", strconv.Itoa(size - (27352 + 4 + 58 + 4))},
		{"article 27", grouped(1800 + 5*15)},
		{"article 29", strconv.Itoa(5*15) + " s"},
		{"article 29", strconv.Itoa(9*75) + " s"},
		{"keepalive", grouped(7200 + 9*75)},
		{"keepalive", grouped(1800 + 5*15)},
		// SYN-ACKs after 0, 1, 3, 7, 15 and 31 s, and 32 s for the last.
		{"SYN-RECV", strconv.Itoa(1+2+4+8+16+32) + " s"},
		// SYNs with pauses of 1, 2, 4 ... 64 s: before Linux 6.5.
		{"tcp_syn_retries", strconv.Itoa(1+2+4+8+16+32+64) + " s"},
		{"SYN-SENT", strconv.Itoa(1+2+4+8+16+32+64) + " s"},
	} {
		topic, _, ok := Find(test.topic)
		if !ok {
			t.Errorf("no topic %q", test.topic)
			continue
		}
		if !strings.Contains(text(t, topic, Here{}, 200), test.want) {
			t.Errorf("%s does not say %q", test.topic, test.want)
		}
	}
}
