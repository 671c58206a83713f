package filter

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// The same link-local address on two links is told apart by the number of the
// link, in every state, as ss does it by the name behind "dev". Without a number
// it stands for both, as for ss.
func TestRootLink(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.IPv6)
	kerneltest.Need(t, kernel.SockDiag)
	kerneltest.Netns(t)
	ss, ip := kerneltest.Tool(t, "ss"), kerneltest.Tool(t, "ip")
	for _, args := range []string{
		"link add near type veth peer name far", "link set near up", "link set far up",
		"addr add fe80::99/64 dev near nodad", "addr add fe80::99/64 dev far nodad",
	} {
		if out, err := exec.Command(ip, strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	s := stager{t}
	addr := netip.MustParseAddr("fe80::99").As16()
	index := make(map[string]uint32)
	for _, name := range []string{"near", "far"} {
		link, err := net.InterfaceByName(name)
		s.check("find "+name, err)
		index[name] = uint32(link.Index)
		s.pairsOn(&unix.SockaddrInet6{Port: 8001, Addr: addr, ZoneId: index[name]})
	}

	d := openDiag(t)
	var sockets map[uint64]tcpvet.Socket
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if sockets, err = d.dump(tcpvet.AllStates, nil); err != nil {
			t.Fatal(err)
		}
		count := make(map[tcpvet.State]int)
		for _, s := range sockets {
			count[s.State]++
		}
		// On each link: two ends open, one closed at either end, one with both
		// closed, and the listener.
		if len(sockets) == 12 && count[tcpvet.Established] == 4 && count[tcpvet.CloseWait] == 2 && count[tcpvet.FinWait2] == 2 &&
			count[tcpvet.TimeWait] == 2 && count[tcpvet.Listen] == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the stage holds %v", count)
		}
	}

	shown := func(args ...string) map[uint64]bool {
		t.Helper()
		out, err := exec.Command(ss, append([]string{"-tanHeO"}, args...)...).Output()
		if err != nil {
			t.Fatalf("ss %q: %v", args, err)
		}
		return cookies(t, out)
	}
	all := shown("src", "[fe80::99]")
	for name, n := range index {
		onLink := shown("dev", name)
		if len(onLink) != 6 || len(all) != 12 {
			t.Fatalf("ss shows %d sockets, %d on %s", len(all), len(onLink), name)
		}
		for text, want := range map[string]map[uint64]bool{
			"src [fe80::99]":                                all,
			fmt.Sprintf("src [fe80::99%%%d]", n):            onLink,
			fmt.Sprintf("dst != [fe80::98%%%d]", n):         all,
			fmt.Sprintf("not not src fe80::99%%%d", n):      onLink,
			fmt.Sprintf("not src [fe80::99]%%%d", n):        without(all, onLink),
			fmt.Sprintf("src [fe80::99%%%d]:8001", n+1<<20): nil,
		} {
			f := mustParse(t, text)
			told, err := d.dump(f.States(), f.Bytecode())
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			for cookie, s := range sockets {
				if f.Match(&s) != want[cookie] {
					t.Errorf("%q: Match is %v for %v %v on link %d, ss has it: %v", text, f.Match(&s), s.State, s.Local, s.Interface, want[cookie])
				}
				if _, ok := told[cookie]; want[cookie] && !ok {
					t.Errorf("%q: the kernel left out %v %v on link %d", text, s.State, s.Local, s.Interface)
				}
			}
		}
	}
}

func without(all, some map[uint64]bool) map[uint64]bool {
	rest := make(map[uint64]bool)
	for c := range all {
		if !some[c] {
			rest[c] = true
		}
	}
	return rest
}

// pairsOn makes a listener at the address and three connections to it from there:
// open, closed by the client, closed by both.
func (s stager) pairsOn(at *unix.SockaddrInet6) {
	s.t.Helper()
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		s.check("socket", err)
		return fd
	}
	l := socket()
	s.keep(l)
	s.check("bind", unix.Bind(l, at))
	s.check("listen", unix.Listen(l, 8))
	for n := range 3 {
		client := socket()
		from := *at
		from.Port = 0
		s.check("bind", unix.Bind(client, &from))
		s.check("connect", unix.Connect(client, at))
		server, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		s.check("accept", err)
		switch n {
		case 0:
			s.keep(client, server)
		case 1:
			s.check("close", unix.Close(client))
			s.keep(server)
		case 2:
			s.check("close", unix.Close(client))
			_, err := unix.Read(server, make([]byte, 1)) // until the FIN is in
			s.check("read", err)
			s.check("close", unix.Close(server))
		}
	}
}
