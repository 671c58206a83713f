package source_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// ownOnly asks for the namespace of the test's thread.
func ownOnly(t *testing.T, want tcpvet.Facts) source.Query {
	t.Helper()
	return source.Query{Want: want, Netns: source.Namespaces{Names: []string{ownNetns(t)}}}
}

// keepNetns starts a process in the namespace of the test's thread: one that
// only a thread is in cannot be found. It holds the descriptors too.
func keepNetns(t *testing.T, fds ...int) *kerneltest.Actor {
	t.Helper()
	var h holding
	return kerneltest.Start(t, "hold", &h, func(c *exec.Cmd) {
		for _, fd := range fds {
			dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			must(t, err)
			f := os.NewFile(uintptr(dup), "socket")
			t.Cleanup(func() { f.Close() })
			c.ExtraFiles = append(c.ExtraFiles, f)
		}
	})
}

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	return st.Ino
}

// population opens n ends of connections that stay, and gives their inodes.
func population(t *testing.T, n int) map[uint64]bool {
	t.Helper()
	stay := make(map[uint64]bool, n)
	fds, err := connected()
	must(t, err)
	l := fds[0]
	keep := func(fds []int, err error) {
		t.Helper()
		must(t, err)
		for _, fd := range fds {
			t.Cleanup(func() { unix.Close(fd) })
			stay[inode(t, fd)] = true
		}
	}
	keep(fds, nil)
	delete(stay, inode(t, l))
	for len(stay) < n {
		keep(connect(l))
	}
	return stay
}

// watched passes on what it is told to two observers.
type watched struct {
	tcpvet.Observer
	see func(*tcpvet.Socket)
}

func (w watched) Socket(s *tcpvet.Socket) error {
	w.see(s)
	return w.Observer.Socket(s)
}

// A socket that does not change is told once by every look of every live
// source, with its holder, whatever comes and goes beside it.
//
// /proc/net/tcp cannot quite promise that: the kernel hands it out in pages of
// 27 sockets and counts on from there, and where one goes away that stood before
// the mark in the same bucket, the next is passed over. Nothing shows it. So of
// procfs a few may be missing; none may come twice.
func TestRootStableSocketsOnce(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		kerneltest.Netns(t)
		const held = 4000 // ends
		stay := population(t, held)
		keepNetns(t)
		count, stop := churn(t, 2)
		const looks = 12
		mayMiss := 0
		if src.Name() == "procfs" {
			mayMiss = looks * held / 1000
		}
		for look := range looks {
			// One more has come and gone: the looks do not outrun the rest.
			for began, deadline := count(), time.Now().Add(20*time.Second); count() == began; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("no connections come and go beside the looks")
				}
			}
			told := make(map[uint64]int, held)
			c, err := source.Take(t.Context(), src, ownOnly(t, tcpvet.FactHolders|tcpvet.FactListeners), source.TakeOptions{
				Watch: func(o tcpvet.Observer) tcpvet.Observer {
					clear(told) // each try is a look of its own
					return watched{o, func(s *tcpvet.Socket) {
						if !stay[s.Inode] {
							return
						}
						told[s.Inode]++
						if s.State != tcpvet.Established || int(s.Holder.PID) != os.Getpid() || len(s.SharedWith) > 0 {
							t.Errorf("look %d: %v %v -> %v is held by %v and %v", look, s.State, s.Local, s.Remote, s.Holder, s.SharedWith)
						}
					}}
				},
			})
			must(t, err)
			missed, repeated := 0, 0
			for ino := range stay {
				switch n := told[ino]; {
				case n == 0:
					missed++
				case n > 1:
					repeated++
				}
			}
			mayMiss -= missed
			if repeated > 0 || mayMiss < 0 || c.Sockets < uint64(held-missed) {
				t.Errorf("look %d: of %d stable sockets %d were missed and %d repeated; %d sockets in all", look, held, missed, repeated, c.Sockets)
			}
		}
		stop()

		// The same population is large enough to be left in the middle.
		ctx, cancel := context.WithCancel(t.Context())
		l := listed{onEach: func(*tcpvet.Socket) error { cancel(); return nil }}
		if err := src.Look(ctx, ownOnly(t, 0), &l); !errors.Is(err, context.Canceled) || errors.Is(err, source.ErrBlind) || len(l.sockets) >= held || len(l.gaps) > 0 {
			t.Errorf("a look whose context ends told %d sockets and gaps %v: %v", len(l.sockets), l.gaps, err)
		}
	})
}

