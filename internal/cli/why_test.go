package cli

import (
	"errors"
	"testing"
	"time"
)

func TestQuestion(t *testing.T) {
	plain := asking{timeout: time.Second, attempts: 1}
	with := func(f func(*asking)) asking { w := plain; f(&w); return w }
	for _, test := range []struct {
		target string
		flags  asking
		host   string // "" for wrong usage
		port   uint16
		family int
		bind   string
	}{
		{"10.0.3.7:8080", plain, "10.0.3.7", 8080, 0, "invalid AddrPort"},
		{"[::1]:0", plain, "::1", 0, 0, "invalid AddrPort"},
		{"[fe80::1%eth0]:80", plain, "fe80::1%eth0", 80, 0, "invalid AddrPort"},
		{"db.internal:5432", with(func(w *asking) { w.six = true }), "db.internal", 5432, 6, "invalid AddrPort"},
		{"db:5432", with(func(w *asking) { w.bind = "10.0.0.5" }), "db", 5432, 4, "10.0.0.5:0"},
		{"db:5432", with(func(w *asking) { w.bind = "10.0.0.5:4000" }), "db", 5432, 4, "10.0.0.5:4000"},
		{"db:5432", with(func(w *asking) { w.bind = "::1" }), "db", 5432, 6, "[::1]:0"},
		{"db:5432", with(func(w *asking) { w.bind = "[::1]" }), "db", 5432, 6, "[::1]:0"},
		{"db:5432", with(func(w *asking) { w.bind = "[::1]:4000" }), "db", 5432, 6, "[::1]:4000"},
		{"db:5432", with(func(w *asking) { w.bind = "::ffff:10.0.0.5" }), "db", 5432, 4, "10.0.0.5:0"},
		{target: "", flags: plain},
		{target: "10.0.3.7", flags: plain},
		{target: "::1:80", flags: plain},
		{target: ":80", flags: plain},
		{target: "10.0.3.7:", flags: plain},
		{target: "10.0.3.7:http", flags: plain},
		{target: "10.0.3.7:65536", flags: plain},
		{target: "http://web:80", flags: plain},
		{target: "10.0.3.7:80", flags: with(func(w *asking) { w.six = true })},
		{target: "[::1]:80", flags: with(func(w *asking) { w.four = true })},
		{target: "[::1]:80", flags: with(func(w *asking) { w.bind = "10.0.0.5" })},
		{target: "web:80", flags: with(func(w *asking) { w.four, w.six = true, true })},
		{target: "web:80", flags: with(func(w *asking) { w.bind, w.six = "10.0.0.5", true })},
		{target: "web:80", flags: with(func(w *asking) { w.bind = "eth0" })},
		{target: "web:80", flags: with(func(w *asking) { w.pid = -1 })},
		{target: "web:80", flags: with(func(w *asking) { w.pid, w.netns = 1, "blue" })},
		{target: "web:80", flags: with(func(w *asking) { w.netns = "all" })},
		{target: "web:80", flags: with(func(w *asking) { w.netns = "a,b" })},
		{target: "web:80", flags: with(func(w *asking) { w.netns = "pid:0" })},
		{target: "web:80", flags: with(func(w *asking) { w.timeout = 0 })},
		{target: "web:80", flags: with(func(w *asking) { w.timeout = time.Hour })},
		{target: "web:80", flags: with(func(w *asking) { w.attempts = 0 })},
		{target: "web:80", flags: with(func(w *asking) { w.attempts = 1001 })},
	} {
		q, err := test.flags.question(test.target)
		if test.host == "" {
			var e *exit
			if !errors.As(err, &e) || e.status != statusUsage {
				t.Errorf("%q, %+v: %v, want wrong usage", test.target, test.flags, err)
			}
			continue
		}
		if err != nil || q.Host != test.host || q.Port != test.port || q.Family != test.family || q.Bind.String() != test.bind {
			t.Errorf("%q, %+v: %+v, %v", test.target, test.flags, q, err)
		}
	}
}
