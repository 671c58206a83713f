package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// probed is of a server that keeps connections for a second, announces 20, and gives
// each three requests.
func probed() *probe.HTTP {
	const ms = time.Millisecond
	return &probe.HTTP{
		Target: "http://shop\x1b[2J/", Method: "GET", Taken: time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC), Took: 1612 * ms, Most: 2 * time.Minute,
		Remote: netip.MustParseAddrPort("10.0.3.7:80"), ClientIdle: 90 * time.Second,
		Answer: probe.Reply{Protocol: "HTTP/1.1", TLS: "TLS 1.3", Status: 302, Location: "/x\x07", Server: "nginx\x1b", Hint: probe.ParseHint("timeout=20, x\x00")},
		Kept: []probe.Kept{
			{Exchanges: []probe.Exchange{{Sent: 1, Done: 10 * ms}}, Ended: 1000500 * time.Microsecond, How: probe.ByCloseNotify},
			{Exchanges: []probe.Exchange{{Sent: 1, Done: 10 * ms}, {Sent: 980700 * time.Microsecond, Done: 990 * ms}}, Left: 990 * ms},
			{Exchanges: []probe.Exchange{{Sent: 20 * ms, Done: 30 * ms}, {Sent: 1025 * ms}}, Ended: 1030 * ms, How: probe.ByRST},
		},
		Requests: probe.Requests{Most: 1100, Answered: 3, Told: true},
	}
}

func TestProbeHTTP(t *testing.T) {
	var b bytes.Buffer
	if err := ProbeHTTP(&b, probed(), false, Style{}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if !strings.HasPrefix(text, "TOO LONG  http://shop?[2J/   at 10.0.3.7:80   HTTP/1.1 302 over TLS 1.3, nginx?\n") {
		t.Errorf("%s", text)
	}
	for _, want := range []string{
		"\n  An idle connection is kept for about 1 s: a request after 970 ms was still answered, and after 1.01 s the server had ended one, by close_notify of TLS, then FIN.\n",
		"\n  A client with an idle limit of 90 s does not fit: set it to 500 ms or less, or the server's to more than 91 s.\n",
		"\n    in code     have the client give up an idle connection after 500 ms at most",
		"\ncannot tell: whether a balancer in front",
		"\nmeasured: 3 connections left idle, 3 requests on another, in 1.6 s, by GET, 2026-11-29 10:00:00 +0000\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %q", text, want)
		}
	}
	if strings.ContainsAny(text, "\x00\x07\x1b") {
		t.Errorf("control characters of the server are printed: %q", text)
	}
	b.Reset()
	if err := ProbeHTTP(&b, probed(), true, Style{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n  connection 1: ended within 1.01 s by close_notify of TLS, then FIN\n", "\n  connection 2: answered after 970 ms\n", "\n  connection 3: asked after 995 ms, and ended within 1.01 s by RST\n",
		"\n  curl: 1 min 58 s, too-long (curl.se, CURLOPT_MAXAGE_CONN)\n", "\n  Python requests and urllib3: no limit, too-long (",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s\nlacks %q", b.String(), want)
		}
	}
	for word, change := range map[string]func(*probe.HTTP){
		"KEPT about 1 s  ":    func(h *probe.HTTP) { h.ClientIdle = 0 },
		"NOT KEPT  ":          func(h *probe.HTTP) { h.Answer.Close = true },
		"KEPT ALL THE TIME  ": func(h *probe.HTTP) { h.Kept = h.Kept[1:2]; h.ClientIdle = 0 },
		"KEPT SO FAR  ":       func(h *probe.HTTP) { h.Kept = h.Kept[1:2]; h.ClientIdle, h.Stopped = 0, true },
		"NOT MEASURED  ":      func(h *probe.HTTP) { h.Kept = nil },
	} {
		h := probed()
		change(h)
		b.Reset()
		if err := ProbeHTTP(&b, h, false, Style{}); err != nil || !strings.HasPrefix(b.String(), word) {
			t.Errorf("%v\n%s\nwant %q", err, b.String(), word)
		}
	}
}

// What was at least is rounded down, what was at most up; absent is null.
func TestProbeHTTPDocument(t *testing.T) {
	closed := func(h *probe.HTTP) { h.Answer.Close, h.Kept, h.Requests = true, h.Kept[:1], probe.Requests{} }
	beyond := func(h *probe.HTTP) {
		h.Kept, h.Requests, h.ClientIdle, h.Answer.Hint = h.Kept[1:2], probe.Requests{}, 0, probe.Hint{}
	}
	for _, test := range []struct {
		name   string
		change func(*probe.HTTP)
		want   []string
	}{
		{"enclosed", func(*probe.HTTP) {}, []string{
			`"schema":"tcpvet/probe/v1","kind":"http","taken":"2026-11-29T10:00:00Z","took_s":1.612,"target":"http://shop\u001b[2J/","remote":"10.0.3.7:80","most_s":120,"interrupted":false,`,
			`"keep_alive_limit_s":{"survived":0.97,"closed":1.001},"ended_by":"close-notify","announced_s":20,"requests_limit":3,`,
			`"announced_is":"longer"`, `"client_idle_s":90,"client_idle_is":"too-long"`, `"recommend":{"client_idle_s":0.5,"keepalive":null}`,
			`"requests":{"answered":3,"most":1100,"announced":true,"ended_by":null,"again":null,"other_status":0,"error":null}`,
			`"connections":[{"asked_after_s":null,"answered":null,"ended_within_s":1.001,"ended_by":"close-notify"},{"asked_after_s":0.97,"answered":true,"ended_within_s":null,"ended_by":null},{"asked_after_s":0.995,"answered":false,"ended_within_s":1.01,"ended_by":"rst"}]`,
			`"idle_limit_s":null`, `"remedies":[{"kind":"code",`,
		}},
		{"not kept", closed, []string{`"keep_alive_limit_s":{"survived":0,"closed":1.001},"ended_by":"close-notify"`, `"requests_limit":1`, `"recommend":null`, `"requests":null`, `"connection_close":true`}},
		{"beyond", beyond, []string{`"keep_alive_limit_s":{"survived":0.97,"closed":null},"ended_by":null,"announced_s":null,"requests_limit":null`, `"client_idle_s":null,"client_idle_is":null`, `"remedies":[]`}},
		{"nothing", func(h *probe.HTTP) { h.Kept = nil }, []string{`"keep_alive_limit_s":null,"ended_by":null`, `"connections":[]`, `"recommend":null`}},
		{"an answer", func(h *probe.HTTP) { h.Kept[0].How, h.Kept[0].Status = probe.ByAnswer, 408 }, []string{`"ended_by":"answer"`, `"ended_status":408`, `"goaway":null`}},
		{"a reason", func(h *probe.HTTP) {
			h.Kept[0].How, h.Kept[0].LastID, h.Kept[0].Code = probe.ByGoAway, 1, "NO_ERROR"
		}, []string{`"ended_by":"goaway"`, `"goaway":{"last_stream":1,"code":"NO_ERROR"}`}},
	} {
		h := probed()
		test.change(h)
		b, err := json.Marshal(jsonv1.ProbeHTTPOf(h))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s: %s\nlacks %s", test.name, b, want)
			}
		}
	}
}
