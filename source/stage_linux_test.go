package source_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/fold"
)

// lockForever gives the goroutine a thread that ends with it: what changes its
// namespace must run nothing else.
func lockForever() { runtime.LockOSThread() }

// connected sets lo up and opens a listener and both ends of a connection, in
// the namespace of the calling thread.
func connected() (fds []int, err error) {
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(control)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return nil, err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(control, unix.SIOCSIFFLAGS, lo); err != nil {
		return nil, fmt.Errorf("set lo up: %w", err)
	}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	fds = append(fds, l)
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fds, err
	}
	if err := unix.Listen(l, 64); err != nil {
		return fds, err
	}
	pair, err := connect(l)
	return append(fds, pair...), err
}

// connect opens a connection to a listener and gives both ends.
func connect(l int) (fds []int, err error) {
	at, err := unix.Getsockname(l)
	if err != nil {
		return nil, err
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	fds = append(fds, c)
	if err := unix.Connect(c, at); err != nil {
		return fds, err
	}
	s, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	if err != nil {
		return fds, err
	}
	return append(fds, s), nil
}

// churn opens and closes connections in the namespace of the calling thread
// until stop is called, which waits for the end. count gives how many there were.
func churn(t *testing.T, workers int) (count func() int64, stop func()) {
	t.Helper()
	ns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	var n atomic.Int64
	var quit atomic.Bool
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			lockForever()
			if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
				t.Error(err)
				return
			}
			for !quit.Load() {
				fds, err := connected()
				if err == nil {
					// The client resets: TIME-WAITs would take all ports.
					err = unix.SetsockoptLinger(fds[1], unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
				}
				for _, fd := range fds[min(1, len(fds)):] {
					unix.Close(fd)
				}
				if len(fds) > 0 {
					unix.Close(fds[0])
				}
				if err != nil {
					t.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		quit.Store(true)
		wg.Wait()
		unix.Close(ns)
	})
	t.Cleanup(stop)
	return n.Load, stop
}

// cpu is the time that this process has spent, user and system.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for a wrong argument only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure takes a Census of every namespace, as diagnose does.
func measure(src source.Source, made map[tcpvet.NetnsID]bool) (s spent, err error) {
	began, used := time.Now(), cpu()
	c, err := source.Take(context.Background(), src, source.Query{Want: everything, Netns: source.Namespaces{All: true}}, source.TakeOptions{
		Fold: fold.Options{Select: func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool { return made[s.Netns] }},
	})
	s.CPU, s.Wall = (cpu() - used).Seconds(), time.Since(began).Seconds()
	for id := range made {
		n, ok := c.Netns[id]
		if ok {
			s.Spaces++
		}
		if ok && n.Ports != nil && n.Sysctls != nil && n.Addresses != nil {
			s.Told++
		}
	}
	s.Sockets = c.Selected
	for _, g := range c.Gaps {
		if made[g.Netns] {
			s.Gaps = append(s.Gaps, fmt.Sprint(g))
		}
	}
	return s, err
}
