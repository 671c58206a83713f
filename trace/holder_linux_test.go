package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func init() {
	Parts["hold"], Parts["heir"], Parts["leaderless"] = hold, heir, leaderless
}

// holding is what a part is to hold, and by whom.
type holding struct {
	To   netip.AddrPort
	Heir bool // by a child, when the part itself has ended
}

// holdingAnswer is what it then says.
type holdingAnswer struct {
	Cookie uint64
	Heir   tcpvet.Process
}

// hold connects, and holds the connection until its input ends.
func hold() error {
	var order holding
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		return err
	}
	fd, err := dialled(order.To)
	if err != nil {
		return err
	}
	var answer holdingAnswer
	if answer.Cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
		return err
	}
	if order.Heir {
		child := kerneltest.Part("heir")
		child.Stdin, child.ExtraFiles = os.Stdin, []*os.File{os.NewFile(uintptr(fd), "connection")}
		if err := child.Start(); err != nil {
			return err
		}
		answer.Heir.PID = int32(child.Process.Pid)
		return kerneltest.Say(answer)
	}
	if err := kerneltest.Say(answer); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// heir holds what it inherited until its input ends.
func heir() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// leaderless listens and accepts in a thread that is not the main one, which ends.
func leaderless() error {
	ready := make(chan error)
	go func() {
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Listen(l, 16)
		}
		var sa unix.Sockaddr
		if err == nil {
			sa, err = unix.Getsockname(l)
		}
		if err == nil {
			err = kerneltest.Say(netip.AddrPortFrom(lo4.Addr(), addrPort(sa).Port()))
		}
		ready <- err
		if _, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC); err != nil {
			os.Exit(1)
		}
		if kerneltest.Say("accepted") != nil {
			os.Exit(1)
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := <-ready; err != nil {
		return err
	}
	runtime.LockOSThread() // the main thread, by Main
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	return errors.New("the main thread did not end")
}

// A process that is killed closes what it holds; so does the last of several.
func TestRootHolderEnds(t *testing.T) { kerneltest.Undisturbed(t, testHolderEnds) }

func testHolderEnds(t testing.TB) {
	f := follow(t, Options{PassShare: 1})
	l, at := listen(t, lo4)
	var answer holdingAnswer
	p := start(t, "hold", holding{To: at}, nil)
	must(t, p.answer.Decode(&answer))
	open := f.one("open", of(tcpvet.EventOpen, answer.Cookie))
	must(t, p.Process.Kill())
	_ = p.end()
	shut := f.one("close", of(tcpvet.EventClose, answer.Cookie))
	for _, e := range []tcpvet.Event{open, shut} {
		if e.Process != p.id || e.Comm != p.comm || e.KnownBy == tcpvet.ByNothing {
			t.Errorf("%v: %v %q, want %v %q", e.Kind, e.Process, e.Comm, p.id, p.comm)
		}
	}
	if shut.First != local || shut.How != fin {
		t.Errorf("killed: %+v", shut)
	}
	accept(t, l).close()

	// The child closes last.
	p = start(t, "hold", holding{To: at, Heir: true}, nil)
	must(t, p.answer.Decode(&answer))
	child, comm := byProc(t, int(answer.Heir.PID))
	_, err := p.Process.Wait() // p.Wait would close the child's input
	must(t, err)
	server := accept(t, l)
	open = f.one("open", of(tcpvet.EventOpen, answer.Cookie))
	if open.Process != p.id {
		t.Errorf("opened by %v, want %v", open.Process, p.id)
	}
	if closed := f.all(of(tcpvet.EventClose, answer.Cookie)); len(closed) > 0 {
		t.Errorf("closed while the child holds it: %+v", closed)
	}
	p.in.Close()
	awaitState(t, server, tcpvet.CloseWait)
	shut = f.one("close", of(tcpvet.EventClose, answer.Cookie))
	if shut.Process != child || shut.Comm != comm || shut.First != local {
		t.Errorf("%+v, want that %v %q closed it", shut, child, comm)
	}
}

// What was accepted is known by a pass over descriptors: in this process, and in one
// without its main thread.
func TestRootHolderAdopted(t *testing.T) { kerneltest.Undisturbed(t, testHolderAdopted) }

