package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// Host is a machine of the stage: a network namespace, with the processes that
// run in it.
//
// It keeps a thread in the namespace, on which its settings are changed and its
// processes started: they inherit the namespace of that thread, and are killed
// when it ends. One goroutine at a time may use it.
type Host struct {
	Name string
	PID  int // of a process whose main thread is in the namespace, for nsenter(1)

	stage *Stage
	tasks chan func()
	ended sync.WaitGroup

	processes  []*Process
	interfaces int // made so far, beside lo
}

// newHost gives a host of the namespace that this process is in. Its thread is
// not the main one, so that it may move to another namespace: /proc/self shows
// those of the main one.
func newHost(s *Stage, name string) *Host {
	h := &Host{Name: name, stage: s, tasks: make(chan func())}
	h.ended.Go(func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			h.serve()
			return
		}
		locked := make(chan struct{})
		h.ended.Go(func() {
			runtime.LockOSThread()
			close(locked)
			h.serve()
		})
		<-locked
		runtime.UnlockOSThread()
	})
	return h
}

// serve runs tasks on the thread that it is locked to, which ends with it.
func (h *Host) serve() {
	for task := range h.tasks {
		task()
	}
}

// Do runs f on the host's thread: sockets that it opens belong to the host, and
// /proc/thread-self shows the host's namespace. Goroutines that it starts are
// elsewhere.
func (h *Host) Do(f func() error) error {
	result := make(chan error)
	h.tasks <- func() { result <- f() }
	return <-result
}

// killAll ends the host's processes.
func (h *Host) killAll() {
	for _, p := range h.processes {
		p.kill()
	}
}

// close ends the host's thread, and with it the namespace.
func (h *Host) close() {
	h.killAll()
	close(h.tasks)
	h.ended.Wait()
}

// Netns gives the number of the host's network namespace.
func (h *Host) Netns() (id tcpvet.NetnsID, err error) {
	err = h.Do(func() error {
		var st unix.Stat_t
		if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
			return fmt.Errorf("read the number of the network namespace of %s: %w", h.Name, err)
		}
		id = tcpvet.NetnsID(st.Ino)
		return nil
	})
	return id, err
}

// Sysctl reads a setting of the host by its dotted name. The error is
// fs.ErrNotExist where the kernel has none of that name. Fields of the value
// are separated by single spaces.
func (h *Host) Sysctl(name string) (value string, err error) {
	err = h.Do(func() error {
		value, err = readSysctl(name)
		return err
	})
	return strings.Join(strings.Fields(value), " "), err
}

// SetSysctl changes a setting of the host.
func (h *Host) SetSysctl(name, value string) error {
	return h.Do(func() error {
		if err := os.WriteFile(sysctlPath(name), []byte(value), 0); err != nil {
			return fmt.Errorf("set %s to %q: %w", name, value, explainDenied(err, readSysctl))
		}
		return nil
	})
}

// SetPortRange sets the ports that connect() chooses from, both inclusive.
func (h *Host) SetPortRange(low, high uint16) error {
	return h.SetSysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", low, high))
}

// Listening waits until something listens on the endpoint, or on its port for
// any address.
func (h *Host) Listening(ctx context.Context, on netip.AddrPort) error {
	return Until(ctx, fmt.Sprintf("something to listen on %s of %s", on, h.Name), func() (bool, error) {
		sockets, err := h.stage.Sockets(ctx, h)
		if err != nil {
			return false, err
		}
		for _, s := range sockets {
			at := tcpvet.Unmap(s.Local)
			if s.State == tcpvet.Listen && at.Port() == on.Port() && (at.Addr() == on.Addr() || at.Addr().IsUnspecified()) {
				return true, nil
			}
		}
		for _, p := range h.processes {
			if p.program && p.hasEnded() {
				return false, fmt.Errorf("%s: %w", p.Name, p.death())
			}
		}
		return false, nil
	})
}

func raiseLoopback() error {
	return withLoopback(func(fd int, lo *unix.Ifreq) error {
		lo.SetUint16(lo.Uint16() | unix.IFF_UP)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	})
}

func loopbackUp() (up bool, err error) {
	err = withLoopback(func(_ int, lo *unix.Ifreq) error {
		up = lo.Uint16()&unix.IFF_UP != 0
		return nil
	})
	return up, err
}

// withLoopback calls f with a socket to send requests by and the flags of the
// loopback interface: netdevice(7).
func withLoopback(f func(fd int, lo *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	return f(fd, lo)
}
