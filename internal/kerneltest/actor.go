package kerneltest

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Actor is a process that plays a part until it is ended.
type Actor struct {
	*exec.Cmd
	In  io.WriteCloser
	Out *json.Decoder // what it tells by Say
}

// Start starts a part and reads its first words. The test ends it at the latest.
func Start(t testing.TB, name string, answer any, change func(*exec.Cmd)) *Actor {
	t.Helper()
	a := &Actor{Cmd: Part(name)}
	change(a.Cmd)
	in, err := a.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.End)
	a.In, a.Out = in, json.NewDecoder(out)
	if err := a.Out.Decode(answer); err != nil {
		t.Fatalf("part %s: %v", name, err)
	}
	return a
}

// End ends the part and waits for that.
func (a *Actor) End() {
	a.In.Close()
	_ = a.Wait()
}

// UntilEnd blocks a part until the test wants no more of it.
func UntilEnd() { _, _ = io.Copy(io.Discard, os.Stdin) }
