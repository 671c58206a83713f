package tcpvet_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
)

// The words that other programs print, with the numbers of
// include/net/tcp_states.h.
func TestParseState(t *testing.T) {
	for want, words := range map[tcpvet.State][]string{
		1:  {"ESTAB", "ESTABLISHED", "established"},              // ss, netstat, RFC 9293
		2:  {"SYN-SENT", "SYN_SENT"},                             // ss, netstat
		3:  {"SYN-RECV", "SYN_RECV", "SYN-RECEIVED", "SYN_RCVD"}, // ss, netstat, RFC 9293, BSD
		4:  {"FIN-WAIT-1", "FIN_WAIT1"},
		5:  {"FIN-WAIT-2", "FIN_WAIT2", "fin-wait-2"},
		6:  {"TIME-WAIT", "TIME_WAIT", "time-wait", "timewait"},
		7:  {"UNCONN", "CLOSE", "CLOSED"},
		8:  {"CLOSE-WAIT", "CLOSE_WAIT", "close wait"},
		9:  {"LAST-ACK", "LAST_ACK"},
		10: {"LISTEN", "LISTENING", "listening"},
		11: {"CLOSING"},
		13: {"BOUND-INACTIVE", "bound"},
	} {
		for _, word := range words {
			if got, err := tcpvet.ParseState(word); err != nil || got != want {
				t.Errorf("ParseState(%q) = %d, %v; want %d", word, got, err, want)
			}
		}
	}
	for _, word := range []string{"", "CLOSE-WAITING", "0", "ESTABLISH"} {
		if got, err := tcpvet.ParseState(word); err == nil {
			t.Errorf("ParseState(%q) = %s, want an error", word, got)
		}
	}
}

func TestStateSet(t *testing.T) {
	for _, s := range tcpvet.States {
		if !tcpvet.AllStates.Has(s) {
			t.Errorf("AllStates lacks %s", s)
		}
		if back, err := tcpvet.ParseState(s.String()); err != nil || back != s {
			t.Errorf("%d prints as %q, which reads as %d, %v", s, s, back, err)
		}
	}
	// The kernel's own mask: every state from 1 to 11, and bit 13.
	if tcpvet.AllStates != 0x2ffe {
		t.Errorf("AllStates = %#x, want 0x2ffe", uint16(tcpvet.AllStates))
	}
	set := tcpvet.SetOf(tcpvet.CloseWait, tcpvet.Listen)
	if set != 1<<8|1<<10 || set.Has(tcpvet.TimeWait) {
		t.Errorf("SetOf(CloseWait, Listen) = %#x", uint16(set))
	}
}
