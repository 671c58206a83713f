package live

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func texts(addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

func TestInHosts(t *testing.T) {
	const text = "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost # loopback\n10.0.0.7 Web.Internal web\n" +
		"#10.0.0.8 web\n10.0.0.9 other#web\nnonsense web\n10.0.0.10\n10.0.0.7 web\nfe80::1%eth0 router\n"
	for name, want := range map[string]string{
		"localhost": "127.0.0.1 ::1", "ip6-localhost": "::1", "web.internal": "10.0.0.7", "WEB": "10.0.0.7", "web.": "10.0.0.7",
		"other": "10.0.0.9", "router": "fe80::1%eth0", "loopback": "", "10.0.0.7": "", "": "",
	} {
		if got := texts(inHosts(text, name)); got != want {
			t.Errorf("%q has %q, want %q", name, got, want)
		}
	}
}

// The defaults and the order of search are those of resolv.conf(5).
func TestParseResolv(t *testing.T) {
	r := parseResolv("")
	if len(r.servers) != 2 || r.servers[0].String() != "127.0.0.1:53" || r.ndots != 1 || r.timeout != 5*time.Second || r.attempts != 2 {
		t.Errorf("an empty file: %+v", r)
	}
	r = parseResolv("# by hand\n; likewise\ndomain old.test\nsearch a.test. b.test\nnameserver 10.0.0.2\nnameserver fd00::2\nnameserver x\n" +
		"nameserver 10.0.0.4\nnameserver 10.0.0.5\noptions ndots:2 timeout:1 attempts:99 rotate\nnameserver\n")
	var servers []string
	for _, s := range r.servers {
		servers = append(servers, s.String())
	}
	if got := strings.Join(servers, " "); got != "10.0.0.2:53 [fd00::2]:53 10.0.0.4:53" {
		t.Errorf("servers %s", got)
	}
	if r.ndots != 2 || r.timeout != time.Second || r.attempts != 5 {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{
		"web":       "web.a.test. web.b.test. web.",
		"web.x":     "web.x.a.test. web.x.b.test. web.x.",
		"web.x.y":   "web.x.y. web.x.y.a.test. web.x.y.b.test.",
		"web.x.y.":  "web.x.y.",
		"localhost": "localhost.a.test. localhost.b.test. localhost.",
	} {
		if got := strings.Join(r.names(name), " "); got != want {
			t.Errorf("%s is asked for as %q, want %q", name, got, want)
		}
	}
	if got := parseResolv("search a.test\ndomain b.test c.test\n").search; !slices.Equal(got, []string{"b.test."}) {
		t.Errorf("the last of search and domain holds: %q", got)
	}
}

// The text is one of a kernel with two processors: columns of hexadecimal numbers.
func TestInsertFailed(t *testing.T) {
	const text = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n" +
		"0000001f  00000000 00000000 00000000 00000003 00000a1c 00000000 00000000 00000000 0000000a 00000001 00000000 00000000  00000000 00000000 00000000 00000000\n" +
		"0000001f  00000000 00000000 00000000 00000000 00000b2d 00000000 00000000 00000000 00000010 00000000 00000000 00000000  00000000 00000000 00000000 00000000\n"
	if got := insertFailed(text); got != 26 {
		t.Errorf("insert_failed is %d, want 10 + 16", got)
	}
	for _, text := range []string{"", "entries\n00000001\n", "insert_failed\nx\n"} {
		if got := insertFailed(text); got != 0 {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// The counts are those of grep -cwiF.
func TestLinesWith(t *testing.T) {
	const text = "10.0.0.1 db.internal\n# db\n999.1.1.1 DB\n10.0.0.2 mydb db_2\n10.0.0.3 x db"
	for name, want := range map[string]int{"db": 4, "db.internal": 1, "db.": 0, "d": 0, "b\u00fccher": 0} {
		if got := linesWith(text, name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
