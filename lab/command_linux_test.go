package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// tcpvetCommand is what this test binary does as tcpvet.
func tcpvetCommand(args []string) int {
	switch args[0] {
	case "say": // what it was given, and what it finds
		_, err := os.ReadDir("/var/lib/tcpvet-lab-test")
		fmt.Println("args", args, os.Getenv("TCPVET_PORTS"), os.Getenv("GIVEN"), errors.Is(err, os.ErrNotExist))
		if err := os.Mkdir("/var/lib/tcpvet-lab-test", 0o700); err != nil {
			fmt.Println(err)
		}
		fmt.Fprintln(os.Stderr, "and this")
		return 3
	case "refuse":
		fmt.Fprintln(os.Stderr, "tcpvet: run command: needs more; a hint")
		return cannotRun
	case "run": // a program, and a file after its end
		cmd := exec.Command(args[2], args[3:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGUSR1)
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, "tcpvet:", err)
			return 1
		}
		go func() {
			for s := range signals {
				_ = cmd.Process.Signal(s)
			}
		}()
		_ = cmd.Wait()
		fmt.Fprintln(os.Stderr, "tcpvet run: over")
		if err := os.WriteFile(args[1], nil, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "tcpvet:", err)
		}
		return exitStatus(cmd.ProcessState)
	}
	return 2
}

// tidied gives, in the environment, where a command writes that it has ended.
const tidied = "TCPVET_LAB_TIDIED"

// playCommands has commands of tcpvet run on the stage.
func playCommands(ctx context.Context, s *Stage) error {
	said, err := s.Host.Tcpvet(ctx, Setup{Memory: []string{"/var/lib"}, Env: []string{"GIVEN=x"}}, "tcpvet say 1 2")
	if err != nil {
		return err
	}
	_, err = s.Host.Under(ctx, "tcpvet refuse --", testAct, "shop-client")
	var unmet *UnmetError
	if !errors.As(err, &unmet) {
		return fmt.Errorf("a command that cannot run anything: %v", err)
	}
	_, err = s.Host.Under(ctx, "tcpvet unknown --", testAct, "shop-client")
	if err == nil || errors.As(err, new(*UnmetError)) {
		return fmt.Errorf("a command that fails: %v", err)
	}
	file := os.Getenv(tidied)
	p, err := s.Host.Under(ctx, "tcpvet run "+file, testAct, "shop-client", "http://127.0.0.1/")
	if err != nil {
		return err
	}
	var w who
	if err := p.Cue(ctx, "who", struct{}{}, &w); err != nil {
		return err
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
	if err != nil {
		return err
	}
	status, printed, err := p.Leave(ctx)
	if err != nil {
		return err
	}
	// Another one is ended with the stage.
	if p, err = s.Host.Under(ctx, "tcpvet run "+file+".too", testAct, "shop-client"); err != nil {
		return err
	}
	hung := make(chan error, 1)
	go func() { hung <- p.Cue(ctx, "hang", struct{}{}, new(int)) }()
	if err := Until(ctx, "the act to hang", func() (bool, error) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
		return strings.TrimSpace(string(comm)) == hungComm, err
	}); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(commands{*said, unmet.Error(), w, strings.TrimSpace(string(comm)), status, printed})
}

// commands is what playCommands tells.
type commands struct {
	Said    Said
	Unmet   string
	Who     who
	Comm    string
	Status  int
	Printed []string
}

func TestCommandsOfTcpvet(t *testing.T) {
	if os.Geteuid() != 0 {
		kerneltest.UserNS(t)
	}
	// The command has a /tmp of its own.
	dir, err := os.MkdirTemp("/var/tmp", "tcpvet-lab-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := dir + "/tidied"
	cmd := run("commands")
	cmd.Env = append(cmd.Env, "TCPVET_PORTS=20", tidied+"="+file)
	var got commands
	if err := json.Unmarshal([]byte(output(t, cmd)), &got); err != nil {
		t.Fatal(err)
	}
	// The caller's flags do not count, and the folder in memory was empty.
	if want := []string{"args [say 1 2]  x true", "and this"}; got.Said.Status != 3 || !slices.Equal(got.Said.Lines, want) {
		t.Errorf("said %+v, want status 3 and %q", got.Said, want)
	}
	if err := os.Remove("/var/lib/tcpvet-lab-test"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the command wrote was left: %v", err)
	}
	if want := "needs tcpvet refuse: run command: needs more"; got.Unmet != want {
		t.Errorf("got %q, want %q", got.Unmet, want)
	}
	if got.Comm != "shop-client" || got.Who.Comm != "shop-client" || !slices.Equal(got.Who.Args, []string{"shop-client", "http://127.0.0.1/"}) {
		t.Errorf("the act is %+v, and its PID that of %s, want shop-client", got.Who, got.Comm)
	}
	if got.Status != 0 || !slices.Equal(got.Printed, []string{"tcpvet run: over"}) {
		t.Errorf("the act left with %d, %q", got.Status, got.Printed)
	}
	// A command tidies up though the stage ends while its program is busy.
	if _, err := os.Stat(file + ".too"); err != nil {
		t.Errorf("a command was not let tidy up: %v", err)
	}
}
