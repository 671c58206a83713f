package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

// changing are the scripts of verbs that change something.
var changing = []string{"testdata/script/fix.txtar", "testdata/script/run.txtar"}

// TestScript runs the scripts that need no privilege.
func TestScript(t *testing.T) {
	runScripts(t, slices.DeleteFunc(scriptsIn(t, "testdata/script"), func(file string) bool { return slices.Contains(changing, file) }))
}

// apartVariable tells this program that it has a network namespace of its own.
const apartVariable = "TCPVET_SCRIPT_APART"

// TestScriptApart runs the scripts of what changes something. They expect that nothing
// is changed; should something be all the same, root's are sockets and settings of a
// namespace that is made for it.
func TestScriptApart(t *testing.T) {
	if os.Geteuid() != 0 || os.Getenv(apartVariable) != "" {
		runScripts(t, changing)
		return
	}
	runtime.LockOSThread() // the signal comes when the thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestScriptApart$", "-test.v")
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestScriptApart/fix") {
		t.Errorf("in a namespace of their own: %v\n%s", err, out)
	}
}

// scriptsIn gives the scripts in a folder.
func scriptsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no scripts: %v", dir, err)
	}
	return files
}

// TestRootScript runs the scripts that look at network namespaces of their own.
func TestRootScript(t *testing.T) {
	kerneltest.Root(t)
	for _, tool := range []string{"unshare", "setpriv", "ip", "ss", "netstat", "nft", "setcap"} {
		kerneltest.Tool(t, tool)
	}
	runScripts(t, scriptsIn(t, "testdata/script/root"))
}

func runScripts(t *testing.T, files []string) {
	testscript.Run(t, testscript.Params{
		Files: files,
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
