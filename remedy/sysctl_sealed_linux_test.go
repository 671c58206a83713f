package remedy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

type sysctlTold struct{ Planned, Reason, Applied, After string }

// tellPlan plans and applies one setting, in a process of its own.
func tellPlan(dir string) error {
	ctx := context.Background()
	p, err := PlanSysctl(ctx, SysctlOptions{Settings: []tcpvet.SetSysctl{{Name: reuseSetting, Value: "1"}}})
	if err != nil {
		return err
	}
	told := sysctlTold{Planned: string(p.Changes[0].Outcome), Reason: p.Changes[0].Reason}
	if err := p.Apply(ctx, &Journal{Dir: filepath.Join(dir, "journal")}); err != nil {
		return err
	}
	told.Applied, told.After = string(p.Changes[0].Outcome), p.Changes[0].Reason
	return kerneltest.Say(told)
}

func applyAsNobody() error {
	dir, err := os.MkdirTemp("/tmp", "remedy-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return tellPlan(dir)
}

// An ordinary user may look at a plan, and cannot apply it.
func TestRootSysctlAsNobody(t *testing.T) {
	spaceOfTest(t)
	const nobody = 65534
	var got sysctlTold
	kerneltest.Play(t, "sysctl-denied", &got, func(c *exec.Cmd) {
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	if got.Planned != "" || got.Applied != "failed" || !strings.Contains(got.After, "needs root") || asTold(t, reuseSetting) == "1" {
		t.Errorf("%+v", got)
	}
}

func applyReadOnly() error {
	if err := unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	return tellPlan(os.Getenv("JOURNAL_DIR"))
}

// As in a container: /proc/sys is read-only, which shows before anything is tried.
func TestRootSysctlReadOnly(t *testing.T) {
	spaceOfTest(t)
	var got sysctlTold
	kerneltest.Play(t, "sysctl-sealed", &got, func(c *exec.Cmd) {
		c.Env = append(c.Env, "JOURNAL_DIR="+t.TempDir())
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // the mounts end with it
	})
	if got.Planned != "refused" || !strings.Contains(got.Reason, "read-only here") || asTold(t, reuseSetting) == "1" {
		t.Errorf("%+v", got)
	}
}
