package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// Each row holds what a user may write and the canonical form of what it means.
func TestParse(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", ""},
		{"  \t", ""},

		// States.
		{"state close-wait", "state CLOSE-WAIT"},
		{"STATE CLOSE_WAIT", "state CLOSE-WAIT"},
		{"state FIN_WAIT2", "state FIN-WAIT-2"},
		{"state listening state established", "state ESTAB state LISTEN"},
		{"state all", "state all"},
		{"state bucket", "state SYN-RECV state TIME-WAIT"},
		{"state big", "exclude SYN-RECV exclude TIME-WAIT"},
		{"state connected", "exclude UNCONN exclude LISTEN exclude BOUND-INACTIVE"},
		{"state synchronized", "exclude SYN-SENT exclude UNCONN exclude LISTEN exclude BOUND-INACTIVE"},
		{"exclude established", "exclude ESTAB"},
		{"excl listening", "exclude LISTEN"},
		{"exclude all", "exclude all"},
		{"state listening exclude listening", "exclude all"},
		{"exclude established state established", "state all"},
		{"state all exclude time-wait exclude listening", "exclude TIME-WAIT exclude LISTEN"},

		// A run of states in front restricts the rest; elsewhere it is a term.
		{"state established src 10.0.0.1", "state ESTAB and src 10.0.0.1"},
		{"state established src :1 or src :2", "state ESTAB and (src :1 or src :2)"},
		{"state established not src :1 or src :2", "state ESTAB and (not src :1 or src :2)"},
		{"state established and src :1 or src :2", "state ESTAB and src :1 or src :2"},
		{"state established or src :1", "state ESTAB or src :1"},
		{"(state established src :1 or src :2)", "state ESTAB and (src :1 or src :2)"},
		{"src :1 state established state listening", "src :1 and state ESTAB state LISTEN"},
		{"src :1 or state established state listening", "src :1 or state ESTAB state LISTEN"},
		{"not state established state listening", "not state ESTAB state LISTEN"},
		{"state established and state listening", "state ESTAB and state LISTEN"},
		{"state established (state listening)", "state ESTAB and state LISTEN"},

		// Hosts.
		{"src 10.0.0.1", "src 10.0.0.1"},
		{"src = 10.0.0.1", "src 10.0.0.1"},
		{"src == 10.0.0.1", "src 10.0.0.1"},
		{"src eq 10.0.0.1", "src 10.0.0.1"},
		{"dst != 10.0.0.1", "not dst 10.0.0.1"},
		{"dst 10.0.0.1/32", "dst 10.0.0.1"},
		{"dst 10.1.2.3/8", "dst 10.0.0.0/8"},
		{"dst 10/8", "dst 10.0.0.0/8"},
		{"dst 192.168/16:80", "dst 192.168.0.0/16:80"},
		{"dst 0.0.0.0/0", "dst 0.0.0.0/0"},
		{"dst 10.0.0.1:80", "dst 10.0.0.1:80"},
		{"dst 10.0.0.1:*", "dst 10.0.0.1"},
		{"dst 10.0.0.1:", "dst 10.0.0.1"},
		{"dst *", "dst *"},
		{"dst :*", "dst *"},
		{"dst *:443", "dst :443"},
		{"dst :443", "dst :443"},
		{"dst [::1]", "dst [::1]"},
		{"dst ::1", "dst [::1]"},
		{"dst ::", "dst [::]"},
		{"dst [2001:DB8::1]:443", "dst [2001:db8::1]:443"},
		{"dst [2001:db8::1/32]", "dst [2001:db8::/32]"},
		{"dst [2001:db8::1]/32", "dst [2001:db8::/32]"},
		{"dst [2001:db8::]/32:80", "dst [2001:db8::/32]:80"},
		{"dst [2001:db8::/32]:80", "dst [2001:db8::/32]:80"},
		{"dst 2001:db8::/32", "dst [2001:db8::/32]"},
		{"dst 2001:db8::/32:80", "dst [2001:db8::/32]:80"},
		{"dst 1:2:3:4:5:6:7:8:80", "dst [1:2:3:4:5:6:7:8]:80"},
		{"dst 2001:db8::1:ab", "dst [2001:db8::1:ab]"},
		{"dst [::]/0", "dst [::/0]"},
		{"dst [::ffff:10.0.0.1]", "dst [::ffff:10.0.0.1]"},

		// Ports.
		{"sport = :80", "sport = :80"},
		{"sport 80", "sport = :80"},
		{"sport=:80", "sport = :80"},
		{"sport eq 80", "sport = :80"},
		{"sport neq 80", "sport != :80"},
		{"sport ne :80", "sport != :80"},
		{"dport>=:1024", "dport >= :1024"},
		{"dport geq 1024", "dport >= :1024"},
		{"dport ge 1024", "dport >= :1024"},
		{"dport leq 1024", "dport <= :1024"},
		{"dport le 1024", "dport <= :1024"},
		{"dport lt 1024", "dport < :1024"},
		{"dport gt 65535", "dport > :65535"},
		{"dport = 0x1f90", "dport = :8080"},
		{"sport = *", "src *"},
		{"sport = :*", "src *"},
		{"dport != *", "not dst *"},

		// The terms that ss does not have.
		{"recvq > 0", "recvq > 0"},
		{"sendq>=65536", "sendq >= 65536"},
		{"uid 1000", "uid = 1000"},
		{"role client", "role client"},
		{"role != server", "not role server"},
		{"age > 5m", "age > 5m0s"},
		{"age le 1h30m", "age <= 1h30m0s"},
		{"retrans > 0", "retrans > 0"},
		{"timer keepalive", "timer keepalive"},
		{"timer = OFF", "timer off"},
		{"inode = 0", "inode = 0"},
		{"cookie = 0x1a", "cookie = 26"},
		{"cookie = 18446744073709551615", "cookie = 18446744073709551615"},
		{"cgroup 4321", "cgroup = 4321"},

		// Operators.
		{"src :1 and src :2", "src :1 and src :2"},
		{"src :1 && src :2", "src :1 and src :2"},
		{"src :1&src :2", "src :1 and src :2"},
		{"src :1 src :2", "src :1 and src :2"},
		{"src :1|src :2", "src :1 or src :2"},
		{"src :1 || src :2", "src :1 or src :2"},
		{"src :1 OR src :2", "src :1 or src :2"},
		{"!src :1", "not src :1"},
		{"! ! src :1", "not not src :1"},
		{"src :1 or src :2 and src :3", "src :1 or src :2 and src :3"},
		{"(src :1 or src :2) and src :3", "(src :1 or src :2) and src :3"},
		{"src :1 or src :2 src :3", "src :1 or src :2 and src :3"},
		{"not src :1 and src :2", "not src :1 and src :2"},
		{"not (src :1 and src :2)", "not (src :1 and src :2)"},
		{"not(src :1)src :2", "not src :1 and src :2"},
		{"((src :1))", "src :1"},
		{"( sport = :80 )", "sport = :80"},
		{"(sport = :80)", "sport = :80"},
	} {
		f, err := Parse([]string{row.text})
		if err != nil {
			t.Errorf("Parse(%q): %v", row.text, err)
			continue
		}
		if got := f.String(); got != row.want {
			t.Errorf("Parse(%q) = %q, want %q", row.text, got, row.want)
		}
		split, err := Parse(strings.Fields(row.text))
		if err != nil || split.String() != row.want {
			t.Errorf("Parse of the words of %q = %q, %v; want %q", row.text, split, err, row.want)
		}
	}
}

