package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// connections is what a part is to do: so many, one after the other, of which every
// second one it leaves to the other end to close first.
type connections struct {
	To netip.AddrPort
	N  int
}

// churn connects and closes.
func churn() error {
	var order connections
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		return err
	}
	for i := range order.N {
		fd, err := dialled(order.To)
		if err != nil {
			return err
		}
		if i%2 == 0 {
			err = unix.Shutdown(fd, unix.SHUT_WR)
		} else {
			_, err = unix.Write(fd, []byte{1}) // the other end closes first
		}
		if err != nil {
			return fmt.Errorf("end a connection: %w", err)
		}
		if _, err := unix.Read(fd, make([]byte, 1)); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		unix.Close(fd)
	}
	return nil
}

// dialled opens a connection of a part.
func dialled(to netip.AddrPort) (fd int, err error) {
	if fd, err = unix.Socket(familyOf(to), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fd, fmt.Errorf("open a socket: %w", err)
	}
	if err = unix.Connect(fd, sockaddr(to, familyOf(to))); err != nil {
		return fd, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

// part starts a part in the namespace of the test and gives it what it is to do. Its
// output is to be read by answer; it ends when its input is closed, or by itself.
type part struct {
	*exec.Cmd
	in     io.WriteCloser
	answer *json.Decoder
	id     tcpvet.Process
	comm   string
}

func start(t testing.TB, name string, order any, change func(*exec.Cmd)) *part {
	t.Helper()
	p := &part{Cmd: kerneltest.Part(name)}
	if change != nil {
		change(p.Cmd)
	}
	var err error
	p.in, err = p.StdinPipe()
	must(t, err)
	out, err := p.StdoutPipe()
	must(t, err)
	p.answer = json.NewDecoder(out)
	must(t, p.Start())
	t.Cleanup(func() { _ = p.end() })
	p.id, p.comm = byProc(t, p.Process.Pid)
	must(t, json.NewEncoder(p.in).Encode(order))
	return p
}

// end ends the part and gives its error.
func (p *part) end() error {
	p.in.Close()
	if p.ProcessState != nil {
		return nil
	}
	return p.Wait()
}

// serve accepts and closes until the test ends: what gets data closes first.
func serve(t testing.TB, l *socket) {
	fd, ended := l.fd, make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 1)
		for {
			c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			_, _ = unix.Read(c, b)
			unix.Close(c)
		}
	}()
	t.Cleanup(func() {
		must(t, unix.Shutdown(fd, unix.SHUT_RDWR)) // which wakes accept()
		<-ended
	})
}

// Twenty thousand connections by two programs: every open and close is told, at both
// ends, and their numbers are the kernel's own, but for what the kernel passes over.
func TestRootChurn(t *testing.T) { kerneltest.Undisturbed(t, testChurn) }

func testChurn(t testing.TB) {
	const each, programs = 10000, 2
	// There is room for all of them, should the reader get no processor for a while.
	f := follow(t, Options{Ring: 16 << 20})
	c, err := OpenCounter(f.options.Netns)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	l, at := listen(t, lo4)
	sysctl(t, "ip_local_port_range", "10000 60999")
	serve(t, l)
	active, passive := counter(t, "TcpActiveOpens"), counter(t, "TcpPassiveOpens")
	var parts []*part
	for range programs {
		parts = append(parts, start(t, "churn", connections{at, each}, nil))
	}
	pids := map[tcpvet.Process]bool{}
	for _, p := range parts {
		pids[p.id] = true
		must(t, p.end())
	}
	active, passive = counter(t, "TcpActiveOpens")-active, counter(t, "TcpPassiveOpens")-passive
	if active != programs*each || passive != active {
		t.Fatalf("the kernel counted %d opened and %d accepted, want %d of each", active, passive, programs*each)
	}
	type kind struct {
		kind  tcpvet.EventKind
		role  tcpvet.Role
		first tcpvet.Closer
		how   tcpvet.CloseHow
	}
	got, unknown := map[kind]int{}, 0
	until(t, "all events", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return uint64(len(f.events))+missedAt(int(2*(active+passive))) >= 2*(active+passive)
	})
	f.end()
	for _, e := range f.events {
		got[kind{e.Kind, e.Role, e.First, e.How}]++
		switch {
		case e.KnownBy == tcpvet.ByNothing:
			unknown++
		case e.Role == tcpvet.Client && !pids[e.Process], e.Role == tcpvet.Server && e.Process.PID != int32(os.Getpid()):
			t.Fatalf("another process: %+v", e)
		}
	}
	want := map[kind]int{
		{tcpvet.EventOpen, tcpvet.Client, nobody, tcpvet.HowUnknown}: programs * each,
		{tcpvet.EventOpen, tcpvet.Server, nobody, tcpvet.HowUnknown}: programs * each,
		{tcpvet.EventClose, tcpvet.Client, local, fin}:               programs * each / 2,
		{tcpvet.EventClose, tcpvet.Client, remote, fin}:              programs * each / 2,
		{tcpvet.EventClose, tcpvet.Server, local, fin}:               programs * each / 2,
		{tcpvet.EventClose, tcpvet.Server, remote, fin}:              programs * each / 2,
	}
	for kind, n := range want {
		near(t, fmt.Sprintf("told of %+v", kind), uint64(got[kind]), n, n)
		delete(got, kind)
	}
	for kind, n := range got {
		if kind.kind != tcpvet.EventLost {
			near(t, fmt.Sprintf("told of %+v", kind), uint64(n), 0, 0)
		}
	}
	t.Logf("%d of %d events without a process", unknown, len(f.events))
	if unknown > int(active)/100 {
		t.Errorf("%d of %d events without a process", unknown, len(f.events))
	}
	counts, err := c.Counts()
	must(t, err)
	for what, n := range map[string]uint64{
		"connected": counts.Connected(), "accepted": counts.Accepted(),
		"closed first here": counts.ClosedBy(local), "closed first there": counts.ClosedBy(remote),
	} {
		near(t, what, n, int(active), int(active))
	}
	near(t, "closed by FIN", counts.ClosedHow(fin), int(active+passive), int(active+passive))
	stats(t, f)
	s := f.Stats()
	near(t, "events lost", s.Lost, 0, int(2*(active+passive)))
	if s.Unfollowed != 0 {
		t.Errorf("%+v", s)
	}
}

// stats logs what the kernel says of the program of the trace.
func stats(t testing.TB, f *follower) {
	t.Helper()
	s, err := f.objects.Changes.Stats()
	must(t, err)
	t.Logf("%d runs, %v, %d missed", s.RunCount, s.Runtime, s.RecursionMisses)
}
