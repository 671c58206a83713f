package scenarios

import (
	"bufio"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// demoOrder plays Demo with so little patience as is enough.
func demoOrder(ports int) testOrder {
	return testOrder{Scenario: Demo.Name, Ports: ports, Patience: 50 * time.Millisecond}
}

// prevents skips a test where tcpvet run cannot do anything.
func prevents(t *testing.T) {
	t.Helper()
	kerneltest.Root(t)
	for _, probe := range []func() error{kernel.CgroupV2, kernel.BPFCgroupLinks, kernel.BPFMaps} {
		kerneltest.Need(t, probe)
	}
}

// What a demo shows follows from how many ports there are: each connection takes one
// until it is closed, and what fix closes takes none.
func TestRootDemo(t *testing.T) {
	prevents(t)
	const ports = 20
	order := demoOrder(ports)
	order.SS = kerneltest.Tool(t, "ss")
	p := play(t, command(t, order))
	for _, m := range p.Outcome.Mismatches {
		t.Log(m)
		if strings.Contains(m, "step fix") || strings.Contains(m, "step goes-on") || strings.Contains(m, "step run") {
			t.Error(m)
		}
	}
	checkCured(t, p, ports)
	const more = ports + widening // the range that run finds
	for number, want := range map[string]float64{
		"ports_count": more, "alone_count": more, "errno": 99, "kept_count": more * 13 / 10, "descriptors_count": more * 13 / 10,
		"fin_timeout_before_seconds": 60, "fin_timeout_seconds": 1,
	} {
		if got, ok := find(t, p, "run").Number(number); !ok || got != want {
			t.Errorf("step run: %s is %v (%v), want %v", number, got, ok, want)
		}
	}
	run := find(t, p, "run")
	asked, _ := run.Number("asked_per_s")
	if math.Abs(asked-more/4.0) > 0.1 {
		t.Errorf("%v/s were asked, want a quarter of %d ports", asked, more)
	}
	for _, of := range []string{"alone_per_s", "kept_per_s"} {
		if made, ok := run.Number(of); !ok || made > asked {
			t.Errorf("%s is %v (%v), and at most %v/s were to be made", of, made, ok, asked)
		}
	}
	most, _ := run.Number("most_taken_count")
	rate, _ := run.Number("kept_per_s")
	bound, _ := run.Number("bound_per_s")
	if most <= 0 || most >= more || rate >= bound {
		t.Errorf("at most %v of %d ports were taken at %v/s, and the bound is %v/s: the client was to stay below both", most, more, rate, bound)
	}
	said := p.Steps[slices.IndexFunc(p.Steps, func(s plainStep) bool { return s.Name == "summary" })].Said[0]
	if want := tcpvet.Thousands(more*13/10) + " connections opened, 0 accepted, none failed"; said.Status != 0 || !strings.Contains(strings.Join(said.Lines, "\n"), want) {
		t.Errorf("tcpvet run ended with status %d and said %q, want %q", said.Status, said.Lines, want)
	}
}

// checkCured checks the cure on the running process.
func checkCured(t *testing.T, p played, ports int) {
	t.Helper()
	leaked := float64(ports + widening)
	for _, want := range []struct {
		step, number string
		value        float64
	}{
		{"fix-plan", "close_wait_count", leaked},
		{"fix-apply", "before_count", leaked},
		{"fix-apply", "taken_count", 0},
		{"fix-apply", "descriptors_count", leaked},
		{"goes-on", "requests_count", float64(min(ports, 100))},
		{"goes-on", "descriptors_count", leaked + float64(min(ports, 100))},
		{"end", "close_wait_count", 0},
	} {
		if got, ok := find(t, p, want.step).Number(want.number); !ok || got != want.value {
			t.Errorf("step %s: %s is %v (%v), want %v", want.step, want.number, got, ok, want.value)
		}
	}
	client, _ := find(t, p, "stage").Number("client_pid")
	for _, step := range []string{"fix-apply", "goes-on"} {
		if pid, _ := find(t, p, step).Number("client_pid"); pid != client {
			t.Errorf("step %s is about process %v, and %v had leaked", step, pid, client)
		}
	}
	if n := lines(p.SS["fix-apply"], "CLOSE-WAIT", "127.0.0.1:8080 "); p.SS != nil && n != 0 {
		t.Errorf("ss shows %d sockets in CLOSE-WAIT after they were closed", n)
	}
	faults, _ := unmeasured(t, Demo, &p)
	for _, fault := range faults {
		t.Error(fault)
	}
	if t.Failed() {
		t.Log(p.Text)
	}
}

// A user without rights sees the cure, and is told what the rest needs.
func TestRootDemoForAUserWithoutRights(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.UserNS(t)
	const ports = 50
	order := demoOrder(ports)
	order.SS, order.Sources = kerneltest.Tool(t, "ss"), []string{"netlink", "procfs"}
	cmd := command(t, order)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534} // nobody
	p := play(t, cmd)
	checkCured(t, p, ports)
	last := p.Steps[len(p.Steps)-1]
	if last.Name != "run" || len(last.Shown) != 1 || !strings.Contains(last.Shown[0], "Not shown here: it needs BPF and a cgroup 2 for tcpvet run, so root") {
		t.Errorf("the last step is %+v, want that run is not shown, and what it needs", last)
	}
}