func TestSyntaxError(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"sprot = :80", `column 1: found "sprot", expected state, exclude, src, dst, sport, dport, role, timer, age, recvq, sendq, retrans, uid, inode, cookie, cgroup, not or "("; did you mean "sport"?
  sprot = :80
  ^`},
		{"state clos-wait", `column 7: found "clos-wait", expected all, connected, synchronized, bucket, big, established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, unconnected, close-wait, last-ack, listening, closing or bound-inactive; did you mean "close-wait"?
  state clos-wait
        ^`},
		{"dst 10.0.0.1 and", `column 17: found the end, expected state, exclude, src, dst, sport, dport, role, timer, age, recvq, sendq, retrans, uid, inode, cookie, cgroup, not or "("
  dst 10.0.0.1 and
                  ^`},
		{"timer keepalife", `column 7: found "keepalife", expected on, off, keepalive, timewait or persist; did you mean "keepalive"?
  timer keepalife
        ^`},
		{"recvq > 10k", `column 9: found "10k", expected a number of bytes
  recvq > 10k
          ^`},
		{"age > 5", `column 7: found "5", expected a duration such as 90s, 5m or 1h30m
  age > 5
        ^`},
		{"dev lo", `column 1: found "dev": "dev" is not supported: an interface's number means another one in each namespace, and most sources do not tell it
  dev lo
  ^`},
		{"é", `column 1: found "é", expected state, exclude, src, dst, sport, dport, role, timer, age, recvq, sendq, retrans, uid, inode, cookie, cgroup, not or "("
  é
  ^`},
		{"src :1 and\n dst nöwhere\x1b[31m :2", `column 17: found "nöwhere\x1b[31m", expected an address such as 10.0.0.1, 10.0.0.0/8, 10.0.0.1:80, [2001:db8::1]:80, :80 or *: "nöwhere\x1b[31m" is not an IP address; names are not looked up
  src :1 and  dst nöwhere [31m :2
                  ^`},
	} {
		_, err := Parse([]string{row.text})
		if err == nil {
			t.Errorf("Parse(%q) did not fail", row.text)
			continue
		}
		if got := err.Error(); got != "parse filter: "+row.want {
			t.Errorf("Parse(%q):\n got %s\nwant parse filter: %s", row.text, got, row.want)
		}
	}
}

