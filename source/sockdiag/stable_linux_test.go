package sockdiag

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// stable opens n connections that stay, half of them over IPv6, and gives the
// cookies of both ends.
func stable(t testing.TB, n int) map[uint64]bool {
	t.Helper()
	cookies := make(map[uint64]bool, 2*n)
	for _, addr := range []string{"127.0.0.1", "::1"} {
		l, at := listen(t, addr, 128)
		for range n / 2 {
			cookies[cookie(t, connect(t, at))] = true
			cookies[cookie(t, accept(t, l))] = true
		}
	}
	return cookies
}

// churn opens and closes connections in the namespace of the calling thread
// until stop is called, which waits for the end and gives the number of rounds.
func churn(t *testing.T, workers int) (stop func() int64) {
	t.Helper()
	netns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	closeFD(t, netns)
	var rounds atomic.Int64
	var quit atomic.Bool
	var wg sync.WaitGroup
	for i := range workers {
		family := []int{unix.AF_INET, unix.AF_INET6}[i%2]
		wg.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
				t.Error(err)
				return
			}
			for !quit.Load() {
				if err := comeAndGo(family); err != nil {
					t.Error(err)
					return
				}
				rounds.Add(1)
			}
		})
	}
	stop = sync.OnceValue(func() int64 {
		quit.Store(true)
		wg.Wait()
		return rounds.Load()
	})
	t.Cleanup(func() { stop() })
	return stop
}

// comeAndGo makes a listener and, one after the other, 8 sockets that are
// merely bound, connect, close their half, and leave nothing.
func comeAndGo(family int) error {
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	bound := func() (int, error) {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		fds = append(fds, fd)
		if family == unix.AF_INET6 {
			return fd, unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
		}
		return fd, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	l, err := bound()
	if err != nil {
		return err
	}
	if err := unix.Listen(l, 8); err != nil {
		return err
	}
	at, err := unix.Getsockname(l)
	if err != nil {
		return err
	}
	for range 8 {
		c, err := bound()
		if err != nil {
			return err
		}
		// close() then resets: with TIME-WAITs the ports would not last.
		if err := unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			return err
		}
		if err := unix.Connect(c, at); err != nil {
			return err
		}
		s, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if err != nil {
			return err
		}
		fds = append(fds, s)
		if err := unix.Shutdown(c, unix.SHUT_WR); err != nil {
			return err
		}
	}
	return nil
}

// The promise about sockets that stay: told once in every dump, whatever comes
// and goes beside them, in a table with room and in one with two sockets in a
// bucket.
func TestRootStableSocketsOnce(t *testing.T) {
	kerneltest.Netns(t)
	stableOnce(t)
}

func TestRootStableSocketsOnceCrowded(t *testing.T) {
	kerneltest.Crowded(t, 2048)
	stableOnce(t)
}

func stableOnce(t *testing.T) {
	const held = 4000 // ends
	stay := stable(t, held/2)
	if len(stay) != held {
		t.Fatalf("%d stable sockets", len(stay))
	}
	stop := churn(t, 4)
	c := dial(t)
	var all Stats
	const dumps = 60
	for dump := range dumps {
		told := make(map[uint64]tcpvet.State, held)
		st, err := c.Dump(t.Context(), Request{}, func(s *tcpvet.Socket) error {
			if before, twice := told[s.Cookie]; twice {
				t.Errorf("dump %d: %v %v -> %v was told before, as %v (stable: %v)", dump, s.State, s.Local, s.Remote, before, stay[s.Cookie])
			}
			told[s.Cookie] = s.State
			return nil
		})
		must(t, err)
		missed := 0
		for cookie := range stay {
			if told[cookie] != tcpvet.Established {
				missed++
			}
		}
		if missed > 0 {
			t.Errorf("dump %d: %d of %d stable sockets were not told as ESTAB", dump, missed, held)
		}
		all.Sockets += st.Sockets
		all.Repeated += st.Repeated
		all.Changed += st.Changed
		all.Mended += st.Mended
		all.Unsure += st.Unsure
		if st.Interrupted {
			t.Errorf("dump %d: interrupted", dump)
		}
	}
	rounds := stop()
	t.Logf("%d dumps beside %d connections that came and went: %+v", dumps, 8*rounds, all)
	if rounds < dumps {
		t.Errorf("only %d rounds of churn beside %d dumps", rounds, dumps)
	}
}

// Sockets that enter a bucket while a dump is in the middle of it make the
// kernel tell others twice. Listeners that share a port share a bucket, and the
// newest stands at its head (__inet_hash).
func TestRootRepeatsAreDropped(t *testing.T) {
	kerneltest.Netns(t)
	const (
		first = 1500 // five answers of the kernel
		late  = 50
	)
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 8080}
	share := func() uint64 {
		fd := newTCP(t, unix.AF_INET)
		must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		must(t, unix.Bind(fd, at))
		must(t, unix.Listen(fd, 1))
		return cookie(t, fd)
	}
	stay := make(map[uint64]bool, first)
	for range first {
		stay[share()] = true
	}
	eachRequest(t, func(t *testing.T, c *Conn) {
		told := make(map[uint64]int)
		st, err := c.Dump(t.Context(), Request{States: tcpvet.SetOf(tcpvet.Listen)}, func(s *tcpvet.Socket) error {
			if len(told) == 0 {
				for range late {
					share()
				}
			}
			told[s.Cookie]++
			return nil
		})
		must(t, err)
		for cookie := range stay {
			if told[cookie] != 1 {
				t.Errorf("socket %x was told %d times", cookie, told[cookie])
			}
		}
		// That many the kernel did push over the mark: else nothing is proved.
		if st.Repeated != late || st.Changed != 0 {
			t.Errorf("%+v, want %d repeated", st, late)
		}
	})
}

// What a dump allocates must not depend on the number of sockets.
func TestRootDumpAllocs(t *testing.T) {
	kerneltest.Netns(t)
	c := dial(t)
	measure := func() float64 {
		return testing.AllocsPerRun(5, func() {
			if _, err := c.Dump(t.Context(), Request{Info: true}, func(*tcpvet.Socket) error { return nil }); err != nil {
				t.Fatal(err)
			}
		})
	}
	stable(t, 50)
	few := measure()
	stable(t, 2000)
	many := measure()
	if many > few || few > 10 {
		t.Errorf("%v allocations for 100 sockets, %v for 4,100", few, many)
	}
}
