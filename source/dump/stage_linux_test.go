package dump

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// stage makes the sockets of staged in a namespace of their own, and a second
// process that shares some of them. It gives the PID of that process, the
// descriptor of the client with the port 40001, and when it began.
func stage(t *testing.T) (child, client int, began time.Time) {
	t.Helper()
	kerneltest.Netns(t)
	began = time.Now()
	s := &stager{T: t}
	t.Cleanup(func() {
		for _, fd := range s.open {
			unix.Close(fd)
		}
	})

	web := s.listen("127.0.0.1:8080", 5)
	dual := s.listen("[::]:8081", 5)
	s.dial("[::1]:40006", s.at(s.listen("[::1]:8082", 5)))
	s.dial("127.0.0.1:40008", s.at(s.listen("127.0.0.1:8083", 0)))

	// A queue of one is full with one: the kernel answers no further SYN.
	if err := unix.Connect(s.nonblocking(s.socket("127.0.0.1:40009")), sockaddr("127.0.0.1:8083")); err != unix.EINPROGRESS {
		t.Fatalf("connect to a listener whose queue is full: %v, not EINPROGRESS", err)
	}

	shared, _ := s.pair("127.0.0.1:40001", web)
	s.must(unix.SetsockoptInt(shared, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	s.write(shared, "hello")

	_, server := s.pair("127.0.0.1:40002", web)
	s.write(server, "xyz")
	s.close(server)

	client, _ = s.pair("[::1]:40003", s.at(dual, "[::1]:8081"))
	s.must(unix.Shutdown(client, unix.SHUT_WR))

	client, _ = s.pair("127.0.0.1:40004", s.at(dual, "127.0.0.1:8081"))
	s.must(unix.Fchown(client, 1234, -1)) // the kernel's sk_uid follows

	client, server = s.pair("127.0.0.1:40005", web)
	s.close(client)
	s.readEnd(server)
	s.close(server)

	client, _ = s.pair("127.0.0.1:40007", web)
	s.fill(client)
	s.close(client)

	udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	s.must(err)
	s.open = append(s.open, udp)
	s.must(unix.Bind(udp, sockaddr("127.0.0.1:5353")))
	local, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	s.must(err)
	s.open = append(s.open, local)
	s.must(unix.Bind(local, &unix.SockaddrUnix{Name: "@dump"}))
	s.must(unix.Listen(local, 3))

	sleep := exec.Command(kerneltest.Tool(t, "sleep"), "600")
	for _, fd := range []int{web.fd, shared} {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		s.must(err)
		f := os.NewFile(uintptr(dup), "socket")
		defer f.Close()
		sleep.ExtraFiles = append(sleep.ExtraFiles, f)
	}
	s.must(sleep.Start()) // which waits until it is sleep
	t.Cleanup(func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
	})
	s.settle()
	return sleep.Process.Pid, shared, began
}

// settle waits until every segment is in: until each socket has the state and the
// timer that it is to keep.
func (s *stager) settle() {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var tables []byte
		for _, name := range []string{"tcp", "tcp6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + name)
			s.must(err)
			tables = append(tables, b...)
		}
		_, c := read(s.T, string(tables))
		got := c.byEnds()
		var waits *wanted
		for i := range staged {
			w := &staged[i]
			if o := got[w.ends()]; o == nil || o.State != w.state || o.Timer.Kind != w.timer {
				waits = w
			}
		}
		if waits == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%v %s did not come about: %+v", waits.state, waits.ends(), got[waits.ends()])
		}
	}
}

type stager struct {
	*testing.T
	open []int
}

type listener struct {
	fd int
	at string
}

func (s *stager) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func sockaddr(at string) unix.Sockaddr {
	ap := netip.MustParseAddrPort(at)
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

// socket gives a TCP socket bound to the address.
func (s *stager) socket(at string) int {
	s.Helper()
	family := unix.AF_INET6
	if netip.MustParseAddrPort(at).Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	s.must(err)
	s.open = append(s.open, fd)
	s.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	s.must(unix.Bind(fd, sockaddr(at)))
	return fd
}

func (s *stager) nonblocking(fd int) int {
	s.Helper()
	s.must(unix.SetNonblock(fd, true))
	return fd
}

func (s *stager) listen(at string, backlog int) listener {
	s.Helper()
	fd := s.socket(at)
	s.must(unix.Listen(fd, backlog))
	return listener{fd, at}
}

// at gives the listener under another of its addresses.
func (s *stager) at(l listener, at ...string) listener {
	if len(at) > 0 {
		l.at = at[0]
	}
	return l
}

func (s *stager) dial(from string, to listener) int {
	s.Helper()
	fd := s.socket(from)
	s.must(unix.Connect(fd, sockaddr(to.at)))
	return fd
}

func (s *stager) pair(from string, to listener) (client, server int) {
	s.Helper()
	client = s.dial(from, to)
	server, _, err := unix.Accept4(to.fd, unix.SOCK_CLOEXEC)
	s.must(err)
	s.open = append(s.open, server)
	return client, server
}

func (s *stager) write(fd int, text string) {
	s.Helper()
	_, err := unix.Write(fd, []byte(text))
	s.must(err)
}

func (s *stager) close(fd int) {
	s.Helper()
	for i, open := range s.open {
		if open == fd {
			s.open = append(s.open[:i], s.open[i+1:]...)
			s.must(unix.Close(fd))
			return
		}
	}
	s.Fatalf("close descriptor %d, which is not open", fd)
}

func (s *stager) readEnd(fd int) {
	s.Helper()
	n, err := unix.Read(fd, make([]byte, 1))
	if s.must(err); n != 0 {
		s.Fatalf("read %d bytes where the end was due", n)
	}
}

// fill writes until neither end takes any more.
func (s *stager) fill(fd int) {
	s.Helper()
	s.nonblocking(fd)
	full := 0
	for buf := make([]byte, 1<<16); full < 3; {
		switch _, err := unix.Write(fd, buf); err {
		case nil:
			full = 0
		case unix.EAGAIN:
			full++
			time.Sleep(20 * time.Millisecond)
		default:
			s.Fatal(err)
		}
	}
}

const unknownQueue = 1<<32 - 1

// wanted is a socket that stage makes.
type wanted struct {
	state         tcpvet.State
	local, remote string
	recvQ, sendQ  uint32 // unknownQueue where it hangs on the kernel, and is not 0
	timer         tcpvet.TimerKind
	mini          bool
	holders       int    // processes: the test, and its child
	uid           uint32 // 1234 where stage sets it
}

// staged is what stage makes, and so what every dump of it has to hold. A peer's
// answer to a FIN that comes with it leaves no doubt about the queues: an unread
// FIN counts as 1.
var staged = []wanted{
	{state: tcpvet.Listen, local: "127.0.0.1:8080", remote: "0.0.0.0:0", sendQ: 5, holders: 2},
	{state: tcpvet.Listen, local: "[::]:8081", remote: "[::]:0", sendQ: 5, holders: 1},
	{state: tcpvet.Listen, local: "[::1]:8082", remote: "[::]:0", recvQ: 1, sendQ: 5, holders: 1},
	{state: tcpvet.Listen, local: "127.0.0.1:8083", remote: "0.0.0.0:0", recvQ: 1, sendQ: 0, holders: 1},

	{state: tcpvet.Established, local: "127.0.0.1:40001", remote: "127.0.0.1:8080", timer: tcpvet.TimerKeepalive, holders: 2},
	{state: tcpvet.Established, local: "127.0.0.1:8080", remote: "127.0.0.1:40001", recvQ: 5, holders: 1},

	{state: tcpvet.CloseWait, local: "127.0.0.1:40002", remote: "127.0.0.1:8080", recvQ: 4, holders: 1},
	{state: tcpvet.FinWait2, local: "127.0.0.1:8080", remote: "127.0.0.1:40002", timer: tcpvet.TimerTimeWait, mini: true},

	{state: tcpvet.FinWait2, local: "[::1]:40003", remote: "[::1]:8081", holders: 1},
	{state: tcpvet.CloseWait, local: "[::1]:8081", remote: "[::1]:40003", recvQ: 1, holders: 1},

	{state: tcpvet.Established, local: "127.0.0.1:40004", remote: "127.0.0.1:8081", holders: 1, uid: 1234},
	{state: tcpvet.Established, local: "[::ffff:127.0.0.1]:8081", remote: "[::ffff:127.0.0.1]:40004", holders: 1},

	{state: tcpvet.TimeWait, local: "127.0.0.1:40005", remote: "127.0.0.1:8080", timer: tcpvet.TimerTimeWait, mini: true},

	{state: tcpvet.Established, local: "[::1]:40006", remote: "[::1]:8082", holders: 1},
	{state: tcpvet.Established, local: "[::1]:8082", remote: "[::1]:40006"},

	{state: tcpvet.FinWait1, local: "127.0.0.1:40007", remote: "127.0.0.1:8080", sendQ: unknownQueue, timer: tcpvet.TimerPersist},
	{state: tcpvet.Established, local: "127.0.0.1:8080", remote: "127.0.0.1:40007", recvQ: unknownQueue, holders: 1},

	{state: tcpvet.Established, local: "127.0.0.1:40008", remote: "127.0.0.1:8083", holders: 1},
	{state: tcpvet.Established, local: "127.0.0.1:8083", remote: "127.0.0.1:40008"},
	{state: tcpvet.SynSent, local: "127.0.0.1:40009", remote: "127.0.0.1:8083", sendQ: 1, timer: tcpvet.TimerOn, holders: 1},
}
