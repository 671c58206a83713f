package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func init() {
	Parts["callsThreads"] = failOnThreads
	Parts["callsLimit"] = failAtLimit
	Parts["callsGo"] = failToDial
	Parts["callsLeast"] = callsLeast
}

// lost is an address that no route leads to.
func lost() unix.Sockaddr { return target("10.1.2.3:80") }

// failOnThreads fails to connect on its first thread and on another, tells so and waits
// until it may end.
func failOnThreads() error {
	fail := func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, lost()); err != unix.ENETUNREACH {
			return fmt.Errorf("connect() gave %v", err)
		}
		return nil
	}
	other := make(chan error)
	go func() {
		runtime.LockOSThread()
		other <- fail()
	}()
	if err := errors.Join(fail(), <-other); err != nil {
		return err
	}
	return askedToEnd()
}

// askedToEnd tells that a part has come to its end, and waits until it may.
func askedToEnd() error {
	fmt.Println("done")
	_, err := io.ReadAll(os.Stdin)
	return err
}

// playing starts a part and waits until it has come to its end; end lets it.
func playing(t testing.TB, cmd *exec.Cmd) (end func() error) {
	t.Helper()
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	end = sync.OnceValue(func() error { return errors.Join(in.Close(), cmd.Wait()) })
	t.Cleanup(func() { _ = end() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "done\n" {
		t.Fatalf("it said %q, %v", line, err)
	}
	return end
}

// Each failure is told of the process that made the call, by the number that it has
// here, whichever of its threads it was. What fails in a namespace that was not asked
// for is not told.
func TestRootCallsProcesses(t *testing.T) { kerneltest.Undisturbed(t, testCallsProcesses) }

func testCallsProcesses(t testing.TB) {
	w := traceCalls(t)
	const each = 2
	var processes []tcpvet.Process
	var ends []func() error
	for _, flags := range []uintptr{0, unix.CLONE_NEWPID, unix.CLONE_NEWNET} {
		cmd := kerneltest.Part("callsThreads")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		end := playing(t, cmd)
		p, _ := byProc(t, cmd.Process.Pid)
		ends = append(ends, end)
		if flags != unix.CLONE_NEWNET {
			processes = append(processes, p)
		}
	}
	for _, end := range ends {
		must(t, end())
	}
	of := map[tcpvet.Process]int{}
	for _, e := range w.told(t) {
		of[e.Process]++
		if e.Errno != errNETUNREACH || e.KnownBy != tcpvet.ByTask || e.Remote.String() != "10.1.2.3:80" {
			t.Errorf("told %+v", e)
		}
	}
	for _, p := range processes {
		if of[p] != each {
			t.Errorf("%d failures of %+v, want %d", of[p], p, each)
		}
		delete(of, p)
	}
	if len(of) != 0 {
		t.Errorf("of others: %v", of)
	}
}

// failAtLimit may open no more descriptors, and tells what its calls answered.
func failAtLimit() error {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 7007}), unix.Listen(l, 1)); err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = uint64(l) + 1 // descriptors are given from below
	for {
		fd, err := unix.Dup(l)
		if err != nil {
			return err
		}
		if fd >= int(limit.Cur) {
			break
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	var errnos []int
	for _, call := range []func() error{
		func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err },
		func() error {
			_, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
			return err
		},
		func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP); return err },
		func() error { _, _, err := unix.Accept4(l, 0); return err },
		func() error { _, _, err := unix.Accept(l); return err },
		// Not of TCP.
		func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); return err },
		func() error { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP); return err },
	} {
		errnos = append(errnos, int(errno(call())))
	}
	return kerneltest.Say(errnos)
}

func TestRootCallsDescriptors(t *testing.T) { kerneltest.Undisturbed(t, testCallsDescriptors) }

