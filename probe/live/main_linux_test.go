package live

import (
	"os"
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inside does nothing in a namespace, so that there is a process in it.
func inside() error {
	err := kerneltest.Say(os.Getpid())
	kerneltest.UntilEnd()
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
			kerneltest.UntilEnd()
			return err
		}
	}
}
