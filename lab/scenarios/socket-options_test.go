package scenarios

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// socketPair gives two connected sockets.
func socketPair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) })
	return fds[0], fds[1]
}

func TestOpenSockets(t *testing.T) {
	before, err := openSockets(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	_, b := socketPair(t)
	both, err := openSockets(os.Getpid())
	if err != nil || both != before+2 {
		t.Errorf("with a pair of sockets more: %d after %d, %v", both, before, err)
	}
	unix.Close(b)
	if one, err := openSockets(os.Getpid()); err != nil || one != before+1 {
		t.Errorf("with one of them closed: %d after %d, %v", one, before, err)
	}
}

// What is waited for on several sockets is told in the order of the order.
func TestAwait(t *testing.T) {
	talks, talker := socketPair(t)
	ends, ender := socketPair(t)
	if _, err := unix.Write(talker, []byte(answer)); err != nil {
		t.Fatal(err)
	}
	unix.Close(talker)
	unix.Close(ender)
	const none = 1 << 20 // no descriptor
	all, err := awaitSocket(awaitCall{[]int{talks, ends, none}})
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	if a := all[0]; a.FD != talks || a.Bytes != len(answer) || a.End || a.Failure != nil {
		t.Errorf("of a message: %+v", a)
	}
	if a := all[1]; a.FD != ends || a.Bytes != 0 || !a.End || a.Failure != nil {
		t.Errorf("of an end: %+v", a)
	}
	if err := failsBy(all[2].Failure, "read", "EBADF"); err != nil {
		t.Error(err)
	}
	if err := all[1].timedOut(); err == nil {
		t.Error("an end passes for ETIMEDOUT")
	}
}

func TestSetSocketTellsErrno(t *testing.T) {
	a, b := socketPair(t)
	defer unix.Close(b)
	// A UNIX socket has no options of TCP (unix(7)).
	r, err := setSocket(setCall{a, probing(1, 1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failure == nil || r.Failure.Call != "setsockopt" || r.Failure.errno() != unix.EOPNOTSUPP {
		t.Errorf("%+v, and setsockopt was to fail with EOPNOTSUPP", r.Failure)
	}
}
