package trace

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// Both ends of a connection are told when it opens, by whatever family of socket and
// whether connect() waits or not.
func TestRootOpen(t *testing.T) { kerneltest.Undisturbed(t, testOpen) }

func testOpen(t testing.TB) {
	f := follow(t, Options{PassShare: 1, Kinds: Opens | States})
	l4, at4 := listen(t, lo4)
	l6, at6 := listen(t, lo6)
	any6, _ := listen(t, netip.MustParseAddrPort("[::]:0"))
	anyPort := localOf(t, any6).Port()
	mapped := func(at netip.AddrPort) unix.Sockaddr {
		return &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
	}
	for _, test := range []struct {
		name     string
		listener *socket
		family   int
		flags    int
		dial     unix.Sockaddr
		to       netip.AddrPort
	}{
		{"IPv4", l4, unix.AF_INET, 0, sockaddr(at4, unix.AF_INET), at4},
		{"IPv6", l6, unix.AF_INET6, 0, sockaddr(at6, unix.AF_INET6), at6},
		{"IPv4-mapped", l4, unix.AF_INET6, 0, mapped(at4), at4},
		{"IPv4 to a listener of both", any6, unix.AF_INET, 0, sockaddr(netip.AddrPortFrom(lo4.Addr(), anyPort), unix.AF_INET), netip.AddrPortFrom(lo4.Addr(), anyPort)},
		{"without waiting", l4, unix.AF_INET, unix.SOCK_NONBLOCK, sockaddr(at4, unix.AF_INET), at4},
	} {
		t.Log(test.name)
		before := time.Now()
		c := newSocket(t, test.family, test.flags)
		if err := unix.Connect(c.fd, test.dial); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		s := accept(t, test.listener)
		sa, err := unix.Getpeername(s.fd)
		must(t, err)
		from := tcpvet.Unmap(addrPort(sa))
		for _, end := range []struct {
			*socket
			role          tcpvet.Role
			local, remote netip.AddrPort
			from          tcpvet.State
		}{{c, tcpvet.Client, from, test.to, tcpvet.SynSent}, {s, tcpvet.Server, test.to, from, tcpvet.SynRecv}} {
			e := f.one(test.name+": open", of(tcpvet.EventOpen, end.cookie))
			if e.Role != end.role || e.Local != end.local || e.Remote != end.remote || e.From != end.from || e.To != tcpvet.Established {
				t.Errorf("%s: %+v, want %v to %v as %v", test.name, e, end.local, end.remote, end.role)
			}
			if spent := time.Since(before); e.Took < 0 || e.Took > spent || e.At.Before(before) {
				t.Errorf("%s: %v: took %v of %v, at %v", test.name, end.role, e.Took, spent, e.At)
			}
			if end.role == tcpvet.Client {
				checkSelf(t, test.name, &e)
			} else {
				checkAccepted(t, test.name, &e)
			}
			// The changes of the state alone are the same, one by one.
			var changes []tcpvet.State
			for _, e := range f.all(of(tcpvet.EventState, end.cookie)) {
				changes = append(changes, e.From, e.To)
			}
			want := []tcpvet.State{tcpvet.SynRecv, tcpvet.Established}
			if end.role == tcpvet.Client {
				want = []tcpvet.State{tcpvet.Unconn, tcpvet.SynSent, tcpvet.SynSent, tcpvet.Established}
			}
			if !equal(changes, want) {
				t.Errorf("%s: %v went %v, want %v", test.name, end.role, changes, want)
			}
		}
	}
	// Listeners are no connections: of them the changes of state alone are told.
	l4.close()
	until(t, "the listener's end", func() bool { return len(f.all(of(tcpvet.EventState, l4.cookie))) == 2 })
	for _, e := range f.all(func(e *tcpvet.Event) bool { return e.Cookie == l4.cookie }) {
		if e.Kind != tcpvet.EventState || e.KnownBy != tcpvet.ByTask {
			t.Errorf("of a listener: %+v", e)
		}
		checkSelf(t, "listener", &e)
	}
}

