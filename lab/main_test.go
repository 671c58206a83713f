package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// testVariable makes this test binary a program that plays the scenario below
// as the command does; its value is the name of what the play is to do.
const testVariable = "TCPVET_LAB_TEST"

func TestMain(m *testing.M) {
	Main(testScenario)
	Main(testScenario) // as a program may whose parts each call it
	if os.Args[0] == "tcpvet" {
		os.Exit(tcpvetCommand(os.Args[1:]))
	}
	if _, ok := os.LookupEnv(testVariable); ok {
		os.Exit(program())
	}
	os.Exit(m.Run())
}

// The exit statuses of the program.
const (
	statusFailed  = 4
	statusStopped = 5
	statusDenied  = 6
)

func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if !Inside() {
		status, err := Enter(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return statusDenied
		}
		return status
	}
	_, err := Play(ctx, testScenario, Options{Looks: []Look{blind}, Judge: func(tcpvet.Case) Verdict { return Verdict{} }})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, context.Canceled) {
			return statusStopped
		}
		return statusFailed
	}
	return 0
}

// blind sees nothing.
var blind = Look{
	Name:    "blind",
	Take:    func(context.Context, []string) (tcpvet.Census, error) { return tcpvet.Census{}, nil },
	Sockets: func(context.Context, []string) ([]tcpvet.Socket, error) { return nil, nil },
}

// testScenario does what the environment says.
var testScenario = &Scenario{
	Name:        "test",
	Acts:        []Act{testAct, peerAct},
	Descriptors: func(Options) int { return 0 },
	Play: func(ctx context.Context, s *Stage) error {
		return plays[os.Getenv(testVariable)](ctx, s)
	},
}

// testAct answers a few cues.
var testAct = Act{Name: "test-act", Learn: func(c *Cues) {
	On(c, "who", func(struct{}) (who, error) {
		var w who
		comm, err := os.ReadFile("/proc/self/comm")
		if err != nil {
			return w, err
		}
		w.Comm, w.Args = strings.TrimSpace(string(comm)), os.Args
		w.Netns, err = os.Readlink("/proc/self/ns/net")
		return w, err
	})
	On(c, "double", func(n int) (int, error) { return 2 * n, nil })
	On(c, "fail", func(struct{}) (int, error) { return 0, errors.New("the act has failed") })
	On(c, "panic", func(struct{}) (int, error) { panic("last words") })
	On(c, "hang", func(struct{}) (int, error) {
		err := setComm(hungComm) // for the test to see
		time.Sleep(time.Hour)
		return 0, err
	})
}}

// hungComm is the name of a process that is hanging.
const hungComm = "hung"

type who struct {
	Comm  string
	Args  []string
	Netns string
}

// plays are what the scenario does, by name.
var plays = map[string]func(context.Context, *Stage) error{
	"succeed": func(ctx context.Context, s *Stage) error { return tellWho(ctx, s, 0) },
	"fail": func(ctx context.Context, s *Stage) error {
		if err := tellWho(ctx, s, 0); err != nil {
			return err
		}
		return errors.New("the play has failed")
	},
	// hang waits for an act that never answers, on a stage with all that a
	// stage can have.
	"hang": func(ctx context.Context, s *Stage) error {
		p, err := s.Host.Start(testAct, "hanging")
		if err != nil {
			return err
		}
		if err := furnish(ctx, s); err != nil {
			return err
		}
		// It reads nothing, and so does not learn from its input that it is alone.
		mark := Setup{Env: []string{runVariable + os.Getenv(strings.TrimSuffix(runVariable, "="))}}
		if _, err := s.Host.Program(ctx, Program{Name: "sh", Args: []string{"-c", "while :; do sleep 3600; done"}, Setup: mark}); err != nil {
			return err
		}
		if err := tellWho(ctx, s, p.PID); err != nil {
			return err
		}
		return p.Cue(ctx, "hang", struct{}{}, new(int))
	},
	"cues":     playCues,
	"commands": playCommands,
	"settings": playSettings,
	"links":    playLinks,
	"tunnel":   playTunnel,
	"resets":   playResets,
	"programs": playPrograms,
	"setups":   playSetups,
	"tap":      playTap,
}

// report is the line by which a play tells the test who is on the stage.
type report struct {
	Stage int
	Netns string
	Act   int
	Host  int // a process of the second host, 0 for none
	Who   who

	Hanging int // a process that is about to hang, 0 for none
}

func tellWho(ctx context.Context, s *Stage, hanging int) error {
	p, err := s.Host.Start(testAct, "/not/there/shop-client", "http://127.0.0.1:8080/")
	if err != nil {
		return err
	}
	r := report{Stage: os.Getpid(), Act: p.PID, Hanging: hanging}
	if len(s.hosts) > 1 {
		r.Host = s.hosts[1].PID
	}
	if r.Netns, err = os.Readlink("/proc/self/ns/net"); err != nil {
		return err
	}
	if err := p.Cue(ctx, "who", struct{}{}, &r.Who); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	if os.Getenv(holdVariable) != "" {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	return err
}

// run gives the command that plays on a stage.
func run(play string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), testVariable+"="+play)
	// A group of its own, as a shell gives to a job.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output plays and gives what was told, and fails the test with what went wrong.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return string(out)
}
