package live

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"inside":     inside,
		"full":       fillDescriptors,
		"unentitled": explainUnentitled,
	})
}

// start starts a part that runs until the test ends, and reads its first words.
func start(t *testing.T, name string, answer any) *exec.Cmd {
	t.Helper()
	c := kerneltest.Part(name)
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	if err := json.NewDecoder(out).Decode(answer); err != nil {
		t.Fatalf("part %s: %v", name, err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// untilEnd blocks until the test wants no more of this part.
func untilEnd() { _, _ = io.Copy(io.Discard, os.Stdin) }

// inside does nothing in a namespace, so that there is a process in it.
func inside() error {
	err := kerneltest.Say(os.Getpid())
	untilEnd()
	return err
}

// fillDescriptors opens sockets until there are no more descriptors.
func fillDescriptors() error {
	limit := unix.Rlimit{Cur: 20, Max: 20}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for {
		if _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
			err := kerneltest.Say(err.(unix.Errno))
			untilEnd()
			return err
		}
	}
}