// Each row holds a filter that cannot be read, the column to blame and a part
// of the message.
func TestSyntaxErrorColumn(t *testing.T) {
	deep := strings.Repeat("(", maxDepth+1)
	for _, row := range []struct {
		text   string
		column int
		part   string
	}{
		{"state", 6, "found the end, expected all"},
		{"state state", 7, "expected all"},
		{"src", 4, "found the end, expected an address"},
		{"src )", 5, `found ")"`},
		{"src and", 5, `found "and"`},
		{"src > 10.0.0.1", 5, "expected = or !="},
		{"src host.example.org", 5, "names are not looked up"},
		{"src localhost:80", 5, "names are not looked up"},
		{"src 10.0.0.1/33", 5, "a number from 0 to 32"},
		{"src [::1]/129", 5, "a number from 0 to 128"},
		{"src 10.0.0.1/", 5, `a number has to follow "/"`},
		{"src [::1/]", 5, `a number has to follow "/"`},
		{"src ::1/", 5, `a number has to follow "/"`},
		{"src *//8", 5, "prefix length"},
		{"src */8", 5, "a prefix length needs an address"},
		{"src 127.1", 5, `"127.1" is not an IP address`},
		{"src [::1", 5, `"[" is not closed`},
		{"src [::1]x", 5, `"x" is neither a port nor a prefix length`},
		{"src []:80", 5, "brackets are for IPv6"},
		{"src [10.0.0.1]:80", 5, "brackets are for IPv6"},
		{"src 2001:db8::1:80", 5, "it could be [2001:db8::1]:80 or [2001:db8::1:80]"},
		{"src inet6:[::1]", 5, "a family is not supported"},
		{"src 10.0.0.1:99999", 5, "ports end at 65535"},
		{"sport = :65536", 9, "ports end at 65535"},
		{"sport = -1", 9, `"-1" is neither a number nor the name of a service`},
		{"sport = 080", 9, `"080" is neither a number nor the name of a service`},
		{"sport = 10.0.0.1:80", 9, "neither a number nor the name of a service"},
		{"sport = :no-such-service", 9, "no such service; give its number"},
		{"sport > *", 9, "expected a port"},
		{"sport = = 80", 9, `found "="`},
		{"sport 80 = 90", 10, `found "=", expected and, or, state`},
		{"sport =", 8, "found the end, expected a port"},
		{"(sport 80", 10, `found the end, expected ")"`},
		{"sport 80)", 9, `found ")", expected and, or`},
		{"()", 2, `found ")"`},
		{"or src :1", 1, `found "or"`},
		{"src :1 or or src :2", 11, `found "or"`},
		{"src :1 ar src :2", 8, `did you mean "or"?`},
		{"src :1 adn src :2", 8, `did you mean "and"?`},
		{"age > 5µs foo", 11, `found "foo"`}, // a micro sign is one character of two bytes
		{"not", 4, "found the end"},
		{"uid root", 5, "a user ID in figures"},
		{"uid = 4294967296", 7, "a user ID in figures"},
		{"recvq > 4294967296", 9, "a number of bytes"},
		{"retrans > 256", 11, "a number from 0 to 255"},
		{"cookie = 18446744073709551616", 10, "a cookie"},
		{"cookie 0x", 8, "a cookie"},
		{"age > -5m", 7, "a duration"},
		{"age > 9999999999h", 7, "a duration"},
		{"role > client", 6, "expected = or !="},
		{"role cleint", 6, `did you mean "client"?`},
		{"cgroup /system.slice", 8, "a cgroup 2 ID"},
		{"fwmark = 1", 1, "no source tells the mark"},
		{"autobound", 1, "no source tells how a port was chosen"},
		{"src " + strings.Repeat("x", 5000), 5, "xxx\"…"},
		{"src [::1]" + strings.Repeat("x", 5000), 5, "xxx\"…"},
		{"sport :" + strings.Repeat("x", 5000), 7, "xxx\"…"},
		{deep, maxDepth + 1, "more than 100 levels"},
		{strings.Repeat("! ", maxDepth+1) + "src :1", 2*maxDepth + 1, "more than 100 levels"},
		{strings.Repeat("src :1 ", maxTerms+1), 7*maxTerms + 1, "more than 1000 terms"},
		{strings.Repeat(" ", maxText+1), maxText + 1, "longer than 1048576 bytes"},
	} {
		_, err := Parse([]string{row.text})
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("Parse(%.40q) = %v, want a *SyntaxError", row.text, err)
			continue
		}
		if e.Column != row.column || !strings.Contains(e.Error(), row.part) {
			t.Errorf("Parse(%.40q):\n%v\nwant column %d and %q", row.text, e, row.column, row.part)
		}
		for line := range strings.Lines(e.Error()) {
			if len(line) > 700 {
				t.Errorf("Parse(%.40q): a line of %d bytes", row.text, len(line))
			}
		}
	}
}

// The commands for ss that evidence prints are filters here too.
func TestEvidenceFiltersParse(t *testing.T) {
	for _, s := range tcpvet.States {
		if s == tcpvet.BoundInactive {
			continue // ss 6.1 has no word for it
		}
		text := "state " + s.SS() + " dst 10.0.3.7:8080"
		f, err := Parse([]string{text})
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		if want := "state " + s.String() + " and dst 10.0.3.7:8080"; f.String() != want {
			t.Errorf("Parse(%q) = %q, want %q", text, f, want)
		}
	}
}
