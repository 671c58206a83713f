package trace

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// leastCalls is what a process with few capabilities tells of a trace with calls.
type leastCalls struct {
	Missing []tcpvet.Gap
	Errnos  []int // of the failures that it saw
	IDs     bool  // the tracepoints can be had
}

// callsLeast traces itself, which is refused once and once has no way.
func callsLeast() error {
	var least leastCalls
	_, err := kernel.TracepointIDs("syscalls", "sys_exit_connect")
	least.IDs = err == nil
	tr, err := Open(Options{Kinds: Fails, Calls: true})
	if err != nil {
		return err
	}
	defer tr.Close()
	least.Missing = tr.Missing()
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		return err
	}
	for _, to := range []unix.Sockaddr{&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}, lost()} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, to); err == nil {
			return fmt.Errorf("connect() succeeded")
		}
		unix.Close(fd)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	err = tr.Run(ended, func(e *tcpvet.Event) error {
		if e.Netns == tcpvet.NetnsID(st.Ino) {
			least.Errnos = append(least.Errnos, e.Errno)
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		return err
	}
	return kerneltest.Say(least)
}

// Where the calls cannot be seen that is told by name, with what it needs, and what
// changes a socket's state is told all the same.
func TestRootCallsLeastPrivilege(t *testing.T) { kerneltest.Undisturbed(t, testCallsLeastPrivilege) }

func testCallsLeastPrivilege(t testing.TB) {
	need(t)
	kerneltest.Netns(t)
	for _, caps := range [][]uintptr{{unix.CAP_BPF, unix.CAP_PERFMON}, {unix.CAP_SYS_ADMIN}, {unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH}} {
		var least leastCalls
		kerneltest.Play(t, "callsLeast", &least, func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: caps}
		})
		if len(caps) == 2 && caps[0] == unix.CAP_SYS_ADMIN && !least.IDs {
			t.Errorf("with capabilities %v: tracepoints cannot be read", caps)
		}
		var gap *tcpvet.Gap
		for i := range least.Missing {
			if strings.Contains(least.Missing[i].What, "calls") {
				gap = &least.Missing[i]
			}
		}
		want := "[111 101]"
		if !least.IDs {
			want = "[111]"
		}
		if got := fmt.Sprint(least.Errnos); got != want {
			t.Errorf("with capabilities %v: told errnos %s, want %s", caps, got, want)
		}
		if (gap == nil) != least.IDs || gap != nil && (!strings.Contains(gap.Needs, "tracefs") || !strings.Contains(gap.Needs, "CAP_SYS_ADMIN")) {
			t.Errorf("with capabilities %v: missing %+v, tracepoints can be had: %v", caps, least.Missing, least.IDs)
		}
	}
}
