package lab

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// runVariable is in the environment of all processes of a run, to tell them from
// those of others.
const runVariable = "TCPVET_LAB_RUN="

// endings are the ways in which a run ends.
var endings = []struct {
	name, play string
	end        func(cmd *exec.Cmd, r report) error // nil: by itself
	status     int                                 // -1: killed
}{
	{"success", "succeed", nil, 0},
	{"failure", "fail", nil, statusFailed},
	{"interrupt of the parent", "hang", func(cmd *exec.Cmd, _ report) error {
		return cmd.Process.Signal(syscall.SIGINT)
	}, statusStopped},
	{"interrupt of the group, as by Ctrl-C", "hang", func(cmd *exec.Cmd, _ report) error {
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	}, statusStopped},
	{"termination of the parent", "hang", func(cmd *exec.Cmd, _ report) error {
		return cmd.Process.Signal(syscall.SIGTERM)
	}, statusStopped},
	{"death of the parent", "hang", func(cmd *exec.Cmd, _ report) error {
		return cmd.Process.Kill()
	}, -1},
	{"death of the stage", "hang", func(_ *exec.Cmd, r report) error {
		return syscall.Kill(r.Stage, syscall.SIGKILL)
	}, 128 + int(syscall.SIGKILL)},
	{"death of an act", "hang", func(_ *exec.Cmd, r report) error {
		return syscall.Kill(r.Hanging, syscall.SIGKILL)
	}, statusFailed},
}

func TestNothingOutlivesARun(t *testing.T) {
	if os.Geteuid() != 0 {
		kerneltest.UserNS(t)
	}
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			playToTheEnd(t, run(e.play), e.end, e.status, nil)
		})
	}
}

// TestRootNamespaceEndsWithItsRun also asks the kernel whether the namespace
// is gone: an ID that another namespace has for it goes with it.
func TestRootNamespaceEndsWithItsRun(t *testing.T) {
	kerneltest.Root(t)
	for _, user := range []struct {
		name string
		attr func(*syscall.SysProcAttr)
	}{
		{"root", func(*syscall.SysProcAttr) {}},
		{"nobody", asNobody},
	} {
		for _, e := range endings {
			t.Run(user.name+"/"+e.name, func(t *testing.T) {
				kerneltest.Netns(t)
				cmd := run(e.play)
				user.attr(cmd.SysProcAttr)
				playToTheEnd(t, cmd, e.end, e.status, func(r report) {
					nameNamespace(t, r.Stage, 1)
					if r.Host != 0 {
						nameNamespace(t, r.Host, 2)
					}
				})
				// The kernel ends namespaces one lot after another, those of
				// other tests too.
				for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
					n := namedNamespaces(t)
					if n == 0 {
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("%d namespace of the run still exists a minute after its end", n)
					}
				}
			})
		}
	}
}

// asNobody makes a command run as the user nobody of Debian, with no rights.
func asNobody(attr *syscall.SysProcAttr) {
	attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
}

// playToTheEnd runs cmd, calls meet once its act is on the stage, ends it, and
// checks how it ended and that no process is left of it.
func playToTheEnd(t *testing.T, cmd *exec.Cmd, end func(*exec.Cmd, report) error, status int, meet func(report)) {
	t.Helper()
	mark := runVariable + strconv.Itoa(os.Getpid()) + t.Name()
	cmd.Env = append(cmd.Env, mark)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// One that ends by itself must not end before it was met.
	cmd.Env = append(cmd.Env, holdVariable+"=1")
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A run that does not end is ended, group and all.
	defer time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }).Stop()
	var r report
	if err := json.NewDecoder(stdout).Decode(&r); err != nil {
		_ = cmd.Wait()
		t.Fatalf("the run told nothing: %v: %s", err, stderr.String())
	}
	pids := []int{r.Stage, r.Act}
	if r.Host != 0 {
		pids = append(pids, r.Host)
	}
	for _, pid := range pids {
		if !marked(pid, mark) {
			t.Errorf("process %d of the run is not found by its mark: the search for leftovers would miss it", pid)
		}
	}
	if meet != nil {
		meet(r)
	}
	hold.Close()
	for r.Hanging != 0 {
		comm, err := os.ReadFile("/proc/" + strconv.Itoa(r.Hanging) + "/comm")
		if err != nil {
			t.Fatalf("the process that was to hang: %v", err)
		}
		if string(comm) == hungComm+"\n" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if end != nil {
		if err := end(cmd, r); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d: %s", got, status, stderr.String())
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := processesWith(t, mark)
		if len(left) == 0 {
			noScratch(t)
			return
		}
		if time.Now().After(deadline) {
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL) // this test leaves nothing either
			}
			t.Fatalf("processes left behind: %v", left)
		}
	}
}

func marked(pid int, mark string) bool {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && bytes.Contains(environ, []byte(mark+"\x00"))
}

// processesWith lists the processes that have the mark in their environment.
func processesWith(t *testing.T, mark string) (pids []int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(dir, "/proc/"))
		if err == nil && marked(pid, mark) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// nameNamespace gives the network namespace of a process an ID in the test's.
// That holds no reference to it.
func nameNamespace(t *testing.T, pid, id int) {
	t.Helper()
	if err := netlink.SetNetNsIdByPid(pid, id); err != nil {
		t.Fatalf("name the namespace of process %d: %v", pid, err)
	}
	if n := namedNamespaces(t); n != id {
		t.Fatalf("%d namespaces are named, want %d", n, id)
	}
}

// namedNamespaces counts the namespaces that have an ID in the test's:
// RTM_GETNSID, rtnetlink(7).
func namedNamespaces(t *testing.T) int {
	t.Helper()
	req := nl.NewNetlinkRequest(unix.RTM_GETNSID, unix.NLM_F_DUMP)
	req.AddData(nl.NewRtGenMsg())
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNSID)
	if err != nil {
		t.Fatalf("list the IDs of namespaces: %v", err)
	}
	return len(msgs)
}
