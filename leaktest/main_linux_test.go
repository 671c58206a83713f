package leaktest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"go.uber.org/goleak"
)

// Programs run as tests of a test binary of their own, so that what they leave open
// ends with it.
func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"program": playProgram,
		"run":     func() error { os.Exit(Run(m)); return nil },
	})
}

// These tell the part what to do.
const (
	programVariable = "LEAKTEST_PROGRAM"
	toolVariable    = "LEAKTEST_TOOL" // leaktest, goleak
)

func chosen() string { return os.Getenv(programVariable) }

// playProgram runs one program as go test would, looked after by one of the tools.
func playProgram() error {
	p, ok := programs[chosen()]
	if !ok {
		return fmt.Errorf("find program %q: there is none of that name", chosen())
	}
	test := testing.InternalTest{Name: "TestProgram", F: func(t *testing.T) {
		if os.Getenv(toolVariable) == "goleak" {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() {
				if err := goleak.Find(before); err != nil {
					t.Error(err)
				}
			})
		} else if !p.alone {
			p.options.Check(t)
		}
		p.run(t)
	}}
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{test}, nil, nil)
	return nil
}

// TestLeaveOpen is what the part "run" runs.
func TestLeaveOpen(t *testing.T) {
	switch chosen() {
	case "run-leaks":
		srv := httptest.NewServer(http.HandlerFunc(hello))
		resp, err := http.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(resp.Status)
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		hold(conn)
	case "run-fails":
		conn, err := net.Dial("tcp", peer(t, echo))
		if err != nil {
			t.Fatal(err)
		}
		hold(conn)
		t.Error("it failed by itself")
	case "run-right":
		srv := httptest.NewServer(http.HandlerFunc(hello))
		rightGet(t, http.DefaultClient, srv.URL)
	case "run-told":
		Options{Settle: -1}.Check(t)
		t.Run("again", func(t *testing.T) { rightOthers(t) })
	}
}

// Run gives the tests' status, or tells what they left.
func TestRun(t *testing.T) {
	for _, test := range []struct {
		program string
		status  int
		stderr  []string // nil: nothing
	}{
		{"run-leaks", 1, []string{
			": 2 connections to 127.0.0.1:", " and others were left open (ESTAB) by TestLeaveOpen\n", // -test.count=2
			"\nconnection from 127.0.0.1:", "opened outside the hooks of leaktest, since the first test began",
			"leaktest: the tests passed, and left 4 connections open\n",
		}},
		{"run-fails", 1, nil},
		{"run-right", 0, nil},
		{"run-told", 0, nil},
	} {
		t.Run(test.program, func(t *testing.T) {
			t.Parallel()
			cmd := kerneltest.Part("run")
			cmd.Args = append(cmd.Args, "-test.run=^TestLeaveOpen$", "-test.count=2")
			cmd.Env = append(cmd.Env, programVariable+"="+test.program)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if _, ended := err.(*exec.ExitError); err != nil && !ended {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != test.status {
				t.Errorf("exit status %d, want %d:\n%s%s", got, test.status, &stdout, &stderr)
			}
			if test.stderr == nil && stderr.Len() > 0 {
				t.Errorf("told:\n%s", &stderr)
			}
			for _, w := range test.stderr {
				if !strings.Contains("\n"+stderr.String(), w) {
					t.Errorf("does not say %q:\n%s", w, &stderr)
				}
			}
		})
	}
}