// A process that ends between the reading of its descriptors and the telling of
// it is told without what is gone, and is no gap.
func TestRootProcessEnds(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		kerneltest.Netns(t)
		fds, err := connected()
		for _, fd := range fds {
			defer unix.Close(fd)
		}
		must(t, err)
		keepNetns(t)
		other := keepNetns(t, fds[:2]...)
		l := listed{onNetns: func(tcpvet.NetnsID) { other.End() }}
		must(t, src.Look(t.Context(), ownOnly(t, everything), &l))
		ended := int32(other.Process.Pid)
		shares := map[uint64]int{inode(t, fds[0]): 1, inode(t, fds[1]): 1}
		if src.Name() == "bpf" {
			// It goes through descriptors twice: for listeners before a namespace is
			// told, for the rest behind that.
			shares[inode(t, fds[1])] = 0
		}
		for _, s := range l.sockets {
			n, ok := shares[s.Inode]
			if !ok {
				continue
			}
			delete(shares, s.Inode)
			if int(s.Holder.PID) != os.Getpid() || len(s.SharedWith) != n || n == 1 && s.SharedWith[0].PID != ended {
				t.Errorf("%v is held by %v and %v, not by %d and %d of %d", s.State, s.Holder, s.SharedWith, os.Getpid(), n, ended)
			}
		}
		if len(shares) > 0 {
			t.Errorf("%d of the shared sockets were not told", len(shares))
		}
		told := 0
		for p, info := range l.procs {
			if p.PID != ended {
				continue
			}
			if told++; info.Comm != "" || info.Sockets == 0 {
				t.Errorf("the process that ended: %+v", info)
			}
		}
		if told != 1 {
			t.Errorf("the process that ended was told %d times", told)
		}
		for _, g := range l.gaps {
			if g.What == "process" {
				t.Errorf("gap: %+v", g)
			}
		}
	})
}

// So it is where the kernel has counted its sockets.
func TestRootProcessEndsCounted(t *testing.T) {
	kerneltest.Netns(t)
	fds, err := connected()
	for _, fd := range fds {
		defer unix.Close(fd)
	}
	must(t, err)
	keepNetns(t)
	other := keepNetns(t, fds[:2]...)
	c, err := source.Take(t.Context(), withBPF(t), ownOnly(t, everything), source.TakeOptions{Count: func(uint64) { other.End() }})
	must(t, err)
	var ended tcpvet.Process
	for p, info := range c.Processes {
		if int(p.PID) == other.Process.Pid {
			if ended = p; info.Comm != "" || info.Sockets == 0 {
				t.Errorf("the process that ended: %+v", info)
			}
		}
	}
	shared := uint32(0)
	for _, tally := range c.Groups {
		shared += tally.Shared[ended]
	}
	if !ended.Known() || shared != 2 {
		t.Errorf("process %v ended, and shares %d sockets; want a listener and a connection", ended, shared)
	}
	for _, g := range c.Gaps {
		if g.What == "process" {
			t.Errorf("gap: %+v", g)
		}
	}
}

// A socket that two processes hold is one socket.
func TestRootSharedCountsOnce(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		kerneltest.Netns(t)
		fds, err := connected()
		for _, fd := range fds {
			defer unix.Close(fd)
		}
		must(t, err)
		other := keepNetns(t, fds[1])
		c, err := source.Take(t.Context(), src, ownOnly(t, everything), source.TakeOptions{})
		must(t, err)
		var established, shared uint64
		for g, tally := range c.Groups {
			established += uint64(tally.States[tcpvet.Established])
			for p, n := range tally.Shared {
				if int(p.PID) != other.Process.Pid || int(g.Holder.PID) != os.Getpid() {
					t.Errorf("held by %v, shared with %v", g.Holder, p)
				}
				shared += uint64(n)
			}
		}
		// Three of connected, and the listener of the process that shares.
		if established != 2 || shared != 1 || c.Sockets != 4 || c.Selected != 4 {
			t.Errorf("%d ESTAB, %d shared, %d sockets, %d selected; want 2, 1, 4, 4", established, shared, c.Sockets, c.Selected)
		}
	})
}

// What Open does not know it says.
func TestOpenUnknown(t *testing.T) {
	if _, err := source.Open("ebpf"); !errors.Is(err, source.ErrUnknown) {
		t.Error(err)
	}
}
