package netns

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// The test binary plays a part instead of testing where this variable names it.
const part = "NETNS_TEST_PART"

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
	"enter":    enterAndTell,
	"thousand": thousand,
}

// play runs the test binary in a part to its end and reads its answer.
func play(t *testing.T, name string, answer any, change func(*exec.Cmd)) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), part+"="+name)
	cmd.Stderr = os.Stderr
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
