package sourcetest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// owner is the user that one of the sockets of a stage is given.
const owner = 4711

// staged is a socket that was made, and what its makers know of it.
type staged struct {
	name   string
	fd     int // -1 where no descriptor is left
	state  tcpvet.State
	mini   bool
	role   tcpvet.Role
	local  netip.AddrPort
	remote netip.AddrPort
	inode  uint64
	cookie uint64 // 0 where there was never a descriptor to ask by
	uid    uint32
	shared bool // the child holds it too

	// recvQ and sendQ are what reads of the kernel do not tell: the FIN that
	// stands in the queue, a listener's queue and limit.
	recvQ, sendQ uint32
	asked        bool // the queues come from SIOCINQ and SIOCOUTQ, to which recvQ is added

	timer     []tcpvet.TimerKind // one of these runs
	keepalive string             // "on", "off" or ""
	ifindex   uint32

	// dated is what the age of the state, or idleness, is counted from: a
	// moment between since and until. Zero where nothing dates it.
	since, until time.Time
}

// held tells whether a process has a descriptor of it.
func (s *staged) held() bool { return s.fd >= 0 }

// stage is a namespace with sockets.
type stage struct {
	testing.TB
	id    tcpvet.NetnsID
	self  tcpvet.Process
	child tcpvet.Process
	all   []*staged
}

// newStage makes a namespace for the rest of the test, and in it sockets of
// every state that a namespace with nothing but a loopback can keep: over IPv4,
// IPv6, and IPv4 of which one end is an IPv6 socket. A second process holds some
// of them too.
func newStage(t testing.TB) *stage {
	t.Helper()
	kerneltest.Netns(t)
	kerneltest.Need(t, kernel.IPv6)
	st := &stage{TB: t}
	var err error
	st.id, err = netns.Self()
	st.must(err)
	st.self = st.process(os.Getpid())
	for _, addr := range []string{"127.0.0.1", "::1"} {
		st.connections(addr)
		st.closing(addr)
		st.listeners(addr)
	}
	st.stuffed("127.0.0.1")
	st.mapped()
	st.share()
	st.settle()
	time.Sleep(300 * time.Millisecond) // so that ages are of a size to compare
	return st
}

func (st *stage) must(err error) {
	st.Helper()
	if err != nil {
		st.Fatal(err)
	}
}

// process gives a process with its start time.
func (st *stage) process(pid int) tcpvet.Process {
	st.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	st.must(err)
	// The name may hold anything; the fields after it begin with the third.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	start, err := strconv.ParseUint(fields[22-3], 10, 64)
	st.must(err)
	return tcpvet.Process{PID: int32(pid), Start: start}
}

func (st *stage) socket(a netip.Addr) int {
	st.Helper()
	family := unix.AF_INET6
	if a.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	st.must(err)
	st.Cleanup(func() { unix.Close(fd) })
	return fd
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

func (st *stage) endpoint(sa unix.Sockaddr, err error) netip.AddrPort {
	st.Helper()
	st.must(err)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	st.Fatalf("read endpoint: %T is no address of IP", sa)
	return netip.AddrPort{}
}

func (st *stage) listen(a netip.Addr, backlog int) (fd int, at netip.AddrPort) {
	st.Helper()
	fd = st.socket(a)
	st.must(unix.Bind(fd, sockaddr(netip.AddrPortFrom(a, 0))))
	st.must(unix.Listen(fd, backlog))
	return fd, st.endpoint(unix.Getsockname(fd))
}

func (st *stage) connect(at netip.AddrPort) int {
	st.Helper()
	fd := st.socket(at.Addr())
	st.must(unix.Connect(fd, sockaddr(at)))
	return fd
}

func (st *stage) accept(l int) int {
	st.Helper()
	fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	st.must(err)
	st.Cleanup(func() { unix.Close(fd) })
	return fd
}

// add takes a socket in, with what the kernel tells of its descriptor.
func (st *stage) add(name string, fd int, state tcpvet.State, role tcpvet.Role) *staged {
	st.Helper()
	s := &staged{name: name, fd: fd, state: state, role: role, asked: true, timer: []tcpvet.TimerKind{tcpvet.TimerNone}}
	s.local = st.endpoint(unix.Getsockname(fd))
	if sa, err := unix.Getpeername(fd); err == nil {
		s.remote = st.endpoint(sa, nil)
	} else {
		s.remote = unspecified(s.local)
	}
	var stat unix.Stat_t
	st.must(unix.Fstat(fd, &stat))
	s.inode, s.uid = stat.Ino, stat.Uid
	var err error
	s.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	st.must(err)
	st.all = append(st.all, s)
	return s
}

// end takes in the other end of a connection, of which there is no descriptor.
func (st *stage) end(name string, of *staged, state tcpvet.State) *staged {
	s := &staged{name: name, fd: -1, state: state, role: tcpvet.Server, local: of.remote, remote: of.local, timer: []tcpvet.TimerKind{tcpvet.TimerNone}}
	st.all = append(st.all, s)
	return s
}

func unspecified(like netip.AddrPort) netip.AddrPort {
	if like.Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}

// pair adds both ends of a connection, in the states that they are to come to.
func (st *stage) pair(name, addr string, client, server tcpvet.State) (c, s *staged) {
	st.Helper()
	l, at := st.listen(netip.MustParseAddr(addr), 8)
	st.listener(name+"'s listener", l, 0, 8)
	since := time.Now()
	c = st.add(name+", client", st.connect(at), client, tcpvet.Client)
	s = st.add(name+", server", st.accept(l), server, tcpvet.Server)
	c.dated(since)
	s.dated(since)
	return c, s
}

func (s *staged) dated(since time.Time) { s.since, s.until = since, time.Now() }

func (st *stage) listener(name string, fd int, length, limit uint32) *staged {
	st.Helper()
	s := st.add(name, fd, tcpvet.Listen, tcpvet.Server)
	s.asked, s.recvQ, s.sendQ = false, length, limit
	return s
}

// close closes the descriptor of a socket that lives on without one.
func (st *stage) close(s *staged) {
	st.Helper()
	// Not the number: another socket may be given it before the test ends.
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	st.must(err)
	st.must(unix.Dup3(null, s.fd, unix.O_CLOEXEC))
	st.must(unix.Close(null))
	s.fd, s.inode, s.uid, s.asked = -1, 0, 0, false
}

// share starts a process that holds some of the sockets too.
func (st *stage) share() {
	st.Helper()
	sleep := exec.Command(kerneltest.Tool(st, "sleep"), "600")
	for _, s := range st.all {
		if !s.shared {
			continue
		}
		dup, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
		st.must(err)
		f := os.NewFile(uintptr(dup), "socket")
		defer f.Close()
		sleep.ExtraFiles = append(sleep.ExtraFiles, f)
	}
	st.must(sleep.Start())
	st.Cleanup(func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
	})
	st.child = st.process(sleep.Process.Pid)
}

// settle waits until the sockets are in their states.
func (st *stage) settle() {
	st.Helper()
	for _, s := range st.all {
		if !s.held() {
			continue
		}
		var now uint8
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			k, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			st.must(err)
			want := uint8(s.state)
			if s.state == tcpvet.BoundInactive {
				want = uint8(tcpvet.Unconn)
			}
			if now = k.State; now == want {
				break
			}
			if time.Now().After(deadline) {
				st.Fatalf("stage %s: state is %v, not %v", s.name, tcpvet.State(now), s.state)
			}
		}
	}
}

// key names a socket: no two have both ends in common.
func key(local, remote netip.AddrPort) string { return fmt.Sprint(local, " ", remote) }
