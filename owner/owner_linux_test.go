package owner_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/owner"
)

// had checks that each of the sockets was put down to the process that told of it.
func had(t testing.TB, r *owner.Reader, c *closing) {
	t.Helper()
	for i, number := range c.Cookies {
		p, ok, err := r.Lookup(number)
		must(t, err)
		if !ok || p != c.process() || r.Comm(p) != c.Comm {
			t.Errorf("socket %d: %v %q, %v; it was closed by %v %q", i, p, r.Comm(p), ok, c.process(), c.Comm)
		}
	}
}

// unknown checks that none of the sockets is known.
func unknown(t testing.TB, r *owner.Reader, cookies ...uint64) {
	t.Helper()
	for i, number := range cookies {
		if p, ok, err := r.Lookup(number); ok || err != nil || p != tcpvet.Nobody {
			t.Errorf("socket %d is known, of %v: %v", i, p, err)
		}
	}
}

// The end that closes first rests, whether it connected or accepted, and while its
// process lives as after that.
func TestRootWhoClosedFirst(t *testing.T) { kerneltest.Undisturbed(t, testWhoClosedFirst) }

func testWhoClosedFirst(t testing.TB) {
	stage(t)
	var before, after closing
	kerneltest.Start(t, "close", &before, func(*exec.Cmd) {})
	k := keep(t, owner.Options{})
	a := kerneltest.Start(t, "close", &after, func(*exec.Cmd) {})
	rest(t, append(before.Cookies, after.Cookies...))
	r := reader(t)
	unknown(t, r, before.Cookies...)
	had(t, r, &after)
	a.End()
	had(t, r, &after)
	s, err := k.Stats()
	must(t, err)
	// Others on this machine may close some too.
	if s.Remembered < uint64(len(after.Cookies)) || s.Forgotten != 0 {
		t.Errorf("%+v after %d closes", s, len(after.Cookies))
	}
}

// heir closes nothing itself: it has what was passed on to it until it ends.
func heir(t testing.TB, kill bool) {
	stage(t)
	keep(t, owner.Options{})
	ends, err := connect(unix.AF_INET)
	must(t, err)
	number, err := cookie(ends.client)
	must(t, err)
	cmd := exec.Command(kerneltest.Tool(t, "sleep"), "1000")
	client, err := unix.Dup(ends.client)
	must(t, err)
	file := os.NewFile(uintptr(client), "client")
	cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	must(t, file.Close())
	start, err := startOf(cmd.Process.Pid)
	must(t, err)
	must(t, unix.Close(ends.client)) // the other process has it yet
	unknown(t, reader(t), number)
	if kill {
		must(t, cmd.Process.Kill())
	} else {
		must(t, cmd.Process.Signal(syscall.SIGTERM))
	}
	_ = cmd.Wait()
	must(t, unix.Close(ends.server))
	rest(t, []uint64{number})
	had(t, reader(t), &closing{PID: int32(cmd.Process.Pid), Start: start, Comm: "sleep", Cookies: []uint64{number}})
}

func TestRootEnded(t *testing.T) {
	kerneltest.Undisturbed(t, func(t testing.TB) { heir(t, false) })
}

func TestRootKilled(t *testing.T) {
	kerneltest.Undisturbed(t, func(t testing.TB) { heir(t, true) })
}

// shutdown() sends the FIN while the descriptor stays. The thread that calls it has a
// name of its own, and the process goes by that of its first thread.
func TestRootShutdown(t *testing.T) { kerneltest.Undisturbed(t, testShutdown) }

func testShutdown(t testing.TB) {
	stage(t)
	name, err := unix.BytePtrFromString("worker")
	must(t, err)
	must(t, unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0))
	keep(t, owner.Options{})
	me, err := myself()
	must(t, err)
	ends, err := connect(unix.AF_INET6)
	must(t, err)
	number, err := cookie(ends.client)
	must(t, err)
	must(t, unix.Shutdown(ends.client, unix.SHUT_WR))
	must(t, unix.Close(ends.server))
	rest(t, []uint64{number})
	me.Cookies = []uint64{number}
	had(t, reader(t), &me)
}