func testHolderAdopted(t testing.TB) {
	tr := stopped(t, Options{PassShare: 1})
	l, here := listen(t, lo4)
	connected(t, l, here)
	p := start(t, "leaderless", nil, nil)
	var there netip.AddrPort
	must(t, p.answer.Decode(&there))
	until(t, "the main thread of the other process has ended", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		must(t, err)
		return strings.Contains(string(text), ") Z ")
	})
	c := newSocket(t, unix.AF_INET, 0)
	must(t, dial(c, there))
	var accepted string
	must(t, p.answer.Decode(&accepted))

	me, comm := self(t)
	want := map[netip.AddrPort]struct {
		tcpvet.Process
		comm string
	}{here: {me, comm}, there: {p.id, p.comm}}
	servers := func(kind tcpvet.EventKind) (found int) {
		until(t, "time for another pass", tr.adopter.due)
		readOut(t, tr, func(e *tcpvet.Event) error {
			if e.Kind != kind || e.Role != tcpvet.Server {
				return nil
			}
			found++
			if w := want[e.Local]; e.Process != w.Process || e.Comm != w.comm || e.KnownBy != tcpvet.ByCookie {
				t.Errorf("%v at %v: %v %q, known by %v, want %+v", kind, e.Local, e.Process, e.Comm, e.KnownBy, w)
			}
			return nil
		})
		return found
	}
	if n := servers(tcpvet.EventOpen); n != 2 {
		t.Errorf("%d opens at the listeners, want 2", n)
	}
	if st := tr.Stats(); st.Passes != 2 || st.Adopted != 2 {
		t.Errorf("%+v, want 2 adopted in the second pass", st)
	}
	// The kernel's table has it: an RST from the other end runs in no call of theirs.
	abortive(t, c)
	c.close()
	until(t, "the other end", func() bool { return counter(t, "TcpEstabResets") > 1 })
	if n := servers(tcpvet.EventClose); n != 1 {
		t.Errorf("%d closes at the listeners, want 1", n)
	}
}

// Nobody accepted it: nobody is told. Its client gets an RST (RFC 9293, section 3.10.4;
// kernel function inet_csk_listen_stop).
func TestRootHolderNone(t *testing.T) { kerneltest.Undisturbed(t, testHolderNone) }

func testHolderNone(t testing.TB) {
	f := follow(t, Options{PassShare: 1})
	l, at := listen(t, lo4)
	c := newSocket(t, unix.AF_INET, 0)
	must(t, dial(c, at))
	from := localOf(t, c)
	open := f.one("open", func(e *tcpvet.Event) bool { return e.Kind == tcpvet.EventOpen && e.Role == tcpvet.Server })
	l.close()
	shut := f.one("close", of(tcpvet.EventClose, open.Cookie))
	for _, e := range []tcpvet.Event{open, shut} {
		if e.Process != tcpvet.Nobody || e.KnownBy != tcpvet.ByNothing || e.Comm != "" || e.Container != nil || e.Remote != from {
			t.Errorf("%+v", e)
		}
	}
	client := f.one("close of the client's end", of(tcpvet.EventClose, c.cookie))
	if shut.First != local || shut.How != rst || client.First != remote || client.How != rst || client.Cause != tcpvet.CauseReset {
		t.Errorf("server: %+v\nclient: %+v", shut, client)
	}
	checkSelf(t, "client", &client)
}

// Who destroys the sockets of others is not who had them (sock_diag(7), SOCK_DESTROY).
func TestRootHolderDestroyed(t *testing.T) { kerneltest.Undisturbed(t, testHolderDestroyed) }

func testHolderDestroyed(t testing.TB) {
	f := follow(t, Options{PassShare: 1, Kinds: allKinds})
	l, at := listen(t, lo4)
	var answer holdingAnswer
	p := start(t, "hold", holding{To: at}, nil)
	must(t, p.answer.Decode(&answer))
	sa, err := unix.Getpeername(accept(t, l).fd)
	must(t, err)
	destroy(t, addrPort(sa), at, answer.Cookie)
	e := f.one("close", of(tcpvet.EventClose, answer.Cookie))
	if e.Process != p.id || e.KnownBy != tcpvet.ByCookie || e.First != local || e.How != rst {
		t.Errorf("%+v, want it of %v", e, p.id)
	}

	p = start(t, "leaderless", nil, nil)
	must(t, p.answer.Decode(&at))
	destroy(t, netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()), netip.AddrPortFrom(netip.IPv4Unspecified(), 0), ^uint64(0))
	e = f.one("the listener's end", func(e *tcpvet.Event) bool {
		return e.Kind == tcpvet.EventState && e.From == tcpvet.Listen && e.Local.Port() == at.Port()
	})
	if e.Process != tcpvet.Nobody && e.Process != p.id || e.KnownBy == tcpvet.ByTask {
		t.Errorf("%+v", e)
	}
}
