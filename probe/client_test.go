package probe

import (
	"slices"
	"testing"
	"time"
)

// limited is a server that keeps connections for between two times.
func limited(survived, ended time.Duration) *HTTP {
	return &HTTP{Answer: Reply{Protocol: "HTTP/1.1", Status: 200}, Kept: []Kept{asked(0, survived), ends(0, ended, ByFIN)}}
}

// atOnceEnded is a server that ended connections of all ages at the same moment.
func atOnceEnded() *HTTP {
	return &HTTP{Answer: Reply{Status: 200}, Kept: []Kept{ends(0, 2000*ms, ByFIN), ends(500*ms, 2004*ms, ByFIN), ends(900*ms, 2003*ms, ByFIN), asked(0, 500*ms)}}
}

// The server has to be the more patient side, by a second or by half.
func TestFits(t *testing.T) {
	five := limited(4980*ms, 5010*ms)
	for _, test := range []struct {
		name   string
		h      *HTTP
		client time.Duration
		want   Fit
	}{
		{"a second sooner", five, 4 * time.Second, FitOK},
		{"too near", five, 4100 * ms, FitTooLong},
		{"as long", five, 5 * time.Second, FitTooLong},
		{"longer", five, 90 * time.Second, FitTooLong},
		{"for ever", five, 0, FitTooLong},
		{"a short limit is halved", limited(980*ms, 1010*ms), 500 * ms, FitOK},
		{"a short limit is halved, not more", limited(980*ms, 1010*ms), 600 * ms, FitTooLong},
		{"more than was looked at", &HTTP{Kept: []Kept{asked(0, 60*time.Second)}}, 90 * time.Second, FitUnknown},
		{"less than was looked at", &HTTP{Kept: []Kept{asked(0, 60*time.Second)}}, 59 * time.Second, FitOK},
		{"for ever, and no limit was found", &HTTP{Kept: []Kept{asked(0, 60*time.Second)}}, 0, FitUnknown},
		{"all ended at once", atOnceEnded(), 90 * time.Second, FitUnknown},
		{"all ended at once, sooner", atOnceEnded(), 200 * ms, FitOK},
		{"nothing measured", &HTTP{}, time.Second, FitUnknown},
		{"nothing is kept", &HTTP{Answer: Reply{Close: true}, Kept: []Kept{ends(0, 20*ms, ByFIN)}}, time.Hour, FitOK},
		{"less was announced", &HTTP{Answer: Reply{Hint: ParseHint("timeout=3")}, Kept: five.Kept}, 3500 * ms, FitTooLong},
		{"what was announced, and is kept for longer", &HTTP{Answer: Reply{Hint: ParseHint("timeout=3")}, Kept: five.Kept}, 3 * time.Second, FitOK},
		{"what was announced, and is true", &HTTP{Answer: Reply{Hint: ParseHint("timeout=5")}, Kept: five.Kept}, 5 * time.Second, FitTooLong},
		{"a far way", &HTTP{Trip: 300 * ms, Kept: five.Kept}, 3900 * ms, FitTooLong},
	} {
		if got := test.h.Fits(test.client); got != test.want {
			t.Errorf("%s: %s, want %s; at most %s", test.name, got, test.want, test.h.ClientAtMost())
		}
	}
}

// What a client makes of an announced time, by the sources that the table names: undici
// takes it in place of its own up to 10 min, and 2 s less; Firefox and Apache HttpClient
// take it as it is; Node's agent and .NET take a shorter one, and a second less; the
// others know of none.
func TestClientHeeds(t *testing.T) {
	const s = time.Second
	for name, want := range map[string]map[string]time.Duration{
		"Node.js fetch (undici)":      {"": 4 * s, "timeout=3": s, "timeout=20": 18 * s, "timeout=7200": 600 * s, "max=5": 4 * s},
		"Node.js http.globalAgent":    {"": 5 * s, "timeout=3": 2 * s, "timeout=20": 5 * s},
		".NET SocketsHttpHandler":     {"": 60 * s, "timeout=3": 2 * s, "timeout=120": 60 * s},
		"Firefox":                     {"": 115 * s, "timeout=3": 3 * s, "timeout=300": 300 * s},
		"Apache HttpClient 5":         {"": 180 * s, "timeout=3": 3 * s, "timeout=300": 300 * s},
		"Go http.DefaultTransport":    {"": 90 * s, "timeout=3": 90 * s, "timeout=300": 90 * s},
		"Python requests and urllib3": {"": 0, "timeout=3": 0},
	} {
		i := slices.IndexFunc(Clients[:], func(c Client) bool { return c.Name == name })
		if i < 0 {
			t.Errorf("%s is not listed", name)
			continue
		}
		for hint, idle := range want {
			h := limited(4980*ms, 5010*ms)
			h.Answer.Hint = ParseHint(hint)
			if got := Clients[i].Of(h); got != idle {
				t.Errorf("%s gives a connection up after %s where %q is announced, want %s", name, got, hint, idle)
			}
		}
	}
	for _, c := range Clients {
		h := limited(4980*ms, 5010*ms)
		h.Answer.Hint = ParseHint("timeout=0")
		if got := c.Of(h); got <= 0 && c.Idle != 0 {
			t.Errorf("%s gives a connection up after %s where 0 s are announced: that is never", c.Name, got)
		}
	}
}

// Go's own default is known to this very program.
func TestClients(t *testing.T) {
	patient := func(a, b Client) int { return int(a.Idle - b.Idle) }
	listed := Clients[:len(Clients)-1]
	if !slices.IsSortedFunc(listed, patient) || Clients[len(Clients)-1].Idle != 0 {
		t.Error("the clients are not in the order of their patience, the one without a limit last")
	}
	for _, c := range Clients {
		if c.Name == "" || c.Source == "" {
			t.Errorf("%+v names no source", c)
		}
	}
}
