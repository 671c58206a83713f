package run_test

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/run"
)

func addresses(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// pooling connects from new sockets and tells each errno, or the local address.
const pooling = `
import socket
kept = []
def attempt(to, family=socket.AF_INET, bind=None):
    s = socket.socket(family)
    if bind: s.bind(bind)
    kept.append(s)
    e = s.connect_ex(to)
    return s.getsockname()[0] if e == 0 else str(e)
def listen(at="0.0.0.0", port=30000, family=socket.AF_INET):
    l = socket.socket(family); l.bind((at, port)); l.listen(100); kept.append(l)
`

func (s *stage) pooled(pool []netip.Addr, code string) (out []string, say told) {
	s.Helper()
	text, say, status := s.play(order{Args: []string{kerneltest.Tool(s, "python3"), "-c", pooling + code}, Pool: pool})
	if status != 0 {
		s.Fatalf("status %d: %s", status, say.Err)
	}
	return strings.Fields(text), say
}

func count(words []string, word string) (n int) {
	for _, w := range words {
		if w == word {
			n++
		}
	}
	return n
}

// A client that runs out of ports has as many again with each address.
func TestRootPoolMultipliesPorts(t *testing.T) {
	s := newStage(t)
	must(t, os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40009"), 0))
	const client = `
listen(); listen("::", 30001, socket.AF_INET6)
print(*[attempt(("127.0.0.1", 30000)) for _ in range(30)])
`
	py := kerneltest.Tool(t, "python3")
	out, err := exec.Command(py, "-c", pooling+client).Output()
	must(t, err)
	if alone := strings.Fields(string(out)); count(alone, "127.0.0.1") != 10 || count(alone, "99") != 20 {
		t.Fatalf("without a pool: %v, want 10 connections", alone)
	}
	words, say := s.pooled(addresses("127.0.0.1", "127.0.0.2"), client)
	if count(words, "127.0.0.1") != 10 || count(words, "127.0.0.2") != 10 || count(words, "99") != 10 {
		t.Errorf("two addresses: %v, want 10 connections from each", words)
	}
	if sum := say.Result.Summary; sum.Opened != 20 || sum.Failed != (run.Failed{NoPort: 10}) || sum.Unbound != 0 {
		t.Errorf("two addresses: %+v", sum)
	}
	// Ports are chosen for the destination: another one has all of them again.
	words, _ = s.pooled(addresses("127.0.0.1", "127.0.0.2"), `
listen(); listen(port=30002)
a, b = [], []
for _ in range(20): a.append(attempt(("127.0.0.1", 30000))); b.append(attempt(("127.0.0.1", 30002)))
print(*a, *b)
`)
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		if n := count(words, from); n != 20 {
			t.Errorf("%d of 40 connections to two destinations by turns come from %s, want 20: %v", n, from, words)
		}
	}
	s.clean()
}

// Addresses are for destinations of their kind, and for sockets that the program has
// not bound.
func TestRootPoolChooses(t *testing.T) {
	s := newStage(t)
	ip := kerneltest.Tool(t, "ip")
	for _, args := range []string{
		"address add 192.0.2.1/24 dev lo", "address add 192.0.2.2/24 dev lo", "address add 192.0.2.3/24 dev lo",
		"address add 2001:db8::1/128 dev lo nodad", "address add 2001:db8::2/128 dev lo nodad",
	} {
		must(t, exec.Command(ip, strings.Fields(args)...).Run())
	}
	pool := addresses("127.0.0.7", "192.0.2.2", "192.0.2.3", "2001:db8::2")
	for _, test := range []struct{ name, code, want string }{
		{"loopback", `print(attempt(("127.0.0.1", 30000)), attempt(("127.0.0.1", 30000)))`, "127.0.0.7 127.0.0.7"},
		{"no address but this host", `print(attempt(("0.0.0.0", 30000)))`, "127.0.0.7"},
		{"another", `print(*[attempt(("192.0.2.1", 30000)) for _ in range(3)])`, "192.0.2.2 192.0.2.3 192.0.2.2"},
		{"bound to an address", `print(attempt(("192.0.2.1", 30000), bind=("192.0.2.1", 0)))`, "192.0.2.1"},
		{"bound to an address and no port", `s = socket.socket(); s.setsockopt(0, 24, 1); s.bind(("192.0.2.1", 0)); s.connect(("192.0.2.1", 30000)); print(s.getsockname()[0])`, "192.0.2.1"},
		{"UDP", `s = socket.socket(type=socket.SOCK_DGRAM); s.connect(("127.0.0.1", 30000)); print(s.getsockname()[0])`, "127.0.0.1"},
		{"bound to an interface", `s = socket.socket(); s.setsockopt(1, 25, b"lo\0"); s.connect(("192.0.2.1", 30000)); print(s.getsockname()[0])`, "192.0.2.1"},
		{"bound to a port", `print(attempt(("192.0.2.1", 30000), bind=("0.0.0.0", 20001)))`, "192.0.2.1"},
		{"IPv6 of a kind without a pool", `print(attempt(("::1", 30001), socket.AF_INET6))`, "::1"},
		{"IPv6", `print(attempt(("2001:db8::1", 30001), socket.AF_INET6))`, "2001:db8::2"},
		{"v4-mapped, one turn with IPv4", `print(attempt(("192.0.2.1", 30000)), attempt(("::ffff:192.0.2.1", 30000), socket.AF_INET6), attempt(("192.0.2.1", 30000)))`,
			"192.0.2.2 ::ffff:192.0.2.3 192.0.2.2"},
	} {
		words, say := s.pooled(pool, `
listen(); listen("::", 30001, socket.AF_INET6)
`+test.code)
		if got := strings.Join(words, " "); got != test.want || say.Result.Summary.Unbound != 0 {
			t.Errorf("%s: %s, %+v, want %s", test.name, got, say.Result.Summary, test.want)
		}
	}
	s.clean()
}

// What is not an address of this namespace is said before anything runs; one that goes
// while the command runs does not stop its connects.
func TestRootPoolAddressIsNotLocal(t *testing.T) {
	s := newStage(t)
	_, say, status := s.play(order{Args: []string{"true"}, Pool: addresses("127.0.0.1", "192.0.2.9")})
	if status != 125 || !strings.Contains(say.Err, "192.0.2.9 is no address of this network namespace: add it with ip address add") {
		t.Errorf("status %d, %s", status, say.Err)
	}
	ip := kerneltest.Tool(t, "ip")
	must(t, exec.Command(ip, "address", "add", "192.0.2.9/32", "dev", "lo").Run())
	must(t, exec.Command(ip, "address", "add", "192.0.2.1/32", "dev", "lo").Run())
	words, say := s.pooled(addresses("192.0.2.9"), `
import subprocess
listen()
subprocess.run(["`+ip+`", "address", "del", "192.0.2.9/32", "dev", "lo"], check=True)
print(attempt(("192.0.2.1", 30000)))
`)
	if len(words) != 1 || words[0] != "192.0.2.1" || say.Result.Summary.Unbound != 1 || say.Result.Summary.Opened != 1 {
		t.Errorf("%v, %+v", words, say.Result)
	}
	s.clean()
}
