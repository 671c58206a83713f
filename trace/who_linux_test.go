package trace

import (
	"os"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// self is the process that the test is, by /proc.
func self(t testing.TB) (tcpvet.Process, string) {
	t.Helper()
	return byProc(t, os.Getpid())
}

func byProc(t testing.TB, pid int) (tcpvet.Process, string) {
	t.Helper()
	p, comm, err := identify(pid)
	must(t, err)
	return p, comm
}

// checkAccepted is checkSelf of what was accepted, which may not be known: it is
// when a pass comes between accept() and the end.
func checkAccepted(t testing.TB, what string, e *tcpvet.Event) {
	t.Helper()
	if e.KnownBy != tcpvet.ByNothing || e.Process != tcpvet.Nobody {
		checkSelf(t, what, e)
	}
}

func identify(pid int) (tcpvet.Process, string, error) {
	p, _, err := procfs.FS{}.Descriptors(int32(pid))
	if err != nil {
		return p, "", err
	}
	info, err := procfs.FS{}.ProcessInfo(p)
	return p, info.Comm, err
}

// checkSelf checks that the event is told of this process.
func checkSelf(t testing.TB, what string, e *tcpvet.Event) {
	t.Helper()
	p, comm := self(t)
	if e.Process != p || e.Comm != comm || e.KnownBy == tcpvet.ByNothing {
		t.Errorf("%s: %v %q, known by %v; this is %v %q", what, e.Process, e.Comm, e.KnownBy, p, comm)
	}
}
