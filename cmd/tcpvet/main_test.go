package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/lab/scenarios"
)

// TestMain lets the scripts run this very program as tcpvet, and as the processes
// of a demo, which have names of their own.
func TestMain(m *testing.M) {
	lab.Main(scenarios.All...)
	testscript.Main(m, map[string]func(){"tcpvet": main})
}

// TestScript runs the scripts that need no privilege.
func TestScript(t *testing.T) { runScripts(t, "testdata/script") }

// TestRootScript runs the scripts that look at network namespaces of their own.
func TestRootScript(t *testing.T) {
	kerneltest.Root(t)
	for _, tool := range []string{"unshare", "setpriv", "ip", "ss", "netstat", "nft", "setcap"} {
		kerneltest.Tool(t, tool)
	}
	runScripts(t, "testdata/script/root")
}

func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:   dir,
		Setup: plainEnvironment,
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "userns":
				return os.Geteuid() == 0 || kernel.UserNamespaces() == nil, nil
			case "snat":
				return sourceNAT(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

// sourceNAT tells whether the kernel translates source ports in a namespace.
func sourceNAT() bool {
	return exec.Command("unshare", "-n", "nft", "add table ip t; "+
		"add chain ip t out { type nat hook postrouting priority 100; }; add rule ip t out tcp dport 1 snat to 10.1.1.1:5000-5000").Run() == nil
}

// exits runs a command that has to end with a status: exits 2 tcpvet count -o
// nonsense.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG ...]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s: exit status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// plainEnvironment keeps the caller's settings out of what the scripts expect,
// and says where captures are, and the stages that scripts share.
func plainEnvironment(env *testscript.Env) error {
	env.Setenv("LC_ALL", "C")
	stages, err := filepath.Abs("testdata/stages")
	if err != nil {
		return err
	}
	env.Setenv("STAGES", stages)
	env.Setenv("PYTHONDONTWRITEBYTECODE", "1") // the stages stand in the tree
	captures, err := filepath.Abs("../../capture/testdata")
	env.Setenv("CAPTURES", captures)
	return err
}
