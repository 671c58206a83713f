package source_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"bound":     holdBound,
		"hold":      hold,
		"look":      lookUnprivileged,
		"outside":   lookOutside,
		"power":     lookWithPower,
		"tableless": holdTableless,
		"thousand":  thousand,
	})
}

// actor is a process that plays a part until it is ended.
type actor struct {
	*exec.Cmd
	in io.WriteCloser
}

// start starts the part and reads its first words.
func start(t *testing.T, name string, answer any, change func(*exec.Cmd)) *actor {
	t.Helper()
	a := &actor{Cmd: kerneltest.Part(name)}
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
