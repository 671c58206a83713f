package filter

import (
	"slices"
	"strings"
	"testing"
)

// TestNext offers what may come next, each word of which Parse reads there or asks
// for more behind.
func TestNext(t *testing.T) {
	for _, row := range []struct{ args, have, lack string }{
		{"", "state exclude src dst sport dport role timer age recvq uid not", "and or close-wait client"},
		{"state", "close-wait established time-wait listening all big", "src and not"},
		{"src :80 EXCLUDE", "close-wait all", "src"},
		{"state close-wait", "and or not src state", "close-wait"},
		{"state close-wait and", "src not", "and or"},
		{"not", "state src", "and close-wait"},
		{"( state close-wait", "and or src", "client"},
		{"(", "state src not", "and"},
		{"role", "client server", "src on"},
		{"role =", "client server", "src"},
		{"timer !=", "on off keepalive timewait persist", "src client"},
		{"role client", "and or src", "client"},
	} {
		got := Next(strings.Fields(row.args))
		for w := range strings.FieldsSeq(row.have) {
			if !slices.Contains(got, w) {
				t.Errorf("behind %q: %q is not among %q", row.args, w, got)
			}
		}
		for w := range strings.FieldsSeq(row.lack) {
			if slices.Contains(got, w) {
				t.Errorf("behind %q: %q is among %q", row.args, w, got)
			}
		}
		for _, w := range got {
			_, err := Parse(append(strings.Fields(row.args), w))
			if e, ok := err.(*SyntaxError); err != nil && (!ok || e.Got != "") {
				t.Errorf("behind %q: %q cannot stand: %v", row.args, w, err)
			}
		}
	}
	for _, args := range []string{"src", "dst =", "sport", "age >", "uid", "closed-wait", "src 1.2.3.4.5", "state close-wait )", "dev"} {
		if got := Next(strings.Fields(args)); len(got) != 0 {
			t.Errorf("behind %q: %q", args, got)
		}
	}
}
