package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// playPrograms checks what real programs get and how they end, from inside.
func playPrograms(ctx context.Context, s *Stage) error {
	if err := os.Setenv("http_proxy", "http://192.0.2.1:3128"); err != nil {
		return err
	}
	env, err := s.Host.Program(ctx, Program{Name: "sh", Args: []string{"-c", "env; exit 3"}, Setup: Setup{Env: []string{"MORE=this"}}})
	if err != nil {
		return err
	}
	if status, err := env.Wait(ctx); err != nil || status != 3 {
		return fmt.Errorf("exit 3: got %d, %v", status, err)
	}
	var vars []string
	for {
		line, err := env.Line(ctx)
		if err != nil {
			break // the program has ended
		}
		name, _, _ := strings.Cut(line, "=")
		vars = append(vars, name)
	}
	for _, v := range vars {
		if !slices.Contains([]string{"PATH", "HOME", "LANG", "MORE", "PWD", "OLDPWD", "SHLVL", "_"}, v) {
			return fmt.Errorf("the program has %s in its environment", v)
		}
	}
	if !slices.Contains(vars, "MORE") || !slices.Contains(vars, "PATH") {
		return fmt.Errorf("the environment has %v", vars)
	}

	// It talks by lines, and answers cues.
	const script = `while read line; do
		case $line in
		'{"Cue":"double","Order":21}') echo '{"Answer":42,"Err":""}' ;;
		*) echo "you said $line" ;;
		esac
	done
	echo over >&2`
	p, err := s.Host.Program(ctx, Program{Name: "sh", Args: []string{"-c", script}})
	if err != nil {
		return err
	}
	if err := p.Say(ctx, "hello"); err != nil {
		return err
	}
	if line, err := p.Line(ctx); err != nil || line != "you said hello" {
		return fmt.Errorf("got %q, %v", line, err)
	}
	n := 0
	if err := p.Cue(ctx, "double", 21, &n); err != nil || n != 42 {
		return fmt.Errorf("double 21: got %d, %v", n, err)
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
	if err != nil || !slices.Contains([]string{"sh\n", "dash\n"}, string(comm)) {
		return fmt.Errorf("the kernel calls it %q, %v", comm, err)
	}
	if err := p.CloseInput(); err != nil {
		return err
	}
	if status, err := p.Wait(ctx); err != nil || status != 0 || p.Errors() != "over" {
		return fmt.Errorf("at the end of its input: got status %d, %v, and %q", status, err, p.Errors())
	}
	if err := p.Say(ctx, "anybody?"); err == nil {
		return errors.New("one can speak to a program that has ended")
	}

	// Its children end with it; a single one is an ordinary process.
	parent, err := s.Host.Program(ctx, Program{Name: "sh", Args: []string{"-c", "sleep 3600 & echo; wait"}})
	if err != nil {
		return err
	}
	if _, err := parent.Line(ctx); err != nil {
		return err
	}
	child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent.PID, parent.PID))
	if err != nil {
		return err
	}
	parent.Kill()
	if comm, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/comm"); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("the child %s is %q after its parent was killed, %v", child, comm, err)
	}
	for single, want := range map[bool]string{true: "terminated", false: "alive"} {
		p, err := s.Host.Program(ctx, Program{Name: "sh", Args: []string{"-c", "kill -TERM $$; echo alive"}, Single: single})
		if err != nil {
			return err
		}
		status, err := p.Wait(ctx)
		if err != nil {
			return err
		}
		if single != (status == 128+int(syscall.SIGTERM)) {
			return fmt.Errorf("single %v: ended with status %d, want it %s", single, status, want)
		}
	}

	_, err = s.Host.Program(ctx, Program{Name: "no-such-program"})
	var unmet *UnmetError
	var missing *MissingError
	if !errors.As(err, &unmet) || !errors.As(err, &missing) || missing.Program != "no-such-program" {
		return fmt.Errorf("a program that is not installed: got %v", err)
	}
	return nil
}

func TestPrograms(t *testing.T) {
	onStage(t)
	output(t, run("programs"))
}

// playSetups checks what a process has to itself, from inside.
func playSetups(ctx context.Context, s *Stage) error {
	outside, err := os.ReadFile("/etc/hosts")
	if err != nil {
		return err
	}
	own := Setup{Hosts: []string{"192.0.2.7 shop", "::1 localhost"}, Descriptors: 64, Files: map[string]string{"/tmp/deep/file": "content"}}
	p, err := s.Host.Program(ctx, Program{Name: "sh", Setup: own,
		Args: []string{"-c", "cat /etc/hosts; cat /tmp/deep/file; echo; ls -A /tmp | grep -v '^[.]cover'; ulimit -Sn; ulimit -Hn; echo here > /tmp/here; cat /tmp/here; read wait"}})
	if err != nil {
		return err
	}
	for _, want := range []string{"192.0.2.7 shop", "::1 localhost", "content", "deep", "64", "64", "here"} {
		if line, err := p.Line(ctx); err != nil || line != want {
			return fmt.Errorf("a program with its own files says %q, %v, want %q", line, err, want)
		}
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/hosts", p.PID)); err != nil || string(b) != "192.0.2.7 shop\n::1 localhost\n" {
		return fmt.Errorf("through /proc its hosts file is %q, %v", b, err)
	}
	if b, err := os.ReadFile("/etc/hosts"); err != nil || string(b) != string(outside) {
		return fmt.Errorf("the stage's hosts file is %q, %v, and was %q", b, err, outside)
	}
	if _, err := os.Stat("/tmp/here"); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("what the program wrote to /tmp is there: %v", err)
	}

	act, err := s.Host.StartWith(own, testAct, "limited")
	if err != nil {
		return err
	}
	var w who
	if err := act.Cue(ctx, "who", struct{}{}, &w); err != nil {
		return err
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", act.PID))
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max open files 64 64") {
		return fmt.Errorf("the act has the limits %s, %v", limits, err)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/hosts", act.PID)); err != nil || !strings.HasPrefix(string(b), "192.0.2.7") {
		return fmt.Errorf("the act's hosts file is %q, %v", b, err)
	}
	bad, err := s.Host.StartWith(Setup{Files: map[string]string{"/no/such/file": ""}}, testAct, "bad")
	if err != nil {
		return err
	}
	if err := bad.Cue(ctx, "double", 1, new(int)); err == nil || !strings.Contains(err.Error(), "cover /no/such/file") {
		return fmt.Errorf("a file that does not exist was covered: %v", err)
	}
	return nil
}

func TestSetups(t *testing.T) {
	onStage(t)
	output(t, run("setups"))
}

func TestEveryProgramHasItsPackageInTheList(t *testing.T) {
	list, err := os.ReadFile("../packages.txt")
	if err != nil {
		t.Fatal(err)
	}
	for program, pkg := range debianPackages {
		// Every Debian has dash: it is its sh.
		if pkg != "dash" && !slices.Contains(strings.Fields(string(list)), pkg) {
			t.Errorf("%s is in the package %s, which packages.txt does not list", program, pkg)
		}
	}
}
