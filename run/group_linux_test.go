package run_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/run"
)

func pids(members []run.Member) (all []int) {
	for _, m := range members {
		all = append(all, m.PID)
	}
	slices.Sort(all)
	return all
}

// Who else lives in a group is listed; descendants are the process's own.
func TestRootOthers(t *testing.T) {
	s := newStage(t)
	_, say, _ := s.play(order{Args: []string{"sh", "-c", "exec >/dev/null 2>&1; sleep 600 & sh -c 'sleep 600 & wait' & exit 0"}, Timers: timers})
	r := say.Result
	t.Cleanup(func() {
		// Each by its PID, and only while it is in the group that the run made.
		left, _ := os.ReadFile(r.Group + "/cgroup.procs")
		for _, field := range strings.Fields(string(left)) {
			_ = unix.Kill(atoi(t, field), unix.SIGKILL)
		}
		eventually(t, "the group is empty", func() bool {
			b, _ := os.ReadFile(r.Group + "/cgroup.events")
			return strings.Contains(string(b), "populated 0")
		})
	})
	eventually(t, "a shell and two of sleep are left", func() bool {
		members, err := os.ReadFile(r.Group + "/cgroup.procs")
		must(t, err)
		names := map[string]int{}
		for _, pid := range strings.Fields(string(members)) {
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			names[string(comm)]++
		}
		return names["sh\n"] == 1 && names["sleep\n"] == 2
	})
	procs, err := os.ReadFile(r.Group + "/cgroup.procs")
	must(t, err)
	var all []int
	shell := 0
	for _, field := range strings.Fields(string(procs)) {
		pid := atoi(t, field)
		all = append(all, pid)
		if comm, _ := os.ReadFile("/proc/" + field + "/comm"); string(comm) == "sh\n" {
			shell = pid
		}
	}
	for _, m := range all {
		g, err := run.OfProcess(m)
		must(t, err)
		want := slices.DeleteFunc(slices.Clone(all), func(pid int) bool { return pid == m })
		if m == shell { // its child is its own
			if len(g.Others) != 1 || g.Others[0].Comm != "sleep" {
				t.Errorf("others of the shell: %v", g.Others)
			}
			continue
		}
		slices.Sort(want)
		if !slices.Equal(pids(g.Others), want) {
			t.Errorf("others of %d: %v, want %v", m, g.Others, want)
		}
	}
}

// A group is named by its folder or by its path in the hierarchy; the first group of
// all holds others.
func TestRootOfPath(t *testing.T) {
	s := newStage(t)
	mount, err := kernel.CgroupV2Mount()
	must(t, err)
	below, _ := strings.CutPrefix(s.group, mount)
	for _, path := range []string{s.group, below, strings.TrimPrefix(below, "/"), s.group + "/"} {
		if g, err := run.OfPath(path); err != nil || g.Path != s.group || g.Others != nil {
			t.Errorf("%s: %+v, %v", path, g, err)
		}
	}
	g, err := run.OfPath(mount)
	if err != nil || !slices.Contains(pids(g.Others), os.Getpid()) {
		t.Errorf("the first group: %v, want this process among %d others", err, len(g.Others))
	}
	for path, want := range map[string]string{"/no/such/group": "no such file", "/tmp": "no folder of a cgroup 2 hierarchy"} {
		if _, err := run.OfPath(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestRootOfProcessGone(t *testing.T) {
	s := newStage(t)
	v := s.service("api")
	v.end()
	if _, err := run.OfProcess(v.Process.Pid); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("a process that has ended: %v", err)
	}
}

// A container is found as everywhere else, by what its cgroup is called.
func TestRootOfContainer(t *testing.T) {
	s := newStage(t)
	const id = "7f9a1c20d35e4b6879a0b1c2d3e4f5061728394a5b6c7d8e9f00112233445566"
	v := s.service("docker-" + id + ".scope")
	for _, name := range []string{id, id[:12]} {
		g, err := run.OfContainer(t.Context(), name)
		if err != nil || filepath.Base(g.Path) != filepath.Base(v.group) || len(g.Others) != 0 {
			t.Errorf("%s: %+v, %v, want %s", name, g, err, v.group)
		}
	}
	if _, err := run.OfContainer(t.Context(), "no-such-container"); err == nil || !strings.Contains(err.Error(), "count --by container") {
		t.Errorf("no such container: %v", err)
	}
	if _, err := run.OfContainer(t.Context(), id[:3]); err == nil {
		t.Error("three letters of an ID are enough")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run.OfContainer(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// What is missing has its name.
func TestRootProbe(t *testing.T) {
	s := newStage(t)
	if err := run.Probe(); err != nil {
		t.Fatalf("root: %v", err)
	}
	// This thread ends with the test.
	runtime.LockOSThread()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	must(t, unix.Capget(&hdr, &caps[0]))
	drop := func(list ...uint) {
		for _, n := range list {
			caps[n/32].Effective &^= 1 << (n % 32)
			caps[n/32].Permitted &^= 1 << (n % 32)
		}
		must(t, unix.Capset(&hdr, &caps[0]))
	}
	drop(unix.CAP_SYS_ADMIN, unix.CAP_PERFMON)
	g, err := run.OfPath(s.group)
	must(t, err)
	a, err := g.Attach(run.Options{Timers: timers})
	if err != nil {
		t.Fatalf("with CAP_BPF and CAP_NET_ADMIN alone: %v", err)
	}
	if sum, err := a.Summary(); err != nil || sum.Leaked != nil {
		t.Errorf("without CAP_PERFMON what leaked cannot be told: %+v, %v", sum, err)
	}
	must(t, a.Close())
	drop(unix.CAP_NET_ADMIN)
	for _, want := range []string{"CAP_NET_ADMIN", "CAP_BPF and CAP_NET_ADMIN"} {
		err := run.Probe()
		missing, ok := errors.AsType[*run.MissingError](err)
		if !ok || strings.Join(missing.Needs, " and ") != want {
			t.Errorf("got %v, want %s missing", err, want)
		}
		if _, err := g.Attach(run.Options{Timers: timers}); !errors.As(err, &missing) {
			t.Errorf("attach: %v", err)
		}
		drop(unix.CAP_BPF)
	}
}
