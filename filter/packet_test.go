package filter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"pgregory.net/rapid"
)

// Match is the filter of sockets at both ends.
func TestPacketsMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := small.draw(t, 4, true)
		f, err := Packets(e)
		if err != nil {
			t.Fatal(err)
		}
		sockets := New(e)
		p := small.drawPacket(t)
		here := &tcpvet.Socket{Local: p.src, Remote: p.dst}
		there := &tcpvet.Socket{Local: p.dst, Remote: p.src}
		if got, want := f.Match(p.src, p.dst), sockets.Match(here) || sockets.Match(there); got != want {
			t.Errorf("%q: %v for %v > %v, want %v", f, got, p.src, p.dst, want)
		}
		if f.Match(p.src, p.dst) != f.Match(p.dst, p.src) {
			t.Errorf("%q: takes one direction of %v > %v", f, p.src, p.dst)
		}
	})
}

func TestPacketsMatchTable(t *testing.T) {
	at := netip.MustParseAddrPort
	named := func(name string, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(tcpvet.NamedHost(name), port)
	}
	client, server := at("10.0.0.1:40000"), at("10.0.0.2:80")
	for _, row := range []struct {
		text     string
		src, dst netip.AddrPort
		want     bool
	}{
		{"", client, server, true},
		{"dst 10.0.0.2:80", client, server, true},
		{"dst 10.0.0.2:80", server, client, true},
		{"src 10.0.0.2 dport 40000", client, server, true},
		{"src 10.0.0.1 dst 10.0.0.3", client, server, false},
		{"src 10.0.0.2 sport 40000", client, server, false}, // of no end are both true
		{"dport < 1024", client, server, true},
		{"dport > 40000", client, server, false},
		{"not dport 80", client, server, true}, // true of the server's socket
		{"not ( sport 80 or dport 80 )", client, server, false},
		{"not ( sport 80 or dport 80 )", client, at("10.0.0.2:81"), true},
		{"src 10.0.0.0/30", at("[::ffff:10.0.0.1]:1"), at("[::ffff:10.9.0.1]:2"), true},
		{"src [::/0]", client, server, false},
		{"src [2001:db8::/33]", at("[2001:db8:8000::1]:1"), at("[2001:db8:7fff::1]:2"), true},

		{"src 0.0.0.0/0", named("nfs.example", 2049), named("a", 1), false},
		{"not src 0.0.0.0/0", named("nfs.example", 2049), named("a", 1), false},
		{"src [::]", named("nfs.example", 2049), named("a", 1), false},
		{"src *", named("nfs.example", 2049), named("a", 1), true},
		{"sport 2049", named("nfs.example", 2049), named("a", 1), true},
		{"src :2049", named("a", 1), named("nfs.example", 2049), true},
		{"src 10.0.0.1", named("a", 1), client, true},
		{"src 10.0.0.1 not src 10.0.0.9:1", client, named("a", 1), true},
		{"src 10.0.0.9 or dst 10.0.0.1", named("a", 1), client, true},
	} {
		f, err := ParsePackets(strings.Fields(row.text))
		if err != nil {
			t.Errorf("%q: %v", row.text, err)
			continue
		}
		if got := f.Match(row.src, row.dst); got != row.want {
			t.Errorf("%q: %v for %v > %v", row.text, got, row.src, row.dst)
		}
		if f.String() == "" != (row.text == "") || f.All() != (row.text == "") {
			t.Errorf("%q is written as %q, all: %v", row.text, f, f.All())
		}
		if n := testing.AllocsPerRun(10, func() { f.Match(row.src, row.dst) }); n != 0 {
			t.Errorf("%q: Match allocates %v times", row.text, n)
		}
	}
	var none *PacketFilter
	if !none.Match(client, server) || !(&PacketFilter{}).Match(client, server) || none.String() != "" {
		t.Error("no filter leaves out a segment")
	}
}

// Whatever a term is about that no packet tells is refused at its place, with
// the reason.
func TestPacketsRefuse(t *testing.T) {
	for _, row := range []struct {
		text   string
		column int
		got    string
		reason string
	}{
		{"state close-wait dst 10.0.0.1", 1, "state", "the state of a connection"},
		{"dst 10.0.0.1 state close-wait", 14, "state", "the state of a connection"},
		{"( exclude listening )", 3, "exclude", "the state of a connection"},
		{"EXCL listening", 1, "EXCL", "the state of a connection"},
		{"dst 10.0.0.1 and age > 5m", 18, "age", `"age" is kept by the kernel`},
		{"not recvq > 0", 5, "recvq", `"recvq" is kept by the kernel`},
		{"sendq 1", 1, "sendq", `"sendq" is kept`},
		{"retrans 1", 1, "retrans", `"retrans" is kept`},
		{"uid 0", 1, "uid", `"uid" is kept`},
		{"inode 1", 1, "inode", `"inode" is kept`},
		{"cookie 1", 1, "cookie", `"cookie" is kept`},
		{"cgroup 1", 1, "cgroup", `"cgroup" is kept`},
		{"timer on", 1, "timer", `"timer" is kept`},
		{"role client", 1, "role", "which end is the client"},
		{"dev eth0", 1, "dev", "the interface to capture on"},
		{"fwmark 1", 1, "fwmark", `"fwmark" is kept`},
		{"src [fe80::1%2]:80", 5, "[fe80::1%2]:80", "leave out what follows %"},
		{"src 10.0.0.1 or foo", 17, "foo", ""},
	} {
		_, err := ParsePackets([]string{row.text})
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("%q: %v", row.text, err)
			continue
		}
		if e.Column != row.column || e.Got != row.got || !strings.Contains(e.Reason, row.reason) || row.reason != "" && e.Reason == "" {
			t.Errorf("%q: %v", row.text, err)
		}
		if row.reason == "" && strings.Join(e.Expected, " ") != `src dst sport dport not "("` {
			t.Errorf("%q: expected %q", row.text, e.Expected)
		}
		// The same term, read as one of sockets.
		if f, err := Parse([]string{row.text}); err == nil {
			if _, err := Packets(f.Expr()); err == nil || !strings.Contains(err.Error(), row.reason) {
				t.Errorf("%q: Packets says %v", row.text, err)
			}
		}
	}
}

// What a packet filter is written as is read as the same.
func TestPacketsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, err := Packets(small.draw(t, 4, true))
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePackets([]string{f.String()})
		if err != nil || again.String() != f.String() {
			t.Errorf("%q is read as %q, %v", f, again, err)
		}
	})
}

func FuzzParsePackets(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParsePackets([]string{text})
		if err != nil {
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Fatalf("%T is not a *SyntaxError: %v", err, err)
			}
			return
		}
		// Whatever packets have a filter of, sockets have.
		whole, err := Parse([]string{text})
		if err != nil || whole.String() != parsed.String() {
			t.Fatalf("%q is %q for packets and %q, %v for sockets", text, parsed, whole, err)
		}
		for _, src := range []string{"10.0.0.1:80", "[::1]:65535", "[::ffff:10.0.0.1]:0"} {
			p := packet{src: netip.MustParseAddrPort(src), dst: netip.MustParseAddrPort(src), protocol: 6}
			for start := range AtNetwork + 1 {
				program, exact := parsed.Classic(start)
				if len(program) > maxInstructions {
					t.Fatalf("%q: %d instructions", text, len(program))
				}
				got, err := run(program, p.frame(start))
				if match := parsed.Match(p.src, p.dst); err != nil || match && got == 0 || exact && !match && got != 0 {
					t.Errorf("%q: %d, %v for %v; Match says %v", text, got, err, p.src, match)
				}
			}
		}
	})
}