// A verb that does nothing, or what it was not to do yet, is noticed, whatever it says.
func TestRootDemoNoticesBrokenVerbs(t *testing.T) {
	prevents(t)
	for verb, steps := range map[string][]string{"fix": {"fix-apply", "goes-on"}, hasty: {"fix-plan"}, "run": {"run"}} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, demoOrder(20))
			cmd.Env = append(cmd.Env, brokenVariable+"="+verb)
			p := play(t, cmd)
			for _, step := range steps {
				if !slices.ContainsFunc(p.Outcome.Mismatches, func(m string) bool { return strings.HasPrefix(m, "step "+step+": ") }) {
					t.Errorf("step %s has nothing to object to: %q", step, p.Outcome.Mismatches)
				}
			}
		})
	}
}

// However a demo is ended, whatever it is doing, no process and no cgroup of it is left.
func TestRootDemoLeavesNothing(t *testing.T) {
	prevents(t)
	mount, err := kernel.CgroupV2Mount()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, after string
		more        time.Duration // after that step
		end         func(pid int) error
	}{
		{"Ctrl-C before fix", "close-one", 0, groupGets(syscall.SIGINT)},
		{"Ctrl-C after fix", "fix-apply", 0, groupGets(syscall.SIGINT)},
		{"Ctrl-C while run starts", "reuse", 0, groupGets(syscall.SIGINT)},
		{"Ctrl-C while run attaches", "reuse", 60 * time.Millisecond, groupGets(syscall.SIGINT)},
		{"Ctrl-C under run", "reuse", time.Second, groupGets(syscall.SIGINT)},
		{"Ctrl-C at the end", "run", 0, groupGets(syscall.SIGINT)},
		{"death under run", "reuse", time.Second, func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			group := filepath.Join(mount, "tcpvet-demo-test-"+strconv.Itoa(os.Getpid()))
			if err := os.Mkdir(group, 0o755); err != nil {
				t.Fatal(err)
			}
			dir, err := os.Open(group)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			cmd := command(t, demoOrder(50))
			cmd.SysProcAttr.Setpgid = true
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
			told, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitStep(t, cmd, bufio.NewScanner(told), c.after)
			time.Sleep(c.more)
			if err := c.end(cmd.Process.Pid); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait()
			gone(t, group)
		})
	}
}

func groupGets(sig syscall.Signal) func(int) error {
	return func(pid int) error { return syscall.Kill(-pid, sig) }
}

// awaitStep waits until a play has told a step.
func awaitStep(t *testing.T, cmd *exec.Cmd, told *bufio.Scanner, step string) {
	t.Helper()
	for told.Scan() {
		if told.Text() == "told step "+step {
			return
		}
	}
	t.Fatalf("the play ended without the step %s: %v", step, cmd.Wait())
}

// gone waits until a cgroup has no process, nor a group below it, and removes it.
func gone(t *testing.T, group string) {
	t.Helper()
	left := func() (processes string, groups []string) {
		groups, _ = filepath.Glob(group + "/*/")
		for _, dir := range append(groups, group) {
			b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			processes += string(b)
		}
		return processes, groups
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// A process that has ended may stand in its group for a moment.
		processes, groups := left()
		if processes == "" && len(groups) == 0 && syscall.Rmdir(group) == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind: processes %q, groups %q", strings.Fields(processes), groups)
			_ = os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0)
			time.Sleep(time.Second)
			for _, g := range append(groups, group) {
				_ = syscall.Rmdir(g)
			}
			return
		}
	}
}