// The one that closes second, or by an RST, leaves no TIME-WAIT and is not remembered.
func TestRootOthers(t *testing.T) {
	stage(t)
	keep(t, owner.Options{})
	ends, err := connect(unix.AF_INET)
	must(t, err)
	second, err := cookie(ends.server)
	must(t, err)
	_, err = end(ends.client, ends.server)
	must(t, err)
	ends, err = connect(unix.AF_INET)
	must(t, err)
	reset, err := cookie(ends.client)
	must(t, err)
	must(t, unix.SetsockoptLinger(ends.client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	must(t, unix.Close(ends.client))
	unknown(t, reader(t), second, reset)
}

// What is closed while somebody reads is found too, and asking allocates nothing.
func TestRootClosedMeanwhile(t *testing.T) { kerneltest.Undisturbed(t, testClosedMeanwhile) }

func testClosedMeanwhile(t testing.TB) {
	stage(t)
	keep(t, owner.Options{})
	me, err := myself()
	must(t, err)
	r := reader(t)
	for range 3 {
		ends, err := connect(unix.AF_INET)
		must(t, err)
		number, err := cookie(ends.client)
		must(t, err)
		unknown(t, r, number)
		_, err = end(ends.client, ends.server)
		must(t, err)
		me.Cookies = append(me.Cookies, number)
		had(t, r, &me)
	}
	const unused = 1 << 62 // no socket has such a cookie
	if n := testing.AllocsPerRun(100, func() {
		_, _, _ = r.Lookup(me.Cookies[0])
		_, _, _ = r.Lookup(unused)
	}); n != 0 {
		t.Errorf("two questions allocate %v times", n)
	}
}

// The latest take the place of what was closed first, and that is counted.
func TestRootForgotten(t *testing.T) { kerneltest.Undisturbed(t, testForgotten) }

func testForgotten(t testing.TB) {
	stage(t)
	const room, closes = 1024, 5000
	k := keep(t, owner.Options{Connections: room})
	var numbers []uint64
	for range closes {
		ends, err := connect(unix.AF_INET)
		must(t, err)
		number, err := end(ends.client, ends.server)
		must(t, err)
		unix.Close(ends.listener)
		numbers = append(numbers, number)
	}
	me, err := myself()
	must(t, err)
	r := reader(t)
	s, err := k.Stats()
	must(t, err)
	// Others on this machine may close some too.
	if s.Remembered < closes || s.Forgotten != s.Remembered-room {
		t.Errorf("%+v after %d closes, with room for %d", s, closes, room)
	}
	var known []int
	for i, number := range numbers {
		p, ok, err := r.Lookup(number)
		must(t, err)
		if ok && p != me.process() {
			t.Errorf("close %d was by %v", i, p)
		}
		if ok {
			known = append(known, i)
		}
	}
	if len(known) == 0 || len(known) > room || known[len(known)-1] != closes-1 || known[0] != closes-len(known) {
		t.Errorf("%d of %d are known, from %d on, with room for %d", len(known), closes, known[:min(1, len(known))], room)
	}
}

// A subflow of MPTCP may be closed by a thread of the kernel's, in the name of none: it
// is known as that of the process, or not at all.
func TestRootClosedByKernel(t *testing.T) {
	stage(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err != nil {
		t.Skipf("%s MPTCP: %v", kerneltest.LacksFeature, err)
	}
	must(t, unix.Close(fd))
	keep(t, owner.Options{})
	me, err := myself()
	must(t, err)
	ends, err := connectBy(unix.AF_INET, unix.IPPROTO_MPTCP)
	must(t, err)
	must(t, unix.Close(ends.client))
	must(t, unix.Close(ends.server))
	for deadline := time.Now().Add(20 * time.Second); len(resting(t)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is in TIME-WAIT")
		}
	}
	r := reader(t)
	for number := range resting(t) {
		p, ok, err := r.Lookup(number)
		must(t, err)
		if ok && p != me.process() {
			t.Errorf("it was closed by %v %q", p, r.Comm(p))
		}
	}
}
