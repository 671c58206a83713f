package bpfiter_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// allowed is what a process with few capabilities tells.
type allowed struct {
	Needs  []string
	Err    string
	States [tcpvet.NumStates]uint32 // of the group of the test's clients
}

// least counts, with what capabilities it was given.
func least() error {
	var a allowed
	err := func() error {
		if err := bpfiter.Probe(); err != nil {
			return err
		}
		c, err := bpfiter.NewCounter(bpfiter.Options{Info: true})
		if err != nil {
			return err
		}
		defer c.Close()
		id, err := netns.Self()
		if err != nil {
			return err
		}
		if err := c.Space(id, bpfiter.Space{}); err != nil {
			return err
		}
		none := func(*tcpvet.Socket) error { return nil }
		if _, err := c.Held(context.Background(), none); err != nil {
			return err
		}
		if _, err := c.Rest(context.Background(), none); err != nil {
			return err
		}
		return c.Groups(func(g tcpvet.Group, t *tcpvet.Tally) error {
			if g.Service.Port() == leastPort && g.Role == tcpvet.Client && g.Holder.PID == int32(os.Getppid()) {
				a.States = t.States
			}
			return nil
		})
	}()
	if err != nil {
		a.Err = err.Error()
	}
	if m, ok := errors.AsType[*bpfiter.MissingError](err); ok {
		a.Needs = m.Needs
	}
	return kerneltest.Say(a)
}

const leastPort = 7001

// CAP_BPF and CAP_PERFMON are enough to count what root holds; where one is missing
// its name is told.
func TestRootLeastPrivilege(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	l, at := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), leastPort), 8)
	for i := range 5 {
		_, s := pair(t, l, at)
		if i < 3 {
			must(t, unix.Shutdown(s, unix.SHUT_WR))
		}
	}
	var full [tcpvet.NumStates]uint32
	full[tcpvet.Established], full[tcpvet.CloseWait] = 2, 3
	for _, test := range []struct {
		caps  []uintptr
		needs []string
	}{
		{[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON}, nil},
		{[]uintptr{unix.CAP_SYS_ADMIN}, nil},
		{[]uintptr{unix.CAP_BPF}, []string{"CAP_PERFMON"}},
		{[]uintptr{unix.CAP_PERFMON, unix.CAP_NET_ADMIN}, []string{"CAP_BPF"}},
		{nil, []string{"CAP_BPF", "CAP_PERFMON"}},
	} {
		var a allowed
		kerneltest.Play(t, "least", &a, func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: test.caps}
		})
		if fmt.Sprint(a.Needs) != fmt.Sprint(test.needs) {
			t.Errorf("with capabilities %v: needs %q (%s), want %q", test.caps, a.Needs, a.Err, test.needs)
		}
		if test.needs == nil && (a.Err != "" || a.States != full) {
			t.Errorf("with capabilities %v: %v, %s; want 2 ESTAB and 3 CLOSE-WAIT of the test", test.caps, a.States, a.Err)
		}
	}
}
