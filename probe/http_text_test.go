package probe

import (
	"strings"
	"testing"
	"time"
)

// What is said follows from what was measured, and claims no more.
func TestHTTPText(t *testing.T) {
	five := func() *HTTP { return limited(4980*ms, 5005*ms) }
	with := func(h *HTTP, change func(*HTTP)) *HTTP { change(h); return h }
	for _, test := range []struct {
		name string
		h    *HTTP
		says []string // in Text
		not  []string // neither in Text
		open []string // in Unknown
	}{
		{"enclosed", five(),
			[]string{"An idle connection is kept for about 5 s: a request after 4.98 s was still answered, and after 5.01 s the server had ended one, by FIN.", "should be the more patient side", "idle for 4 s, or sooner", "Go http.DefaultTransport 90 s", "These fit: Ruby Net::HTTP 2 s, Node.js fetch (undici) 4 s."},
			[]string{"announces"}, []string{"a balancer in front"}},
		{"enclosed badly", limited(2*time.Second, 5005*ms), []string{"kept for 2 s to 5.01 s:"}, []string{"about"}, nil},
		{"none was asked before", &HTTP{Kept: []Kept{ends(0, 45*ms, ByRST)}}, []string{"An idle connection is closed within 50 ms, by RST.", "too short for a client to use an idle connection again"}, []string{"kept for"}, []string{"whether the RST is the server's"}},
		{"none was asked long before", &HTTP{ClientIdle: time.Second, Kept: []Kept{ends(0, 4005*ms, ByFIN)}},
			[]string{"An idle connection is closed within 4.01 s, by FIN.", "Whether a client with an idle limit of 1 s fits cannot be told.", "too patient for it: Node.js http.globalAgent 5 s, Python httpx 5 s,", "and urllib3 without a limit."},
			[]string{"too short", "These fit", "Ruby Net::HTTP", "undici"}, []string{"how long a client may leave a connection idle: none was asked before the end; measure again"}},
		{"none answered that was asked", &HTTP{Kept: []Kept{refused(0, 2*time.Second, ByFIN)}}, []string{"An idle connection is closed within 2.02 s: a request was answered by FIN, and nothing had told", "too short for a client to use an idle connection again", "Ruby Net::HTTP 2 s"}, []string{"These fit", "0 ms", "still answered"}, nil},
		{"none answered at all", &HTTP{Kept: []Kept{refused(0, 2*time.Second, BySilence)}}, []string{"An idle connection is lost within 2.01 s: a request was no more answered, and nothing told"}, []string{"0 ms", "still answered"}, nil},
		{"beyond", &HTTP{Most: time.Minute, Kept: []Kept{asked(0, time.Minute)}}, []string{"Idle connections were kept all the time: a request after 60 s was still answered. The limit, if there is one, is longer.", "which was idle for 59 s"}, []string{"too patient", "more patient side"}, []string{"a limit above 60 s: --most"}},
		{"broken off", &HTTP{Stopped: true, Most: time.Minute, Kept: []Kept{asked(0, 8*time.Second)}}, []string{"Broken off: by then no idle connection had been closed, and a request after 8 s was still answered."}, nil, []string{"broken off"}},
		{"broken off at once", &HTTP{Stopped: true, Kept: []Kept{ends(0, 0, StillOpen)}}, []string{"could not be measured: it was broken off too early."}, nil, nil},
		{"HTTP/1.0", &HTTP{Answer: Reply{Protocol: "HTTP/1.0", Close: true}, Kept: []Kept{ends(0, 15*ms, ByFIN)}}, []string{"keeps no connection open: it answers in HTTP/1.0, and without \"Connection: keep-alive\"; it ended it within 10 ms, by FIN."}, []string{"patient"}, nil},
		{"closed, and a client", &HTTP{Answer: Reply{Protocol: "HTTP/1.1", Close: true}, ClientIdle: 3 * time.Second, Kept: []Kept{ends(0, 15*ms, ByFIN)}}, []string{"A client with an idle limit of 3 s does no harm: it has no connection to keep."}, []string{"fit"}, nil},
		{"close, and yet open", &HTTP{Answer: Reply{Protocol: "HTTP/1.1", Close: true}, Kept: []Kept{ends(0, 0, StillOpen)}}, []string{"\"Connection: close\"", "and yet it was still open some time later."}, nil, nil},
		{"an answer", with(five(), func(h *HTTP) { h.Kept[1].How, h.Kept[1].Status = ByAnswer, 408 }), []string{"by an answer that nobody asked for (status 408)."}, nil, nil},
		{"a reason", with(five(), func(h *HTTP) { h.Kept[1].How, h.Kept[1].Code = ByGoAway, "ENHANCE_YOUR_CALM" }), []string{"by GOAWAY of HTTP/2, then FIN.", "Its GOAWAY gives ENHANCE_YOUR_CALM as the reason."}, nil, nil},
		{"silence", &HTTP{Kept: []Kept{asked(0, time.Second), refused(0, 2*time.Second, BySilence)}}, []string{"is lost after more than 1 s and less than 2.01 s", "nothing told of the end", "A client should give up a connection that was idle for 500 ms, or sooner. One that waits longer may send a request on a connection that is lost"}, []string{"the server had ended", "more patient side", "a 502"}, []string{"something on the way, forgot", "more --connections"}},
		{"only asked", &HTTP{Kept: []Kept{asked(0, time.Second), refused(0, 2*time.Second, ByRST)}}, []string{"kept for more than 1 s and less than 2.02 s", "answered by RST, and nothing had told"}, nil, []string{"whether the RST is the server's", "more --connections"}},
		{"at once", atOnceEnded(), []string{"ended at the same moment: their age was not why", "Measure again", "on the safe side that gives up a connection which was idle for 200 ms"}, []string{"another was kept", "too patient", "more patient side"}, nil},
		{"different", &HTTP{Kept: []Kept{ends(0, 1010*ms, ByFIN), asked(0, 900*ms), asked(0, 3*time.Second)}}, []string{"Not every connection: another was kept for 3 s"}, nil, nil},
		{"true", with(five(), func(h *HTTP) { h.Answer.Hint = ParseHint("timeout=5, max=99") }), []string{"It announces 5 s (Keep-Alive: timeout=5, max=99), which is true."}, nil, nil},
		{"untrue", with(five(), func(h *HTTP) { h.Answer.Hint = ParseHint("timeout=20") }), []string{"It announces 20 s (Keep-Alive: timeout=20), which is not true", "Firefox 20 s"}, nil, nil},
		{"shorter", with(five(), func(h *HTTP) { h.Answer.Hint = ParseHint("timeout=3") }), []string{"on the safe side", "idle for 3 s, or sooner"}, nil, nil},
		{"could not be checked", &HTTP{Answer: Reply{Hint: ParseHint("timeout=300")}, Kept: []Kept{asked(0, time.Minute)}}, []string{"could not be checked"}, []string{"true"}, nil},
		{"a client that fits", with(five(), func(h *HTTP) { h.ClientIdle = 3 * time.Second }), []string{"A client with an idle limit of 3 s fits."}, nil, nil},
		{"a client that does not", with(five(), func(h *HTTP) { h.ClientIdle = 5 * time.Second }), []string{"A client with an idle limit of 5 s does not fit: set it to 4 s or less, or the server's to more than 6 s."}, nil, nil},
		{"a client, where none can use it again", &HTTP{ClientIdle: time.Second, Kept: []Kept{ends(0, 45*ms, ByFIN)}}, []string{"A client with an idle limit of 1 s does not fit: set the server's to more than 2 s."}, []string{" 0 ms"}, nil},
		{"a client of which it cannot be told", &HTTP{ClientIdle: 59900 * ms, Kept: []Kept{asked(0, time.Minute)}}, []string{"cannot be told"}, []string{"fits."}, nil},
		{"requests told", with(five(), func(h *HTTP) { h.Requests = Requests{Most: 9, Answered: 3, Told: true} }), []string{"A connection is given 3 requests: the last answer said so."}, nil, nil},
		{"requests not told", with(five(), func(h *HTTP) { h.Requests = Requests{Most: 9, Answered: 3, How: ByFIN, Again: 3} }), []string{"A connection is given 3 requests, and then ended by FIN without a word."}, nil, nil},
		{"requests by chance", with(five(), func(h *HTTP) { h.Requests = Requests{Most: 9, Answered: 3, How: ByFIN, Again: 5} }), []string{"One connection was ended after 3 requests, another after 5: not by their number alone."}, nil, nil},
		{"more requests", with(five(), func(h *HTTP) {
			h.Requests, h.Answer.Hint = Requests{Most: 1100, Answered: 1100}, ParseHint("max=4999")
		}), []string{"A connection is given more than 1,100 requests, one after the other. Its first answer announces max=4999."}, nil, nil},
		{"requests broken off", with(five(), func(h *HTTP) { h.Requests = Requests{Most: 9, Answered: 3, Why: "the time of --most was over"} }), []string{"A connection was given 3 requests; then counting broke off: the time of --most was over."}, nil, nil},
		{"others", with(five(), func(h *HTTP) { h.Requests = Requests{Most: 9, Answered: 9, Others: 2} }), []string{"2 answers had another status"}, nil, nil},
		{"a redirect", with(five(), func(h *HTTP) { h.Answer.Status, h.Answer.Location = 301, "https://shop/\x1b[2J" }), []string{"a redirect to https://shop/?[2J, which was not followed"}, nil, nil},
		{"an error", with(five(), func(h *HTTP) { h.Answer.Status = 503 }), []string{"The answer's status is 503, an error; but the connection was kept."}, []string{"https"}, nil},
		{"an error, and closed", &HTTP{Answer: Reply{Protocol: "HTTP/1.1", Close: true, Status: 500}, Kept: []Kept{ends(0, 15*ms, ByFIN)}}, []string{"status is 500, an error, and some servers close after one"}, []string{"https"}, nil},
		{"a bad request, and closed", &HTTP{Answer: Reply{Protocol: "HTTP/1.1", Close: true, Status: 400}, Kept: []Kept{ends(0, 15*ms, ByFIN)}}, []string{"status is 400, an error: TLS may be what is spoken there, try https://."}, nil, nil},
		{"a bad request over TLS", &HTTP{Answer: Reply{Protocol: "HTTP/1.1", TLS: "TLS 1.3", Close: true, Status: 400}, Kept: []Kept{ends(0, 15*ms, ByFIN)}}, []string{"status is 400, an error, and some"}, []string{"https"}, nil},
		{"HTTP/2", with(five(), func(h *HTTP) { h.Answer.Protocol = "HTTP/2" }), nil, nil, []string{"speaks HTTP/1.1, as some of those named do: --http1"}},
		{"failed ones", with(five(), func(h *HTTP) { h.Failed, h.Why = 2, "connect: refused" }), nil, nil, []string{"what became of 2 connections that could not be used: connect: refused"}},
		{"from the opening", &HTTP{Kept: []Kept{ends(0, 1010*ms, ByFIN), asked(0, 980*ms), func() Kept {
			k := asked(0, 400*ms)
			k.Ended, k.How = 1012*ms, ByFIN
			return k
		}()}}, []string{"counted from the opening"}, nil, nil},
	} {
		text, open := strings.Join(test.h.Text(), " "), strings.Join(test.h.Unknown(), "; ")
		for _, word := range test.says {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %q\nlacks %q", test.name, text, word)
			}
		}
		for _, word := range test.not {
			if strings.Contains(text, word) {
				t.Errorf("%s: %q\nsays %q", test.name, text, word)
			}
		}
		for _, word := range test.open {
			if !strings.Contains(open, word) {
				t.Errorf("%s: cannot tell %q\nlacks %q", test.name, open, word)
			}
		}
		if strings.Contains(text, "too short") && strings.Contains(open, "none was asked") {
			t.Errorf("%s: %q\nand cannot tell %q", test.name, text, open)
		}
	}
}

// A remedy is given where there is something to do.
func TestHTTPRemedies(t *testing.T) {
	five := limited(4980*ms, 5005*ms)
	for _, test := range []struct {
		name   string
		client time.Duration
		n      int
	}{{"in general", 0, 1}, {"it does not fit", time.Minute, 1}, {"it fits", time.Second, 0}} {
		five.ClientIdle = test.client
		if got := five.Remedies(); len(got) != test.n {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if got := atOnceEnded().Remedies(); len(got) != 0 {
		t.Errorf("all ended at once: %v", got)
	}
	if got := (&HTTP{Kept: []Kept{asked(0, time.Minute)}}).Remedies(); len(got) != 0 {
		t.Errorf("no limit was found: %v", got)
	}
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 999 * ms: "999 ms", time.Second: "1 s", 1005 * ms: "1 s", 1010 * ms: "1.01 s", 4100 * ms: "4.1 s", 60 * time.Second: "60 s", 99990 * ms: "99.99 s", 100 * time.Second: "1 min 40 s",
	} {
		if got := Spell(d); got != want {
			t.Errorf("%s is written %q, want %q", d, got, want)
		}
	}
}
