package source_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/vet"
)

// nobody is the user that Debian gives what must own nothing.
const nobody = 65534

// sight is what an ordinary user saw.
type sight struct {
	Own, Others tcpvet.Process // holders of its own listener, and of root's
	OwnPID      int
	Limit       uint64
	Gaps        []tcpvet.Gap
	Spaces      int
	Coverage    string
}

// lookUnprivileged listens and looks, at its own namespace and at all.
func lookUnprivileged() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	own := uint16(l.Addr().(*net.TCPAddr).Port)
	answers := make(map[string]sight)
	for _, kind := range []string{"netlink", "procfs"} {
		for name, spaces := range map[string]source.Namespaces{"self": {}, "all": {All: true}} {
			src, err := source.Open(kind)
			if err != nil {
				return err
			}
			s := sight{OwnPID: os.Getpid()}
			c, err := source.Take(context.Background(), src, source.Query{Want: everything, Netns: spaces}, source.TakeOptions{})
			if err != nil {
				return err
			}
			for at, q := range c.Listeners {
				if at.Local.Port() == own {
					s.Own = q.Holder
				} else {
					s.Others = q.Holder
				}
			}
			s.Limit = c.Processes[s.Own].DescriptorLimit
			s.Gaps, s.Spaces = c.Gaps, len(c.Netns)
			r := vet.Run(tcpvet.Case{Now: c}, []*vet.Rule{{Name: "any", Judge: func(tcpvet.Case) []tcpvet.Finding {
				return []tcpvet.Finding{{Rule: "any", Subject: tcpvet.Subject{Netns: c.Self}}}
			}}})
			s.Coverage = r.Findings[0].Coverage.String()
			answers[kind+" "+name] = s
		}
	}
	return kerneltest.Say(answers)
}

// An ordinary user sees every socket of the namespace and the holders of its
// own, and is told what it did not see and what would help.
func TestRootUnprivileged(t *testing.T) {
	kerneltest.Netns(t)
	fds, err := connected()
	for _, fd := range fds {
		defer unix.Close(fd)
	}
	must(t, err)
	var answers map[string]sight
	kerneltest.Play(t, "look", &answers, func(c *exec.Cmd) {
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	if len(answers) != 4 {
		t.Fatalf("%d looks", len(answers))
	}
	for name, s := range answers {
		if int(s.Own.PID) != s.OwnPID || s.Limit == 0 {
			t.Errorf("%s: its own listener is held by %v (limit %d), not by %d", name, s.Own, s.Limit, s.OwnPID)
		}
		if s.Others != tcpvet.Unseen {
			t.Errorf("%s: root's listener is held by %v, and may not be seen", name, s.Others)
		}
		if s.Coverage != tcpvet.OwnProcesses.String() {
			t.Errorf("%s: findings rest on %s", name, s.Coverage)
		}
		if s.Spaces != 1 {
			t.Errorf("%s: %d namespaces", name, s.Spaces)
		}
		gap := func(what string) bool {
			return slices.ContainsFunc(s.Gaps, func(g tcpvet.Gap) bool { return g.What == what && g.Needs == "root" && g.Count > 0 && g.Err != "" })
		}
		all := name == "netlink all" || name == "procfs all"
		if !gap("holders") || gap("namespaces") != all {
			t.Errorf("%s: gaps %+v", name, s.Gaps)
		}
	}
}
