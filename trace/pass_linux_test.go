package trace

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func init() { Parts["copies"] = closeCopies }

// copied is how many descriptors each connection of closeCopies has.
const copied = 1000

// closeCopies connects and closes, first and by many descriptors at once: so a pass over
// all of them is likely to be at one of the connection's when it is closed.
func closeCopies() error {
	var order connections
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: 2 * copied, Max: 2 * copied}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of descriptors: %w", err)
	}
	const first = 100
	for i := range order.N {
		fd, err := dialled(order.To)
		if err != nil {
			return err
		}
		for n := range copied {
			if err := unix.Dup3(fd, first+n, unix.O_CLOEXEC); err != nil {
				return fmt.Errorf("copy a descriptor: %w", err)
			}
		}
		unix.Close(fd)
		time.Sleep(time.Duration(i%50) * 200 * time.Microsecond) // passes come when they like
		if err := unix.CloseRange(first, first+copied-1, 0); err != nil {
			return fmt.Errorf("close the copies: %w", err)
		}
	}
	return nil
}

// A pass over descriptors has each file for a moment. Where its process closes it
// meanwhile, the kernel closes the socket when the pass lets go: it is told of that
// process all the same.
func TestRootPassCloses(t *testing.T) { kerneltest.Undisturbed(t, testPassCloses) }

func testPassCloses(t testing.TB) {
	const n = 600
	f := follow(t, Options{PassShare: -1}) // passes are of this test
	s, err := newShared(f.options)
	must(t, err)
	s.maps = f.tables()
	a, err := openAdopter(s, 1)
	must(t, err)
	done, passed := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-done:
				passed <- nil
				return
			default:
			}
			if err := a.pass(0, func(uint64, holder) {}); err != nil {
				passed <- err
				return
			}
		}
	}()
	l, at := listen(t, lo4)
	serve(t, l)
	p := start(t, "copies", connections{at, n}, nil)
	must(t, p.end())
	close(done)
	must(t, <-passed)
	must(t, a.objects.Close())
	closed := func(e *tcpvet.Event) bool { return e.Kind == tcpvet.EventClose && e.Role == tcpvet.Client }
	until(t, "all closes", func() bool { return len(f.all(closed))+int(missedAt(n)) >= n })
	f.end()
	others := 0
	for _, e := range f.all(closed) {
		if e.KnownBy != tcpvet.ByNothing && e.Process != p.id {
			others++
			t.Logf("%s of %+v", e.KnownBy, e.Process)
		}
	}
	if others > 0 {
		t.Errorf("%d of %d closes are told of another process than %+v", others, n, p.id)
	}
	if a.passes < n {
		t.Errorf("%d passes for %d connections: the test shows nothing", a.passes, n)
	}
}
