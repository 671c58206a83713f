package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// stage fills the test's network namespace with a few hundred sockets of many
// states, families and addresses, which stay as they are for half a minute.
func stage(t *testing.T) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.IPv6)
	kerneltest.Need(t, kernel.SockDiag)
	kerneltest.Netns(t)
	// On a busy machine these would end while they are looked at, after a minute.
	for name, value := range map[string]string{"tcp_synack_retries": "100", "tcp_fin_timeout": "600"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			t.Fatalf("set net.ipv4.%s: %v", name, err)
		}
	}
	ip := kerneltest.Tool(t, "ip")
	for _, addr := range []string{"fd00::1/64", "fd00::2/64", "fd00:1::1/64"} {
		if out, err := exec.Command(ip, "addr", "add", addr, "dev", "lo", "nodad").CombinedOutput(); err != nil {
			t.Fatalf("add %s: %v: %s", addr, err, out)
		}
	}
	sources := map[bool][]string{
		false: {"127.0.0.1:0", "127.0.0.9:0", "127.200.0.1:0"},
		true:  {"[::1]:0", "[fd00::2]:0", "[fd00:1::1]:0"},
	}
	s := stager{t}
	for _, l := range []struct{ listen, dial string }{
		{"127.0.0.1:8001", "127.0.0.1:8001"},
		{"127.0.0.2:8002", "127.0.0.2:8002"},
		{"0.0.0.0:8003", "127.3.0.1:8003"},
		{"[::]:8004", "127.0.0.4:8004"}, // seen as IPv4-mapped by the listener
		{"[::1]:8005", "[::1]:8005"},
		{"[fd00::1]:8006", "[fd00::1]:8006"},
		{"[::ffff:127.0.0.1]:8007", "127.0.0.1:8007"},
		{"[::]:8008", "[fd00:1::1]:8008"},
	} {
		lfd := s.listen(l.listen, 64)
		to := netip.MustParseAddrPort(l.dial)
		for i := range 21 {
			from := sources[to.Addr().Is6()][i%3]
			client := s.connect(from, l.dial)
			server, _, err := unix.Accept4(lfd, unix.SOCK_CLOEXEC)
			s.check("accept", err)
			switch i % 4 {
			case 0: // ESTAB at both ends
				s.keep(client, server)
			case 1: // CLOSE-WAIT, and FIN-WAIT-2 that nobody holds
				s.check("close", unix.Close(client))
				s.keep(server)
			case 2: // CLOSE-WAIT, and FIN-WAIT-2 that is held
				s.check("shutdown", unix.Shutdown(client, unix.SHUT_WR))
				s.keep(client, server)
			case 3: // TIME-WAIT
				s.check("close", unix.Close(client))
				time.Sleep(time.Millisecond)
				s.check("close", unix.Close(server))
			}
		}
	}

	// SYN-SENT: nobody answers once the accept queue is full.
	s.listen("127.0.0.5:8100", 0)
	for range 6 {
		s.connect("127.0.0.1:0", "127.0.0.5:8100")
	}
	// SYN-RECV: the listener waits for data that does not come.
	deferred := s.listen("[::]:8200", 64)
	s.check("defer accept", unix.SetsockoptInt(deferred, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30))
	for range 3 {
		s.keep(s.connect("127.0.0.1:0", "127.0.0.1:8200"), s.connect("[::1]:0", "[fd00::2]:8200"))
	}
	// Merely bound.
	for _, addr := range []string{"127.0.0.1:8300", "[fd00::1]:8301", "[::ffff:127.0.0.2]:8302"} {
		s.keep(s.bound(addr))
	}
}

type stager struct{ t *testing.T }

