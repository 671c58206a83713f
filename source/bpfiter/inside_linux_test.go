package bpfiter_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// view is what a process in namespaces of its own tells.
type view struct {
	PID       int
	Start     uint64 // by its /proc, 0 where that is of other namespaces
	Holders   []tcpvet.Process
	Processes int
	Err       string
}

// inside looks at its own sockets.
func inside() error {
	var v view
	err := func() error {
		_, inodes, err := ends()
		if err != nil {
			return err
		}
		v.PID = os.Getpid()
		if v.Start, err = startOf(os.Getpid()); err != nil {
			return err
		}
		s, err := bpfiter.NewStream()
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.Held(context.Background(), 0, func(s *tcpvet.Socket) error {
			for _, inode := range inodes {
				if s.Inode == inode {
					v.Holders = append(v.Holders, s.Holder)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return s.Processes(func(tcpvet.Process, bpfiter.Process) error { v.Processes++; return nil })
	}()
	if err != nil {
		v.Err = err.Error()
	}
	return kerneltest.Say(v)
}

// Seen from inside of a PID namespace, PIDs are those of that one, and what is
// outside does not show; from inside of a time namespace, a process began when
// /proc says so there.
func TestRootInsideNamespaces(t *testing.T) {
	need(t)
	unshare := kerneltest.Tool(t, "unshare")
	kerneltest.Netns(t)
	for _, test := range []struct {
		name  string
		flags []string
		first bool
	}{
		{"PID", []string{"--pid", "--fork", "--mount-proc"}, true},
		{"time", []string{"--time", "--boottime", "100000"}, false},
		{"both", []string{"--pid", "--fork", "--mount-proc", "--time", "--boottime", "5000"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var v view
			kerneltest.Play(t, "inside", &v, func(cmd *exec.Cmd) {
				self, err := os.Executable()
				must(t, err)
				cmd.Path, cmd.Args = unshare, append(append([]string{"unshare"}, test.flags...), self)
				cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
			})
			if v.Err != "" {
				t.Fatal(v.Err)
			}
			if test.first && v.PID != 1 {
				t.Errorf("the process is %d there, not 1", v.PID)
			}
			if test.first && v.Processes != 1 {
				t.Errorf("%d processes show, want its own", v.Processes)
			}
			if len(v.Holders) != 3 {
				t.Errorf("%d of its 3 sockets were told", len(v.Holders))
			}
			for _, h := range v.Holders {
				if want := (tcpvet.Process{PID: int32(v.PID), Start: v.Start}); h != want {
					t.Errorf("held by %v, want %v", h, want)
				}
			}
		})
	}
}
