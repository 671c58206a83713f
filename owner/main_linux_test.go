package owner_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/owner"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"close":  closeFirst,
		"keep":   keepUntilEnd,
		"inside": inside,
		"read":   readOnly,
	})
}

// stage is a test's own network namespace and BPF file system.
func stage(t *testing.T) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.BTF)
	kerneltest.Need(t, kernel.BPFMaps)
	kerneltest.Netns(t)
	kerneltest.BPFFS(t)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keep remembers until the test ends.
func keep(t testing.TB, o owner.Options) *owner.Keeper {
	t.Helper()
	k, err := owner.Keep(o)
	must(t, err)
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// reader finds what is remembered.
func reader(t testing.TB) *owner.Reader {
	t.Helper()
	r, err := owner.Open("")
	must(t, err)
	if r == nil {
		t.Fatal("no Keeper was found")
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// actor is a process that plays a part until it is ended.
type actor struct {
	*exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
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
	a.out = json.NewDecoder(out)
	if err := a.out.Decode(answer); err != nil {
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