func (s stager) check(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

func (s stager) keep(fds ...int) {
	for _, fd := range fds {
		s.t.Cleanup(func() { unix.Close(fd) })
	}
}

func (s stager) bound(addr string) int {
	s.t.Helper()
	ap := netip.MustParseAddrPort(addr)
	family := unix.AF_INET
	if ap.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	s.check("socket", err)
	if ap.Addr().Is6() {
		s.check("IPV6_V6ONLY", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	}
	s.check("bind "+addr, unix.Bind(fd, sockaddr(ap)))
	return fd
}

func (s stager) listen(addr string, backlog int) int {
	s.t.Helper()
	fd := s.bound(addr)
	s.check("listen", unix.Listen(fd, backlog))
	s.keep(fd)
	return fd
}

// connect does not wait for more than an answer from this machine.
func (s stager) connect(from, to string) int {
	s.t.Helper()
	fd := s.bound(from)
	s.check("nonblock", unix.SetNonblock(fd, true))
	if err := unix.Connect(fd, sockaddr(netip.MustParseAddrPort(to))); !errors.Is(err, unix.EINPROGRESS) {
		s.check("connect to "+to, err)
	}
	return fd
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

// diag is a netlink socket that asks for TCP sockets: as small a client as can
// be, so that it shares no fault with the sources.
type diag struct {
	fd  int
	seq uint32
}

func openDiag(t *testing.T) *diag {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		t.Fatalf("open netlink socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &diag{fd: fd}
}

// dump gives the sockets by cookie. The request is TCPDIAG_GETSOCK, which asks
// for both families at once (struct inet_diag_req).
func (d *diag) dump(states tcpvet.StateSet, program []byte) (map[uint64]tcpvet.Socket, error) {
	const getSock, headers, request = 18, 16, 60
	d.seq++
	e := binary.NativeEndian
	b := make([]byte, headers+request)
	e.PutUint16(b[4:], getSock)
	e.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	e.PutUint32(b[8:], d.seq)
	e.PutUint32(b[headers+52:], uint32(states))
	if program != nil {
		b = e.AppendUint16(b, uint16(4+len(program)))
		b = e.AppendUint16(b, 1) // INET_DIAG_REQ_BYTECODE
		b = append(b, program...)
	}
	e.PutUint32(b, uint32(len(b)))
	if err := unix.Sendto(d.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	sockets := make(map[uint64]tcpvet.Socket)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(d.fd, buf)
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		for m := buf[:n]; len(m) >= headers; {
			size := int(e.Uint32(m))
			if e.Uint32(m[8:]) == d.seq { // else the rest of a dump that failed
				switch e.Uint16(m[4:]) {
				case unix.NLMSG_DONE:
					return sockets, nil
				case unix.NLMSG_ERROR:
					return nil, fmt.Errorf("dump: %w", unix.Errno(-int32(e.Uint32(m[headers:]))))
				}
				s := decode(m[headers:size])
				sockets[s.Cookie] = s
			}
			m = m[min((size+3)&^3, len(m)):]
		}
	}
}

// decode reads struct inet_diag_msg.
func decode(b []byte) tcpvet.Socket {
	e := binary.NativeEndian
	at := func(addr, port int) netip.AddrPort {
		var a netip.Addr
		if b[0] == afInet {
			a = netip.AddrFrom4([4]byte(b[addr:]))
		} else {
			a = netip.AddrFrom16([16]byte(b[addr:]))
		}
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[port:]))
	}
	s := tcpvet.Socket{
		Known: tcpvet.FactUID | tcpvet.FactInode | tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactQueues,
		State: tcpvet.State(b[1]), Local: at(8, 4), Remote: at(24, 6), Interface: e.Uint32(b[40:]),
		Timer:  tcpvet.Timer{Kind: tcpvet.TimerKind(b[2]), Retransmits: b[3], Expires: time.Duration(e.Uint32(b[52:])) * time.Millisecond},
		Cookie: uint64(e.Uint32(b[44:])) | uint64(e.Uint32(b[48:]))<<32,
		RecvQ:  e.Uint32(b[56:]), SendQ: e.Uint32(b[60:]), UID: e.Uint32(b[64:]), Inode: uint64(e.Uint32(b[68:])),
	}
	switch s.State {
	case tcpvet.Unconn:
		s.State = tcpvet.BoundInactive
	case tcpvet.Listen:
		s.Known = s.Known&^tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactBacklogMax
	}
	return s
}

// staged is the stage as the kernel tells it, with a pool to draw filters from
// that are about it.
func staged(t *testing.T) (*diag, map[uint64]tcpvet.Socket, pool) {
	stage(t)
	d := openDiag(t)
	p := pool{ports: []uint16{0, 1, 8000, 8001, 8002, 8003, 8004, 8005, 8006, 8007, 8008, 8100, 8200, 8300, 8301, 8302, 65534, 65535}}
	want := tcpvet.SetOf(tcpvet.Established, tcpvet.SynSent, tcpvet.SynRecv, tcpvet.FinWait2, tcpvet.TimeWait,
		tcpvet.CloseWait, tcpvet.Listen)
	bound := tcpvet.SetOf(tcpvet.BoundInactive) // older kernels do not tell these
	var sockets map[uint64]tcpvet.Socket
	var count map[tcpvet.State]int
	// A FIN may be acknowledged late: wait for the last FIN-WAIT-1 to pass.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if sockets, err = d.dump(tcpvet.AllStates, nil); err != nil {
			t.Fatal(err)
		}
		var states tcpvet.StateSet
		count = make(map[tcpvet.State]int)
		for _, s := range sockets {
			states |= tcpvet.SetOf(s.State)
			count[s.State]++
		}
		if states&^bound == want {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the stage holds %v, want states %014b", count, want)
		}
	}
	for _, s := range sockets {
		if len(p.ports) < 40 {
			p.ports = append(p.ports, s.Local.Port())
		}
	}
	if len(sockets) < 300 {
		t.Fatalf("the stage holds %d sockets", len(sockets))
	}
	t.Logf("the stage: %v", count)
	for _, text := range []string{
		"127.0.0.1/32", "127.0.0.0/29", "127.0.0.0/9", "127.0.0.0/8", "0.0.0.0/0", "0.0.0.0/32", "10.0.0.0/8",
		"::1/128", "fd00::1/128", "fd00::/64", "fd00::/15", "::/0", "::/128", "::/64", "2001:db8::/32",
	} {
		p.prefixes = append(p.prefixes, netip.MustParsePrefix(text))
	}
	for _, bits := range []int{128, 120, 96} {
		p.prefixes = append(p.prefixes, netip.PrefixFrom(netip.MustParseAddr("::ffff:127.0.0.1"), bits).Masked())
	}
	p.prefixes = append(p.prefixes, netip.Prefix{})
	return d, sockets, p
}
