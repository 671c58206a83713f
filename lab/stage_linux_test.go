package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// holdVariable makes a play wait, once it has told who is there, until its
// standard input ends.
const holdVariable = "TCPVET_LAB_HOLD"

// onStage skips a test where this user cannot enter a stage.
func onStage(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		kerneltest.UserNS(t)
	}
}

func TestActsRunInANamespaceOfTheirOwnUnderTheirNames(t *testing.T) {
	onStage(t)
	outside, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal([]byte(output(t, run("succeed"))), &r); err != nil {
		t.Fatal(err)
	}
	if r.Netns == outside || !strings.HasPrefix(r.Netns, "net:[") {
		t.Errorf("the stage is in namespace %q, and this test in %q", r.Netns, outside)
	}
	if r.Who.Netns != r.Netns {
		t.Errorf("the act is in namespace %q, its stage in %q", r.Who.Netns, r.Netns)
	}
	if r.Who.Comm != "shop-client" {
		t.Errorf("the kernel calls the act %q, want the base of its first argument", r.Who.Comm)
	}
	if got, want := strings.Join(r.Who.Args, " "), "/not/there/shop-client http://127.0.0.1:8080/"; got != want {
		t.Errorf("the act has the command line %q, want %q", got, want)
	}
}

// playCues checks what cues give, from inside.
func playCues(ctx context.Context, s *Stage) error {
	p, err := s.Host.Start(testAct, "answering")
	if err != nil {
		return err
	}
	var n int
	if err := p.Cue(ctx, "double", 21, &n); err != nil || n != 42 {
		return fmt.Errorf("double 21: got %d, %v", n, err)
	}
	// Ctrl-C reaches every process of a terminal; the stage ends its own.
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(p.PID, sig); err != nil {
			return err
		}
		if err := p.Cue(ctx, "double", 4, &n); err != nil || n != 8 {
			return fmt.Errorf("double 4 after %v: got %d, %v", sig, n, err)
		}
	}
	for _, c := range []struct {
		cue  string
		want []string
	}{
		{"fail", []string{"answering[", "fail: the act has failed"}},
		{"unknown", []string{`this act has no cue "unknown"`}},
		{"panic", []string{"the process ended (exit status 2)", "last words"}},
		{"double", []string{"answering["}},
	} {
		err := p.Cue(ctx, c.cue, struct{}{}, &n)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				return fmt.Errorf("cue %s: got error %v, want %q in it", c.cue, err, want)
			}
		}
	}
	if p, err = s.Host.Start(Act{Name: "none"}, "none"); err != nil {
		return err
	}
	err = p.Cue(ctx, "double", 1, &n)
	if err == nil || !strings.Contains(err.Error(), "no scenario has such an act") {
		return fmt.Errorf("cue to an unknown act: got error %v", err)
	}
	if p, err = s.Host.Start(testAct, "hanging"); err != nil {
		return err
	}
	stopped, stop := context.WithCancelCause(ctx)
	because := errors.New("because")
	stop(because)
	if err := p.Cue(stopped, "hang", struct{}{}, &n); !errors.Is(err, because) {
		return fmt.Errorf("cue that was stopped: got error %v", err)
	}
	return nil
}

func TestCues(t *testing.T) {
	onStage(t)
	output(t, run("cues"))
}

// playSettings checks, from inside, the settings against the kernel's files.
func playSettings(_ context.Context, s *Stage) error {
	if err := s.Host.SetPortRange(40000, 40099); err != nil {
		return err
	}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return err
	}
	if got, want := string(b), "40000\t40099\n"; got != want {
		return fmt.Errorf("the kernel has the range %q, want %q", got, want)
	}
	if got, err := s.Host.Sysctl("net.ipv4.ip_local_port_range"); err != nil || got != "40000 40099" {
		return fmt.Errorf("read the range: got %q, %v", got, err)
	}
	if _, err := s.Host.Sysctl("net.ipv4.no_such_setting"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read a setting that does not exist: got error %v", err)
	}
	if err := s.Host.SetSysctl("net.ipv4.no_such_setting", "1"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set a setting that does not exist: got error %v", err)
	}
	if err := s.Host.SetPortRange(2, 1); !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("set a range that the kernel refuses: got error %v", err)
	}
	if up, err := loopbackUp(); err != nil || !up {
		return fmt.Errorf("the loopback interface is up: %v, %v", up, err)
	}
	return nil
}

func TestSettingsStayInside(t *testing.T) {
	onStage(t)
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	output(t, run("settings"))
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(after) != string(before) {
		t.Errorf("outside of the stage the port range went from %q to %q", before, after)
	}
}

// A process that is told that it is a stage, and is none, must change nothing.
func TestPlayRefusesANamespaceInUse(t *testing.T) {
	for name, env := range map[string]string{
		"with the right name": func() string { s, _ := os.Readlink("/proc/self/ns/net"); return s }(),
		"with another name":   "net:[1]",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := run("settings")
			cmd.Env = append(cmd.Env, stageVariable+"="+env)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != statusFailed || !strings.Contains(string(out), "this network namespace is in use: "+ErrOutside.Error()) {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}

// A fresh namespace that no Enter made is no stage either.
func TestRootPlayRefusesANamespaceNotEntered(t *testing.T) {
	kerneltest.Root(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, want string }{
		{"without lifeline", "net:[1]", "is no pipe"},
		{"with its own name", "$(readlink /proc/self/ns/net)", "is in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := run("settings")
			cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", stageVariable + "=" + c.value + " exec " + self}
			cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != statusFailed || !strings.Contains(string(out), c.want) {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}

func TestPlayOutsideAStage(t *testing.T) {
	_, err := Play(t.Context(), testScenario, Options{Looks: []Look{blind}, Judge: func(tcpvet.Case) Verdict { return Verdict{} }})
	if !errors.Is(err, ErrOutside) {
		t.Errorf("got error %v, want ErrOutside", err)
	}
}

func TestCheck(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	hungry := &Scenario{Name: "hungry", Descriptors: func(o Options) int {
		if o.Ports == 20 {
			return int(limit.Max)
		}
		return int(limit.Max) + 1
	}}
	for _, c := range []struct {
		sc    *Scenario
		ports int
		want  string // "" for no error
	}{
		{testScenario, 0, ""},
		{testScenario, MinPorts, ""},
		{testScenario, MinPorts - 2, "from 10 to 28000"},
		{testScenario, -2, "from 10 to 28000"},
		{testScenario, MaxPorts + 2, "from 10 to 28000"},
		{testScenario, 51, "even"},
		{hungry, 20, ""},
		{hungry, 22, fmt.Sprintf("needs %d descriptors for 22 local ports, and the hard limit is %d (ulimit -Hn)", limit.Max+1, limit.Max)},
	} {
		err := c.sc.Check(Options{Ports: c.ports})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %d ports: got error %v, want %q", c.sc.Name, c.ports, err, c.want)
		}
	}
}
