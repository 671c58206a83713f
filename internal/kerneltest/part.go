package kerneltest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// partVariable names the part that this test binary plays instead of testing.
const partVariable = "TCPVET_TEST_PART"

// Main is for TestMain: it runs the tests, or, in a process that Part made, the
// part of that name, on the main goroutine, which is on the main thread.
func Main(m *testing.M, parts map[string]func() error) {
	name := os.Getenv(partVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	play, ok := parts[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "part %s: there is none of that name\n", name)
		os.Exit(1)
	}
	if err := play(); err != nil {
		fmt.Fprintf(os.Stderr, "part %s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Part gives this test binary as a command that plays a part: another process,
// where a test needs one that is another user, in another namespace, or ends.
func Part(name string) *exec.Cmd {
	// Not by its path: other users may not go where go test puts it.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), partVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// Play runs a part to its end and reads what it told by Say.
func Play(t testing.TB, name string, answer any, change func(*exec.Cmd)) {
	t.Helper()
	cmd := Part(name)
	change(cmd)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("part %s: %v", name, err)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("part %s: %v", name, err)
	}
}

// Say tells Play a value.
func Say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }
