package source_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// The test binary plays a part instead of testing where this variable names it.
const part = "SOURCE_TEST_PART"

func TestMain(m *testing.M) {
	if name := os.Getenv(part); name != "" {
		if err := parts[name](); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var parts = map[string]func() error{
	"hold":     hold,
	"look":     lookUnprivileged,
	"thousand": thousand,
}

func acting(name string) *exec.Cmd {
	// Not by its path: other users may not go where go test puts it.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), part+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// play runs the test binary in a part to its end and reads its answer.
func play(t *testing.T, name string, answer any, change func(*exec.Cmd)) {
	t.Helper()
	cmd := acting(name)
	change(cmd)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("part %s: %v", name, err)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("part %s: %v", name, err)
	}
}

func say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// actor is a process that plays a part until it is ended.
type actor struct {
	*exec.Cmd
	in io.WriteCloser
}

// start starts the part and reads its first words.
func start(t *testing.T, name string, answer any, change func(*exec.Cmd)) *actor {
	t.Helper()
	a := &actor{Cmd: acting(name)}
	change(a.Cmd)
	var err error
	a.in, err = a.StdinPipe()
	must(t, err)
	out, err := a.StdoutPipe()
	must(t, err)
	must(t, a.Start())
	t.Cleanup(a.end)
	if err := json.NewDecoder(out).Decode(answer); err != nil {
		t.Fatalf("part %s: %v", name, err)
	}
	return a
}

// end ends the part and waits for that.
func (a *actor) end() {
	a.in.Close()
	_ = a.Wait()
}

// untilEnd blocks until the test wants no more of this part.
func untilEnd() { _, _ = io.Copy(io.Discard, os.Stdin) }
