package remedy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// keepaliveDenied gives keepalive, as whoever plays it, to the connections of two
// listeners, of which one may be 0.
func keepaliveDenied() error {
	ports := make(map[uint16]bool)
	for _, name := range []string{"PORT_A", "PORT_B"} {
		var port uint16
		if _, err := fmt.Sscan(os.Getenv(name), &port); err != nil {
			return err
		}
		ports[port] = true
	}
	src, err := source.Open("netlink")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/tmp", "remedy-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var said keepaliveSaid
	p, err := PlanKeepalive(context.Background(), KeepaliveOptions{Selection: Selection{
		Source: src,
		Match: func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool {
			return ports[s.Local.Port()] || ports[s.Remote.Port()]
		},
	}})
	if err == nil {
		err = p.Apply(context.Background(), &Journal{Dir: dir + "/journal"})
		said.Tally = p.Tally()
		for _, c := range p.Changes {
			if c.Outcome == tcpvet.OutcomeRefused {
				said.Why = c.Reason
			}
		}
	}
	if err != nil {
		said.Err = err.Error()
	}
	return kerneltest.Say(said)
}

type keepaliveSaid struct {
	Err, Why string
	Tally    map[tcpvet.Outcome]int
}

// asNobody makes a command an ordinary user's.
func asNobody(c *exec.Cmd) {
	const nobody = 65534
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// An ordinary user reaches his own processes by their descriptors. For those of others
// the error says what is missing, and where he can do a part it stands by the rest.
func TestRootKeepaliveAsNobody(t *testing.T) {
	kerneltest.Netns(t)
	roots, own := holderOf(t, nil), holderOf(t, asNobody)
	a := roots.do(order{Do: "open", Family: "4", N: 1})
	b := own.do(order{Do: "open", Family: "4", N: 2})
	play := func(portA, portB int) (said keepaliveSaid) {
		kerneltest.Play(t, "keepalive-denied", &said, func(c *exec.Cmd) {
			asNobody(c)
			c.Env = append(c.Env, fmt.Sprintf("PORT_A=%d", portA), fmt.Sprintf("PORT_B=%d", portB))
		})
		return said
	}
	if said := play(a[0].Port, 0); said.Tally != nil || !strings.Contains(said.Err, "needs root") || !strings.Contains(said.Err, "CAP_BPF and CAP_PERFMON") {
		t.Errorf("sockets of root: %+v", said)
	}
	if yama, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && strings.TrimSpace(string(yama)) != "0" {
		// Yama leaves him not even his own.
		if said := play(0, b[0].Port); !strings.Contains(said.Err, "needs root") {
			t.Errorf("his own sockets: %+v", said)
		}
		return
	}
	if said := play(a[0].Port, b[0].Port); said.Err != "" || said.Tally[tcpvet.OutcomeApplied] != 4 || said.Tally[tcpvet.OutcomeRefused] != 2 || !strings.Contains(said.Why, "needs root") {
		t.Errorf("sockets of both: %+v", said)
	}
	if on, _ := keepaliveBySS(t, roots.pid()); on != 0 {
		t.Errorf("%d sockets of root got keepalive", on)
	}
	if on, _ := keepaliveBySS(t, own.pid()); on != 4 {
		t.Errorf("%d of his own sockets got keepalive, want 4", on)
	}
}

// Root without the capabilities of the one way goes the other; without those of both
// is told what is missing.
func TestRootKeepaliveCapabilities(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	ends := h.do(order{Do: "open", Family: "4", N: 1})
	setpriv := kerneltest.Tool(t, "setpriv")
	for _, test := range []struct {
		name, drop string
		applied    int
		want       string
	}{
		{"no BPF", "-bpf,-sys_admin", 2, ""},
		{"no ptrace", "-sys_ptrace", 2, ""},
		{"neither", "-bpf,-sys_admin,-sys_ptrace", 0, "CAP_SYS_PTRACE"},
	} {
		var said keepaliveSaid
		kerneltest.Play(t, "keepalive-denied", &said, func(c *exec.Cmd) {
			c.Args = []string{setpriv, "--bounding-set", test.drop, "--inh-caps", test.drop, "/proc/" + fmt.Sprint(os.Getpid()) + "/exe"}
			c.Path = setpriv
			c.Env = append(c.Env, fmt.Sprintf("PORT_A=%d", ends[0].Port), "PORT_B=0")
		})
		if said.Tally[tcpvet.OutcomeApplied] != test.applied || test.want != "" && !strings.Contains(said.Err, test.want) || test.want == "" && said.Err != "" {
			t.Errorf("%s: %+v", test.name, said)
		}
		for _, e := range ends {
			h.do(order{Do: "set", FD: e.FD, Timers: tcpvet.Timers{Idle: 7200e9, Interval: 75e9, Count: 9}})
		}
	}
}
