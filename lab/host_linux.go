package lab

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Host is a machine of the stage: a network namespace, with the processes that
// run in it.
//
// It keeps a thread in the namespace, on which its settings are changed and its
// processes started: they inherit the namespace of that thread, and are killed
// when it ends. One goroutine at a time may use it.
type Host struct {
	tasks chan func()
	ended sync.WaitGroup

	processes []*Process
}

// newHost gives the host of the namespace that this process is in.
func newHost() *Host {
	h := &Host{tasks: make(chan func())}
	h.ended.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for task := range h.tasks {
			task()
		}
	})
	return h
}

// do runs f on the host's thread.
func (h *Host) do(f func() error) error {
	result := make(chan error)
	h.tasks <- func() { result <- f() }
	return <-result
}

// close ends the host's processes, then its thread.
func (h *Host) close() {
	for _, p := range h.processes {
		p.kill()
	}
	close(h.tasks)
	h.ended.Wait()
}

// Sysctl reads a setting of the host by its dotted name. The error is
// fs.ErrNotExist where the kernel has none of that name. Fields of the value
// are separated by single spaces.
func (h *Host) Sysctl(name string) (value string, err error) {
	err = h.do(func() error {
		value, err = readSysctl(name)
		return err
	})
	return strings.Join(strings.Fields(value), " "), err
}

// SetSysctl changes a setting of the host.
func (h *Host) SetSysctl(name, value string) error {
	return h.do(func() error {
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
