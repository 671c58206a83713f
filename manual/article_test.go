package manual

import (
	"strings"
	"testing"
)

// TestVerdicts compares with verdicts set down by hand when the article was
// checked, claim by claim, on Linux 6.18.
func TestVerdicts(t *testing.T) {
	want := map[int]Verdict{
		1: False, 2: True, 3: Partly, 4: False, 5: False, 6: True, 7: True, 8: True, 9: Partly, 10: Partly,
		11: True, 12: True, 13: Partly, 14: True, 15: True, 16: Outdated, 17: True, 18: True, 19: False, 20: True,
		21: True, 22: Partly, 23: Partly, 24: Partly, 25: True, 26: True, 27: False, 28: True, 29: True, 30: True, 31: True,
	}
	claims := Claims()
	if len(claims) != 31 {
		t.Fatalf("%d claims, want 31", len(claims))
	}
	for _, c := range claims {
		if c.Verdict != want[c.N] {
			t.Errorf("claim %d, %q: %s, want %s", c.N, c.Says, c.Verdict, want[c.N])
		}
		topic, _, ok := Find("article " + itoa(c.N))
		if !ok || topic.Section != Article || !topic.Part {
			t.Errorf("claim %d has no page of its own", c.N)
		}
		if !strings.Contains(text(t, topic, Here{}, 80), string(c.Verdict)+".") {
			t.Errorf("claim %d: the page does not say %q", c.N, c.Verdict)
		}
		if c.Says == "" || c.Why == "" || len(c.Shown) == 0 || len(c.See) == 0 {
			t.Errorf("claim %d: incomplete", c.N)
		}
	}
}

// TestClaimsSayWhatTheyAreAbout pins each number to its claim, so that none
// trades places.
func TestClaimsSayWhatTheyAreAbout(t *testing.T) {
	words := [...]string{
		"lsof", "Errno 99", "eleven states", "LAST_ACK", "MSL =", "Captures", "2 MSL", "three segments to open", "file handles", "470 or 235",
		"NAT", "Long connections", "SO_LINGER", "ip_local_port_range", "nf_conntrack_tcp_timeout_time_wait", "tcp_tw_recycle", "SO_REUSEADDR", "read the code", "did not send the ACK", "crawler",
		"SIGPIPE", "end of the process", "First cure", "Second cure", "Nagle", "tcp_keepalive_time", "15, 30, 45, 60 and 75", "finds dead peers", "short outage", "HTTP keep-alive is not", "lowers the number",
	}
	for i, c := range Claims() {
		if !strings.Contains(c.Says, words[i]) {
			t.Errorf("claim %d says %q, without %q", c.N, c.Says, words[i])
		}
	}
}
