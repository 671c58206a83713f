package remedy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// closeDenied plays tcpvet as an ordinary user: it plans for the sockets of its own
// namespace, applies that, and tells reasons of the plan and what was told after.
func closeDenied() error {
	src, err := source.Open("netlink")
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := PlanClose(ctx, CloseOptions{Selection: Selection{Source: src}, All: true})
	if err != nil {
		return err
	}
	said := make(map[string][]string)
	for _, c := range p.Changes {
		at := c.Target.Local.String()
		said[at] = []string{string(c.Outcome) + " " + c.Reason}
	}
	// Whatever the plan says, the kernel decides.
	for i := range p.Changes {
		p.Changes[i].Outcome = tcpvet.OutcomePlanned
	}
	err = p.By.Apply(ctx, p.Changes, func(i int, o tcpvet.Outcome, why string) {
		at := p.Changes[i].Target.Local.String()
		said[at] = append(said[at], string(o)+" "+why)
	})
	return errors.Join(err, kerneltest.Say(said))
}

// Without CAP_NET_ADMIN it is said beforehand what cannot be closed and why, and
// nothing of that is touched; a process of one's own can be told to close.
func TestRootCloseDenied(t *testing.T) {
	kerneltest.Netns(t)
	const nobody = 65534
	nameOfEnd := func(fd int) string {
		name, err := unix.Getsockname(fd)
		ok(t, err)
		return endpoint(name).String()
	}
	theirs, theirPeer := waiting(t, "127.0.0.1")
	mine, minePeer := waiting(t, "127.0.0.1")
	atTheirs, atMine := nameOfEnd(theirs), nameOfEnd(mine)
	keeping(t, "trap '' PIPE; ", theirs)
	keepingAs(t, nobody, "trap '' PIPE; ", mine)
	client, server := connectedPair(t)
	atServer := nameOfEnd(server)
	ok(t, unix.Shutdown(server, unix.SHUT_RDWR))
	ok(t, unix.Shutdown(client, unix.SHUT_RDWR))
	until(t, "TIME-WAIT", func() bool { return bySS(t)["TIME-WAIT"] == 1 })

	var said map[string][]string
	kerneltest.Play(t, "close-denied", &said, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	const needs = "refused destroying sockets is not permitted; it needs CAP_NET_ADMIN over their network namespace: operation not permitted"
	for at, want := range map[string]string{
		atTheirs: needs + "; shutting it down in order: no process that can be seen holds it; needs root",
		atServer: needs,
	} {
		if got := said[at]; !slices.Equal(got, []string{want, want}) {
			t.Errorf("%s: %q, want twice %q", at, got, want)
		}
	}
	for _, fd := range []int{theirPeer, minePeer} {
		ok(t, unix.SetNonblock(fd, true))
	}
	if n, err := unix.Read(theirPeer, make([]byte, 1)); err != unix.EAGAIN {
		t.Errorf("the peer of what was refused reads %d, %v", n, err)
	}
	if n := bySS(t); n["TIME-WAIT"] < 1 {
		t.Errorf("left: %v", n)
	}
	// Yama may keep even one's own processes from being asked.
	scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if got := said[atMine]; err != nil || strings.TrimSpace(string(scope)) == "0" {
		if len(got) != 2 || got[0] != " " || got[1] != "applied "+shutDown {
			t.Errorf("one's own: %q", got)
		}
		if n, err := unix.Read(minePeer, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the peer of one's own reads %d, %v", n, err)
		}
	}
}
