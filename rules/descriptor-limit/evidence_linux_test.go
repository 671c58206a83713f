package descriptorlimit_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	descriptorlimit "github.com/tcpvet/tcpvet/rules/descriptor-limit"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

// descriptors counts those of a process, and the sockets among them. The test may
// have been started with some that its children inherit.
func descriptors(pid int) (open, sockets uint64) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		open++
		if to, _ := os.Readlink(dir + e.Name()); strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	return open, sockets
}

// TestEvidence runs each line of evidence against a process that was given 90
// sockets beside its three files.
func TestEvidence(t *testing.T) {
	cmd := exec.Command("sleep", "3600")
	for range 90 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "socket")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	pid := cmd.Process.Pid
	// It opens its libraries first, and sleeps with what it was given.
	var open, sockets uint64
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if open, sockets = descriptors(pid); err == nil && strings.Contains(string(stat), "(sleep) S ") && sockets >= 90 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors and %d sockets after a minute, want 90 sockets in a process that sleeps", open, sockets)
		}
	}
	limit := open + 4
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
		t.Fatal(err)
	}
	p := tcpvet.Process{PID: int32(pid), Start: 1}
	c := tcpvet.Case{Now: tcpvet.Census{
		Facts:     tcpvet.FactLimits | tcpvet.FactHolders,
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{p: {Comm: "sleep", Descriptors: open, Sockets: sockets, DescriptorLimit: limit}},
		Groups: map[tcpvet.Group]*tcpvet.Tally{
			{Holder: p, Role: tcpvet.Client, Service: netip.MustParseAddrPort("10.0.3.7:80")}: {},
		},
	}}
	findings := ruletest.Judge(t, descriptorlimit.Rule, c)
	if len(findings) != 1 || len(findings[0].Evidence) != 3 {
		t.Fatalf("%d findings, want one with three lines of evidence", len(findings))
	}
	for _, e := range findings[0].Evidence {
		out, err := exec.Command("/bin/sh", "-c", e.Check).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != e.Got {
			t.Errorf("%s\n%s\nprints %s (%v), the finding says %s", e.What, e.Check, got, err, e.Got)
		}
	}
}
