package procfs

import (
	"net/netip"
	"slices"
	"testing"
)

func TestParseHosts(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"Debian's", "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\n", "127.0.0.1 ::1"},
		{"IPv6 alone", "::1 localhost", "::1"},
		{"an alias, in capitals", "127.0.1.1 web1 LocalHost\n", "127.0.1.1"},
		{"behind a #", "127.0.0.1 web1 # localhost\n#::1 localhost\n", ""},
		{"names that begin alike", "127.0.0.1 localhost.localdomain localhost4\n", ""},
		{"told twice, written twice", "::1 localhost localhost\n0:0:0:0:0:0:0:1 localhost\n", "::1"},
		{"no address", "localhost 127.0.0.1\n999.0.0.1 localhost\n127.0.0.1\n", ""},
		{"with a zone", "fe80::1%lo localhost\n", "fe80::1%lo"},
		{"ends of Windows", "::1 localhost\r\n127.0.0.1 localhost\r\n", "::1 127.0.0.1"},
		{"nothing", "", ""},
	} {
		if got := spelled(ParseHosts([]byte(tt.text), "localhost")); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if ParseHosts(nil, "localhost") == nil {
		t.Error("an empty file gives nil, which stands for a file that was not read")
	}
}

func spelled(addrs []netip.Addr) string {
	var text string
	for i, a := range addrs {
		if i > 0 {
			text += " "
		}
		text += a.String()
	}
	return text
}

func FuzzHosts(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost\n::1 a localhost # c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		addrs := ParseHosts(b, "localhost")
		for i, a := range addrs {
			if !a.IsValid() || slices.Contains(addrs[:i], a) {
				t.Fatalf("%q: %v", b, addrs)
			}
		}
	})
}
