package owner_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/sockdiag"
)

// closing is what a process tells of itself and of the sockets that it closes first.
type closing struct {
	PID     int32
	Start   uint64 // by its /proc/self/stat
	Comm    string
	Cookies []uint64 // SO_COOKIE
}

func (c *closing) process() tcpvet.Process { return tcpvet.Process{PID: c.PID, Start: c.Start} }

// myself reads it from /proc.
func myself() (c closing, err error) {
	if c.Start, err = startOf(os.Getpid()); err != nil {
		return c, err
	}
	comm, err := os.ReadFile("/proc/self/comm")
	c.PID, c.Comm = int32(os.Getpid()), string(bytes.TrimSuffix(comm, []byte{'\n'}))
	return c, err
}

// connection is both ends of one, by descriptor.
type connection struct{ listener, client, server int }

// connect opens one over lo, of that family.
func connect(family int) (c connection, err error) { return connectBy(family, unix.IPPROTO_TCP) }

func connectBy(family, protocol int) (c connection, err error) {
	if c.listener, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol); err != nil {
		return c, err
	}
	var at unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if family == unix.AF_INET6 {
		at = &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	}
	if err := unix.Bind(c.listener, at); err != nil {
		return c, err
	}
	if err := unix.Listen(c.listener, 1); err != nil {
		return c, err
	}
	if at, err = unix.Getsockname(c.listener); err != nil {
		return c, err
	}
	if c.client, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol); err != nil {
		return c, err
	}
	if err := unix.Connect(c.client, at); err != nil {
		return c, err
	}
	c.server, _, err = unix.Accept4(c.listener, unix.SOCK_CLOEXEC)
	return c, err
}

func cookie(fd int) (uint64, error) {
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
}

// end closes first, then last, and gives the cookie of first.
func end(first, last int) (uint64, error) {
	number, err := cookie(first)
	if err != nil {
		return 0, err
	}
	if err := unix.Close(first); err != nil {
		return 0, err
	}
	return number, unix.Close(last)
}

// resting gives the cookies of what is in TIME-WAIT in the namespace of the calling
// thread, by sock_diag.
func resting(t testing.TB) map[uint64]bool {
	t.Helper()
	c, err := sockdiag.Dial()
	must(t, err)
	defer c.Close()
	found := make(map[uint64]bool)
	_, err = c.Dump(context.Background(), sockdiag.Request{States: tcpvet.SetOf(tcpvet.TimeWait)}, func(s *tcpvet.Socket) error {
		found[s.Cookie] = true
		return nil
	})
	must(t, err)
	return found
}

// rest waits until all of them are in TIME-WAIT.
func rest(t testing.TB, cookies []uint64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		now, missing := resting(t), 0
		for _, c := range cookies {
			if !now[c] {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d sockets are not in TIME-WAIT", missing, len(cookies))
		}
	}
}

// closeFirst closes both ends of a connection, of either family, the client first and
// the server first, and tells of the ends that were first.
func closeFirst() error {
	c, err := myself()
	if err != nil {
		return err
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		for _, server := range []bool{false, true} {
			ends, err := connect(family)
			if err != nil {
				return err
			}
			first, last := ends.client, ends.server
			if server {
				first, last = last, first
			}
			number, err := end(first, last)
			if err != nil {
				return fmt.Errorf("close: %w", err)
			}
			c.Cookies = append(c.Cookies, number)
			unix.Close(ends.listener)
		}
	}
	if err := kerneltest.Say(c); err != nil {
		return err
	}
	kerneltest.UntilEnd()
	return nil
}

// startOf reads field 22 of /proc/PID/stat.
func startOf(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// Behind the name in parentheses (proc_pid_stat(5)).
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// given names the variable by which a part is told of a cookie.
const given = "TCPVET_TEST_COOKIE"

func tell(number uint64) string { return fmt.Sprintf("%s=%d", given, number) }

// outside gives what the test told of.
func outside() []uint64 {
	number, err := strconv.ParseUint(os.Getenv(given), 10, 64)
	if err != nil {
		return nil
	}
	return []uint64{number}
}