func equal(a, b []tcpvet.State) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// A socket that connects to itself opens as both ends at once do (RFC 9293, section
// 3.5, simultaneous open): one connection, whose one end sent a SYN.
func TestRootOpenToItself(t *testing.T) {
	for _, kinds := range []Kinds{allKinds, 0} {
		t.Run("", func(t *testing.T) {
			kerneltest.Undisturbed(t, func(t testing.TB) { testOpenToItself(t, kinds) })
		})
	}
}

func testOpenToItself(t testing.TB, kinds Kinds) {
	f := follow(t, Options{Kinds: kinds})
	c := newSocket(t, unix.AF_INET, 0)
	must(t, unix.Bind(c.fd, sockaddr(lo4, unix.AF_INET)))
	at := localOf(t, c)
	must(t, unix.Connect(c.fd, sockaddr(at, unix.AF_INET)))
	e := f.one("open", of(tcpvet.EventOpen, c.cookie))
	if e.Role != tcpvet.Client || e.Local != at || e.Remote != at || e.From != tcpvet.SynRecv || e.Took <= 0 {
		t.Errorf("%+v", e)
	}
	c.close()
	// Its own FIN comes to it before an ACK of it: CLOSING.
	e = f.one("close", of(tcpvet.EventClose, c.cookie))
	if e.First != tcpvet.CloserBoth || e.How != tcpvet.HowFIN {
		t.Errorf("closed first by %q, %v", e.First, e.How)
	}
}

// What was there before the trace began is known by who holds it, and its times are
// not.
func TestRootOpenBefore(t *testing.T) { kerneltest.Undisturbed(t, testOpenBefore) }

func testOpenBefore(t testing.TB) {
	need(t)
	pairs := stageBefore(t)
	f := followHere(t, Options{PassShare: 1, Kinds: Closes | States})
	for _, p := range pairs {
		p.client.close()
		awaitState(t, p.server, tcpvet.CloseWait)
		abortive(t, p.server)
		p.server.close()
		e := f.one("close of the client's end", of(tcpvet.EventClose, p.client.cookie))
		if e.Took >= 0 || e.Role != tcpvet.RoleUnknown || e.First != tcpvet.CloserLocal || e.CloseWait != 0 {
			t.Errorf("%+v", e)
		}
		checkSelf(t, "client", &e)
		e = f.one("close of the server's end", of(tcpvet.EventClose, p.server.cookie))
		if e.Took >= 0 || e.Role != tcpvet.RoleUnknown || e.First != tcpvet.CloserRemote || e.How != tcpvet.HowRST || e.CloseWait <= 0 {
			t.Errorf("%+v", e)
		}
		checkSelf(t, "server", &e)
	}
	if s := f.Stats(); s.Adopted < 4 {
		t.Errorf("%d sockets were found with their process, want at least 4", s.Adopted)
	}
}

// Of what was there before, half of the table is followed at most: the rest is for what
// is to come.
func TestRootOpenBeforeFull(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	l, at := listen(t, lo4)
	for range 10 {
		connected(t, l, at)
	}
	f := followHere(t, Options{Connections: 8})
	n, key := 0, uint64(0)
	for err := f.objects.Conns.NextKey(nil, &key); err == nil; err = f.objects.Conns.NextKey(key, &key) {
		n++
	}
	if n != 4 {
		t.Errorf("%d of 20 ends are followed with room for 8, want 4", n)
	}
}

type pair struct{ client, server *socket }

func stageBefore(t testing.TB) (pairs []pair) {
	t.Helper()
	kerneltest.Netns(t)
	for _, at := range []netip.AddrPort{lo4, lo6} {
		l, to := listen(t, at)
		c, s := connected(t, l, to)
		pairs = append(pairs, pair{c, s})
	}
	return pairs
}
