package source_test

import (
	"context"
	"encoding/json"
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
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// power is what a user with some capabilities saw of root's sockets.
type power struct {
	Error   string // of opening bpf
	Sources map[string]string
	Why     string // of auto
	Holders []int32
}

// lookWithPower looks by bpf and by auto in its own namespace.
func lookWithPower() error {
	p := power{Sources: make(map[string]string)}
	q := source.Query{Want: tcpvet.FactHolders | tcpvet.FactListeners}
	for _, kind := range []string{"bpf", "auto"} {
		src, err := source.Open(kind)
		if err != nil {
			p.Error = err.Error()
			continue
		}
		c, err := source.Take(context.Background(), src, q, source.TakeOptions{})
		if err != nil {
			return err
		}
		p.Sources[kind] = c.Source
		if kind == "auto" {
			p.Why = source.Why(src)
		}
		for g := range c.Groups {
			if g.Holder.Known() && !slices.Contains(p.Holders, g.Holder.PID) {
				p.Holders = append(p.Holders, g.Holder.PID)
			}
		}
	}
	return kerneltest.Say(p)
}

// CAP_BPF and CAP_PERFMON show an ordinary user who holds root's sockets; without
// both bpf is refused by their names, and auto looks by netlink and says why.
func TestRootLeastPrivilege(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	kerneltest.Netns(t)
	fds, err := connected()
	must(t, err)
	for _, fd := range fds {
		defer unix.Close(fd)
	}
	keepNetns(t)
	const capBPF, capPerfmon = unix.CAP_BPF, unix.CAP_PERFMON
	for name, test := range map[string]struct {
		caps    []uintptr
		missing []string
	}{
		"both":    {[]uintptr{capBPF, capPerfmon}, nil},
		"BPF":     {[]uintptr{capBPF}, []string{"CAP_PERFMON"}},
		"PERFMON": {[]uintptr{capPerfmon}, []string{"CAP_BPF"}},
		"none":    {nil, []string{"CAP_BPF", "CAP_PERFMON"}},
	} {
		var p power
		kerneltest.Play(t, "power", &p, func(c *exec.Cmd) {
			c.Dir = "/"
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: test.caps}
		})
		text, _ := json.Marshal(p)
		if test.missing == nil {
			if p.Sources["bpf"] != "bpf" || p.Sources["auto"] != "bpf" || !slices.Contains(p.Holders, int32(os.Getpid())) || !strings.Contains(p.Why, "CAP_SYS_PTRACE") {
				t.Errorf("with %s: saw %s, want the holder %d by bpf", name, text, os.Getpid())
			}
			continue
		}
		if p.Sources["auto"] != "netlink" || len(p.Holders) > 0 {
			t.Errorf("with %s: saw %s, want nobody, by netlink", name, text)
		}
		for _, capability := range []string{"CAP_BPF", "CAP_PERFMON"} {
			named := slices.Contains(test.missing, capability)
			if strings.Contains(p.Error, capability) != named || strings.Contains(p.Why, capability) != named {
				t.Errorf("with %s: %s is missing: %v; refused: %s; auto: %s", name, capability, named, p.Error, p.Why)
			}
		}
	}
}
