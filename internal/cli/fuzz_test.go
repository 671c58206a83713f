package cli

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// A limit that is taken is one that a rule can compare with.
func FuzzPathIdle(f *testing.F) {
	for _, word := range []string{"350s", "10.0.3.7=350s", "10.0.0.0/8=4m", "fe80::1%eth0=1s", "::ffff:10.0.0.1=1s", "=", "1ns"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		l, err := pathLimit(word)
		if err != nil {
			return
		}
		if l.Idle <= 0 {
			t.Errorf("an idle limit of %v", l.Idle)
		}
		if narrowed := strings.Contains(word, "="); narrowed == (l.Remote == netip.Prefix{}) {
			t.Errorf("about %v", l.Remote)
		}
		if l.Remote.IsValid() && (l.Remote != l.Remote.Masked() || l.Remote.Addr().Is4In6() || !l.Remote.Contains(l.Remote.Addr())) {
			t.Errorf("about %v, which contains no peer", l.Remote)
		}
	})
}

// What is to be written comes out as it was escaped, byte by byte.
func FuzzEscaped(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\\r\\n\\r\\n", "\\x00\\xff", "\\", "a\"b'c", "\\u00e9", "\\400", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := escaped(s)
		if err != nil {
			return
		}
		if !strings.ContainsRune(s, '\\') && utf8.ValidString(s) && string(got) != s {
			t.Errorf("%q came out as %q", s, got)
		}
		var hex strings.Builder
		for _, b := range got {
			fmt.Fprintf(&hex, "\\x%02x", b)
		}
		if again, err := escaped(hex.String()); hex.Len() <= mostWrite && (err != nil || !bytes.Equal(again, got)) {
			t.Errorf("%q is read as %q, and that as %q: %v", s, got, again, err)
		}
	})
}

// A rate that is taken is a number that a plan can be made of, with or without
// its unit.
func FuzzRate(f *testing.F) {
	for _, s := range []string{"500", "500/s", "0.5 /s", "NaN", "-0", "1e99", "0x1p3", "/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRate(s)
		if err != nil {
			return
		}
		if !(r >= 0.001 && r <= mostRate) {
			t.Errorf("a rate of %v", r)
		}
		if again, err := parseRate(strconv.FormatFloat(r, 'g', -1, 64) + "/s"); err != nil || again != r {
			t.Errorf("%v is read as %v: %v", r, again, err)
		}
	})
}

// A target that is taken is one that can be told again.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"10.0.3.7:8080", "[::1]:80", "[fe80::1%eth0]:0", "db.internal:5432", "::1:80", "web:+80", "[web]:80", ":80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := hostPort(s)
		if err != nil {
			return
		}
		if host == "" || len(host) > mostName {
			t.Errorf("host %q", host)
		}
		again, p, err := hostPort(net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err != nil || again != host || p != port {
			t.Errorf("%q port %d is read as %q, %d: %v", host, port, again, p, err)
		}
	})
}
