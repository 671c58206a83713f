package leaktest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// program is one that opens connections, and leaves some open if it is wrong.
type program struct {
	run     func(t *testing.T)
	options Options
	alone   bool // it calls Check itself

	// What a wrong one is to be told, once for each connection; a right one nothing.
	leaks int
	line  string // begins the message: the file and what the line that leaks holds
	words []string
	logs  []string // words told of what nobody fails for
}

// TestPrograms holds Check to a table of programs: of each wrong one every leak is
// told, once, with the line where that is known; right ones are left alone.
func TestPrograms(t *testing.T) {
	for name, p := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, passed := play(t, name, "leaktest")
			if p.logs != nil {
				for _, w := range p.logs {
					if !passed || !strings.Contains(out, w) {
						t.Errorf("passed: %v; want %q told:\n%s", passed, w, out)
					}
				}
				return
			}
			if p.leaks == 0 {
				if !passed || strings.Contains(out, "was left") {
					t.Errorf("a right program was told:\n%s", out)
				}
				return
			}
			if passed {
				t.Fatalf("passed:\n%s", out)
			}
			if n := tellings(out); n != p.leaks {
				t.Errorf("told of %d connections, want %d:\n%s", n, p.leaks, out)
			}
			words := p.words
			if p.line != "" {
				words = append([]string{lineOf(t, p.line) + ": "}, words...)
			}
			for _, w := range words {
				if !strings.Contains(out, w) {
					t.Errorf("does not say %q:\n%s", w, out)
				}
			}
		})
	}
}

// play runs a program in a test binary of its own.
func play(t *testing.T, name, tool string) (out string, passed bool) {
	t.Helper()
	cmd := kerneltest.Part("program")
	cmd.Args = append(cmd.Args, "-test.v", "-test.timeout=60s")
	cmd.Env = append(cmd.Env, programVariable+"="+name, toolVariable+"="+tool, "GOGC=off")
	cmd.Stderr = nil
	text, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "=== RUN") || strings.Contains(string(text), "panic:") {
		t.Fatalf("the program did not run:\n%s", text)
	}
	return string(text), err == nil
}

// tellings counts the connections that a report tells of.
func tellings(out string) (n int) {
	for line := range strings.Lines(out) {
		line = strings.TrimPrefix(line, "    ")
		var many int
		switch {
		case strings.Contains(line, " were left "):
			_, after, _ := strings.Cut(line, "_test.go:")
			if at := strings.Index(after, " connections "); at > 0 {
				fields := strings.Fields(after[:at])
				_, _ = fmt.Sscan(fields[len(fields)-1], &many)
			}
			n += many
		case strings.Contains(line, " was left "):
			n++
		}
	}
	return n
}

// lineOf finds a line of this package's programs by what it holds: "file:12".
func lineOf(t *testing.T, holds string) string {
	t.Helper()
	for _, file := range []string{"wrong_http_linux_test.go", "wrong_conn_linux_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if strings.Contains(line, holds) {
				return fmt.Sprintf("%s:%d", file, n)
			}
		}
	}
	t.Fatalf("find a line that holds %q: there is none", holds)
	return ""
}