func testCallsDescriptors(t testing.TB) {
	w := traceCalls(t)
	var errnos []int
	kerneltest.Play(t, "callsLimit", &errnos, func(*exec.Cmd) {})
	socket, accept := tcpvet.CallSocket.String(), tcpvet.CallAccept.String()
	want := []string{socket + " 0.0.0.0:0", socket + " [::]:0", socket + " 0.0.0.0:0", accept + " 127.0.0.1:7007", accept + " 127.0.0.1:7007"}
	if len(errnos) < len(want) || slices.ContainsFunc(errnos[:len(want)], func(e int) bool { return e != errMFILE }) {
		t.Fatalf("calls gave %v, want %d: the staging is wrong", errnos, errMFILE)
	}
	var got []string
	for _, e := range w.told(t) {
		got = append(got, e.Call.String()+" "+e.Local.String())
		if e.Errno != errMFILE || e.Cause != tcpvet.CauseDescriptorLimit || e.Remote.IsValid() || e.Netns != w.netns {
			t.Errorf("told %+v", e)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// Dials, of each of so many goroutines.
const dialing, dialsEach = 3, 20

// failToDial dials the address of its environment from several goroutines at once.
func failToDial() error {
	errs := make(chan error, dialing)
	for range dialing {
		go func() {
			var err error
			for range dialsEach {
				c, e := net.Dial("tcp", os.Getenv("TCPVET_TEST_TARGET"))
				if e == nil {
					c.Close()
				}
				if !errors.Is(e, unix.EADDRNOTAVAIL) {
					err = fmt.Errorf("Dial gave %v", e)
				}
			}
			errs <- err
		}()
	}
	var all error
	for range dialing {
		all = errors.Join(all, <-errs)
	}
	return errors.Join(all, askedToEnd())
}

// One Dial of Go makes three connect(), which are told as one failure; of another
// program each connect() is one.
func TestRootCallsDial(t *testing.T) { kerneltest.Undisturbed(t, testCallsDial) }

func testCallsDial(t testing.TB) {
	f := follow(t, Options{Kinds: Fails, Calls: true})
	to := exhaust(t, netip.MustParseAddrPort("127.0.0.1:0")).String()
	cmd := kerneltest.Part("callsGo")
	cmd.Env = append(cmd.Env, "TCPVET_TEST_TARGET="+to)
	end := playing(t, cmd)
	// What program it is can be read as long as it runs.
	const dials, tries = dialing * dialsEach, 5
	calls := func() (n uint64) {
		for _, e := range f.all(func(*tcpvet.Event) bool { return true }) {
			n += max(e.Count, 1)
		}
		return n
	}
	until(t, "the failures of Go", func() bool { return calls() == 3*dials })
	must(t, end())
	_, port, _ := strings.Cut(to, ":")
	python := exec.Command(kerneltest.Tool(t, "python3"), "-c", `
import socket, sys
for _ in range(int(sys.argv[2])):
    with socket.socket() as s:
        if s.connect_ex(("127.0.0.1", int(sys.argv[1]))) != 99:
            sys.exit("another errno")
`, port, strconv.Itoa(tries))
	python.Stderr = os.Stderr
	must(t, python.Run())
	f.end()
	events, sums := map[int32]int{}, map[int32]uint64{}
	for _, e := range f.all(func(*tcpvet.Event) bool { return true }) {
		events[e.Process.PID]++
		sums[e.Process.PID] += max(e.Count, 1)
		if e.Errno != errADDRNOTAVAIL || e.Cause != tcpvet.CausePortsExhausted || e.Remote.String() != to {
			t.Errorf("told %+v", e)
		}
	}
	if pid := int32(cmd.Process.Pid); events[pid] != dials || sums[pid] != 3*dials {
		t.Errorf("of Go: %d failures of %d calls, want %d of %d", events[pid], sums[pid], dials, 3*dials)
	}
	if pid := int32(python.Process.Pid); events[pid] != tries || sums[pid] != tries {
		t.Errorf("of Python: %d failures of %d calls, want %d of each", events[pid], sums[pid], tries)
	}
	if len(events) != 2 {
		t.Errorf("failures by process: %v", events)
	}
}

// Who accepts a connection is noted with it at once.
func TestRootCallsAccepter(t *testing.T) { kerneltest.Undisturbed(t, testCallsAccepter) }

func testCallsAccepter(t testing.TB) {
	w := traceCalls(t)
	p, comm := self(t)
	for _, on := range []netip.AddrPort{lo4, lo6} {
		l, at := listen(t, on)
		client := newSocket(t, familyOf(at), 0)
		must(t, dial(client, at))
		for _, accept := range []func(int) (int, unix.Sockaddr, error){
			unix.Accept, func(fd int) (int, unix.Sockaddr, error) { return unix.Accept4(fd, unix.SOCK_CLOEXEC) },
		} {
			fd, _, err := accept(l.fd)
			must(t, err)
			server := adopted(t, fd)
			c := make([]byte, connLen)
			_, err = w.places.ReadAt(c, int64(server.cookie%uint64(w.options.places()))*connLen)
			must(t, err)
			if got := decodeKept(c, server.cookie); got.process != p || unix.ByteSliceToString(got.comm[:]) != comm {
				t.Errorf("%v: accepted by %+v %q; this is %+v %q", at, got.process, got.comm, p, comm)
			}
			must(t, dial(newSocket(t, familyOf(at), 0), at))
		}
	}
}
