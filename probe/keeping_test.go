package probe

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// ends is a connection whose request was sent at sent, answered after 10 ms, and which
// was ended at the time ended, 0 for not.
func ends(sent, ended time.Duration, how Ending) Kept {
	return Kept{Exchanges: []Exchange{{Sent: sent, Done: sent + 10*ms}}, Ended: ended, How: how}
}

// asked is a connection that was asked again after an idle time, and answered.
func asked(sent, idle time.Duration) Kept {
	again := sent + 10*ms + idle
	return Kept{Exchanges: []Exchange{{Sent: sent, Done: sent + 10*ms}, {Sent: again, Done: again + 10*ms}}}
}

// refused is one that was asked again, and ended in place of an answer.
func refused(sent, idle time.Duration, how Ending) Kept {
	k := asked(sent, idle)
	k.Exchanges[1].Done, k.Ended, k.How = 0, k.Exchanges[1].Done, how
	return k
}

// A server is idle from some time after the request until it ends the connection, so
// that the time between those is the most that it can have kept it; and it surely kept
// what it still answered on for as long as the client was silent.
func TestKeeping(t *testing.T) {
	reused := asked(0, 400*ms)
	reused.Ended, reused.How = 1010*ms, ByFIN // the time from its opening was over
	young := asked(0, 400*ms)
	young.Left = 1400 * ms // still open then
	unseen := asked(700*ms, 400*ms)
	unseen.Left = 1400 * ms // 0.7 s after its opening
	limited := asked(0, 700*ms)
	limited.Exchanges[1].Close, limited.Ended, limited.How = true, 725*ms, ByFIN
	for _, test := range []struct {
		name string
		kept []Kept
		want Keeping
		ok   bool
	}{
		{"nothing", nil, Keeping{}, false},
		{"never asked, never ended", []Kept{ends(0, 0, StillOpen)}, Keeping{}, false},
		{"enclosed", []Kept{ends(0, 1010*ms, ByFIN), asked(0, 980*ms), asked(0, 500*ms), ends(500*ms, 1512*ms, ByFIN)},
			Keeping{Limit: Limit{980 * ms, 1010 * ms}, How: ByFIN}, true},
		{"beyond the bound", []Kept{asked(0, 2*time.Second), asked(0, time.Second), ends(0, 0, StillOpen)},
			Keeping{Limit: Limit{Survived: 2 * time.Second}}, true},
		{"ended, and none was asked before", []Kept{ends(0, 50*ms, ByRST)}, Keeping{Limit: Limit{Ended: 50 * ms}, How: ByRST}, true},
		{"a request crossed the end", []Kept{ends(0, 1010*ms, ByFIN), refused(30*ms, 975*ms, ByRST), asked(0, 900*ms)},
			Keeping{Limit: Limit{900 * ms, 995 * ms}, How: ByFIN}, true},
		{"only requests show it", []Kept{asked(0, time.Second), refused(0, 2*time.Second, ByRST), refused(0, 3*time.Second, ByRST), ends(0, 0, StillOpen)},
			Keeping{Limit: Limit{time.Second, 2020 * ms}, How: ByRST, OnlyAsked: true}, true},
		// A request that is not answered was late when it was sent, not when its time was over.
		{"silence", []Kept{asked(0, time.Second), {Exchanges: []Exchange{{Sent: 0, Done: 10 * ms}, {Sent: 2 * time.Second}}, Ended: 12 * time.Second, How: BySilence}},
			Keeping{Limit: Limit{time.Second, 2 * time.Second}, How: BySilence, OnlyAsked: true}, true},
		{"a middlebox was silent long before the server ended it", []Kept{asked(0, time.Second), refused(0, 2*time.Second, ByRST), ends(0, 60*time.Second, ByFIN)},
			Keeping{Limit: Limit{time.Second, 2020 * ms}, How: ByRST, OnlyAsked: true, Longest: 60*time.Second - 10*ms}, true},
		{"another backend is more patient", []Kept{ends(0, 1010*ms, ByFIN), asked(0, 900*ms), asked(0, 3*time.Second)},
			Keeping{Limit: Limit{900 * ms, 1010 * ms}, How: ByFIN, Longest: 3 * time.Second}, true},
		{"restarted", []Kept{ends(0, 2000*ms, ByFIN), ends(500*ms, 2004*ms, ByFIN), ends(900*ms, 2003*ms, ByFIN), asked(0, 500*ms)},
			Keeping{Limit: Limit{500 * ms, 1103 * ms}, How: ByFIN, AtOnce: true, Longest: 1990 * ms}, true},
		{"each after another time", []Kept{ends(0, 1010*ms, ByFIN), ends(0, 1500*ms, ByFIN), ends(0, 2000*ms, ByFIN)},
			Keeping{Limit: Limit{Ended: 1010 * ms}, How: ByFIN, Longest: 1990 * ms}, true},
		{"alike, and at the same time since they began so", []Kept{ends(0, 1010*ms, ByFIN), ends(1*ms, 1012*ms, ByFIN), ends(2*ms, 1011*ms, ByFIN), asked(0, 980*ms)},
			Keeping{Limit: Limit{980 * ms, 1009 * ms}, How: ByFIN}, true},
		{"counted from the opening", []Kept{ends(0, 1010*ms, ByFIN), reused, asked(0, 980*ms)},
			Keeping{Limit: Limit{980 * ms, 1010 * ms}, How: ByFIN, FromOpening: true}, true},
		{"counted from the opening, and one is too young to tell", []Kept{ends(0, 1010*ms, ByFIN), reused, unseen, asked(0, 980*ms)},
			Keeping{Limit: Limit{980 * ms, 1010 * ms}, How: ByFIN, FromOpening: true}, true},
		{"one that was used lived on", []Kept{ends(0, 1010*ms, ByFIN), reused, young, asked(0, 980*ms)},
			Keeping{Limit: Limit{980 * ms, 1010 * ms}, How: ByFIN}, true},
		{"ended by its last request", []Kept{ends(0, 1010*ms, ByFIN), limited, asked(0, 980*ms)},
			Keeping{Limit: Limit{980 * ms, 1010 * ms}, How: ByFIN}, true},
		{"with a reason", []Kept{{Exchanges: []Exchange{{Done: 10 * ms}}, Ended: time.Second, How: ByGoAway, LastID: 1, Code: "NO_ERROR"}},
			Keeping{Limit: Limit{Ended: time.Second}, How: ByGoAway, LastID: 1, Code: "NO_ERROR"}, true},
	} {
		h := HTTP{Kept: test.kept}
		if got, ok := h.Keeping(); ok != test.ok || got != test.want {
			t.Errorf("%s: %+v, %v\nwant %+v, %v", test.name, got, ok, test.want, test.ok)
		}
	}
}

func TestRequestsLimit(t *testing.T) {
	for _, test := range []struct {
		name string
		r    Requests
		n    int
		ok   bool
	}{
		{"told", Requests{Most: 10, Answered: 3, Told: true}, 3, true},
		{"twice the same", Requests{Most: 10, Answered: 3, How: ByRST, Again: 3}, 3, true},
		{"not twice the same", Requests{Most: 10, Answered: 3, How: ByFIN, Again: 5}, 3, false},
		{"more", Requests{Most: 10, Answered: 10}, 10, false},
		{"broken off", Requests{Most: 10, Answered: 4, Why: "timed out"}, 4, false},
		{"not counted", Requests{}, 0, false},
	} {
		if n, ok := test.r.Limit(); n != test.n || ok != test.ok {
			t.Errorf("%s: %d, %v", test.name, n, ok)
		}
	}
}
