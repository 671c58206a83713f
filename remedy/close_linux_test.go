package remedy

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/vet"
)

// setPorts gives the test's namespace a range of local ports.
func setPorts(t *testing.T, low, high int) {
	t.Helper()
	ok(t, os.WriteFile("/proc/thread-self/root/proc/sys/net/ipv4/ip_local_port_range", fmt.Appendf(nil, "%d %d\n", low, high), 0))
}

// A client leaks until connect() fails for want of a port. Closing from outside frees
// the ports, and it goes on.
func TestRootCloseLeak(t *testing.T) {
	const ports = 200
	for _, addr := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		t.Run(addr, func(t *testing.T) {
			kerneltest.Netns(t)
			setPorts(t, 30000, 30000+ports-1)
			listener, at := listenAt(t, addr)
			client := startLeaker(t)
			leak := client.do(leakOrder{Do: "leak", To: at.String(), N: ports + 1})
			if leak.Opened != ports || leak.Errno != int(unix.EADDRNOTAVAIL) {
				t.Fatalf("it opened %d and failed with %v", leak.Opened, unix.Errno(leak.Errno))
			}
			acceptAndClose(t, listener)
			until(t, "all in CLOSE-WAIT", func() bool { n := bySS(t); return n["CLOSE-WAIT"] == ports && n["FIN-WAIT-2"] == ports })

			pid := int32(client.cmd.Process.Pid)
			opt := closeOptions(t)
			opt.All, opt.Match = false, func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool { return s.Holder.PID == pid }
			p, err := PlanClose(t.Context(), opt)
			ok(t, err)
			if tallied(p) != "200" || p.Risk != tcpvet.ChangesProcess || p.Kind != tcpvet.ClosePlan {
				t.Fatalf("planned %s, risk %s", tallied(p), p.Risk)
			}
			if n := bySS(t); n["CLOSE-WAIT"] != ports {
				t.Fatalf("a plan has changed something: %v", n)
			}
			if a := client.do(leakOrder{Do: "once", To: at.String(), N: 1}); a.Errno != int(unix.EADDRNOTAVAIL) {
				t.Fatalf("before the cure: %v", unix.Errno(a.Errno))
			}
			j := journalIn(t)
			ok(t, p.Apply(t.Context(), j))
			if got := reasons(p); !maps.Equal(got, map[string]int{"applied " + shutDown: ports}) {
				t.Errorf("%v", got)
			}
			if n := bySS(t); n["CLOSE-WAIT"]+n["LAST-ACK"]+n["FIN-WAIT-2"] != 0 {
				t.Errorf("left, says ss: %v", n)
			}
			if a := client.do(leakOrder{Do: "once", To: at.String(), N: ports}); a.Opened != ports || a.Errno != 0 {
				t.Errorf("after the cure it opened %d: %v", a.Opened, unix.Errno(a.Errno))
			}
			// What its program sees, and that the descriptors are still its own.
			if a := client.do(leakOrder{Do: "try"}); a.Opened != ports || a.Ends != ports || a.Writes["EPIPE"] != ports {
				t.Errorf("its connections: %+v", a)
			}
			if _, err := PlanUndo(t.Context(), j, p.ID, UndoOptions{}); !errors.Is(err, ErrNotUndoable) {
				t.Errorf("undo: %v", err)
			}
		})
	}
}

// waiting gives a connection whose client's end is in CLOSE-WAIT, and the server's,
// which is held, in FIN-WAIT-2.
func waiting(t *testing.T, addr string) (client, server int) {
	t.Helper()
	listener, at := listenAt(t, addr)
	client, err := dialTo(sockaddrOf(at))
	ok(t, err)
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	ok(t, err)
	t.Cleanup(func() { unix.Close(server) })
	ok(t, unix.Shutdown(server, unix.SHUT_WR))
	in := func(fd int, state tcpvet.State) bool {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && tcpvet.State(info.State) == state
	}
	until(t, "CLOSE-WAIT and FIN-WAIT-2", func() bool { return in(client, tcpvet.CloseWait) && in(server, tcpvet.FinWait2) })
	return client, server
}

// A program that would die of SIGPIPE has its sockets destroyed, one that ignores the
// signal has them shut down; the peers see the one and the other.
func TestRootCloseByProgram(t *testing.T) {
	kerneltest.Netns(t)
	deadly, deadlyPeer := waiting(t, "127.0.0.1")
	immune, immunePeer := waiting(t, "127.0.0.1")
	shared, sharedPeer := waiting(t, "127.0.0.1")
	mixed, mixedPeer := waiting(t, "127.0.0.1")
	dup := func(fd int) int {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		ok(t, err)
		return n
	}
	const ignore = "trap '' PIPE; "
	a := keeping(t, ignore, immune, dup(shared), dup(mixed))
	b := keeping(t, ignore, shared)
	c := keeping(t, "", deadly, mixed)
	p, err := PlanClose(t.Context(), closeOptions(t))
	ok(t, err)
	if len(p.Changes) != 4 {
		t.Fatalf("%d sockets are planned, a shared one once: %+v", len(p.Changes), p.Changes)
	}
	if note := strings.Join(p.Notes, "\n"); !strings.Contains(note, "2 of those in CLOSE-WAIT are destroyed and not shut down, because SIGPIPE would end their programs (") ||
		!strings.Contains(note, fmt.Sprintf("cat[%d]", c.Process.Pid)) {
		t.Errorf("notes: %s", note)
	}
	ok(t, p.Apply(t.Context(), journalIn(t)))
	want := map[string]int{"applied " + shutDown: 2, "applied destroyed: " + errDeadly.Error(): 2}
	if got := reasons(p); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for name, c := range map[string]struct {
		fd   int
		want string
	}{"immune": {immunePeer, ""}, "shared": {sharedPeer, ""}, "deadly": {deadlyPeer, "ECONNRESET"}, "mixed": {mixedPeer, "ECONNRESET"}} {
		if n, err := unix.Read(c.fd, make([]byte, 8)); n > 0 || nameOf(err) != c.want {
			t.Errorf("the peer of the %s program reads %d, %v; want %q", name, n, err, c.want)
		}
	}
	// They keep their descriptors.
	for pid, want := range map[int]int{a.Process.Pid: 3, b.Process.Pid: 1, c.Process.Pid: 2} {
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		list, err := os.ReadDir(dir)
		ok(t, err)
		sockets := 0
		for _, e := range list {
			if link, _ := os.Readlink(dir + e.Name()); strings.HasPrefix(link, "socket:") {
				sockets++
			}
		}
		if sockets != want {
			t.Errorf("process %d has %d sockets, want %d", pid, sockets, want)
		}
	}
}

// TIME-WAIT is nobody's, and is destroyed; a FIN-WAIT-2 that nobody holds is closed
// when it is named. Either source tells what is needed.
func TestRootCloseHeldByNobody(t *testing.T) {
	for _, by := range []string{"netlink", "bpf"} {
		t.Run(by, func(t *testing.T) {
			if by == "bpf" {
				kerneltest.Need(t, kernel.BPFIterators)
			}
			kerneltest.Netns(t)
			inNamespace(t)
			for range 3 {
				listener, at := listenAt(t, "::ffff:127.0.0.1")
				client, err := dialTo(sockaddrOf(at))
				ok(t, err)
				server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
				ok(t, err)
				unix.Close(client)
				unix.Close(server)
			}
			_, server := waiting(t, "127.0.0.1")
			unix.Close(server)
			until(t, "TIME-WAIT and FIN-WAIT-2", func() bool { n := bySS(t); return n["TIME-WAIT"] == 3 && n["FIN-WAIT-2"] == 1 })
			opt := closeOptions(t, tcpvet.TimeWait, tcpvet.FinWait2)
			src, err := source.Open(by)
			ok(t, err)
			opt.Source = src
			p, err := PlanClose(t.Context(), opt)
			ok(t, err)
			if tallied(p) != "4" || p.Risk != tcpvet.DropsConnections {
				t.Fatalf("planned %s, risk %s", tallied(p), p.Risk)
			}
			ok(t, p.Apply(t.Context(), journalIn(t)))
			if n := bySS(t); tallied(p) != "4 applied" || n["TIME-WAIT"]+n["FIN-WAIT-2"] != 0 || n["CLOSE-WAIT"] != 1 {
				t.Errorf("%s; left, says ss: %v", tallied(p), n)
			}
		})
	}
}

// sinceFIN is how long ago the last segment came in, as ss(8) tells it.
func sinceFIN(t *testing.T, from netip.AddrPort) time.Duration {
	t.Helper()
	out, err := exec.Command(kerneltest.Tool(t, "ss"), "-tniH", "src", from.String()).Output()
	ok(t, err)
	_, rest, found := strings.Cut(string(out), " lastack:")
	if !found {
		return 0 // ss leaves it out
	}
	text, _, _ := strings.Cut(rest, " ")
	ms, err := strconv.Atoi(text)
	ok(t, err)
	return time.Duration(ms) * time.Millisecond
}

// One that is older is closed, one that is not stays, and so does one of which nobody
// knows.
func TestRootCloseOlderThan(t *testing.T) {
	kerneltest.Netns(t)
	_, orphan := waiting(t, "127.0.0.1")
	unix.Close(orphan) // it leaves a FIN-WAIT-2, whose age the kernel does not tell
	for gap := 100 * time.Millisecond; ; gap *= 2 {
		old, _ := waiting(t, "127.0.0.1")
		time.Sleep(gap) // between their FINs
		young, _ := waiting(t, "127.0.0.1")
		atOld, atYoung := own(t, old).local, own(t, young).local
		keeping(t, "trap '' PIPE; ", old, young)
		opt := closeOptions(t, tcpvet.CloseWait, tcpvet.FinWait2)
		opt.Match = func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool {
			return s.State == tcpvet.FinWait2 || s.Local == atOld || s.Local == atYoung
		}
		opt.OlderThan = sinceFIN(t, atOld)/2 + sinceFIN(t, atYoung)/2
		p, err := PlanClose(t.Context(), opt)
		ok(t, err)
		if sinceFIN(t, atYoung) >= opt.OlderThan {
			continue // it took so long that both are older
		}
		if len(p.Changes) != 1 || p.Changes[0].Target.Local != atOld {
			t.Errorf("older than %v: %+v", opt.OlderThan, p.Changes)
		}
		for _, says := range []string{"1 of which nobody knows", "1 that are not older than " + vet.Duration(opt.OlderThan)} {
			if !strings.Contains(strings.Join(p.Notes, "\n"), says) {
				t.Errorf("%q is missing in %q", says, p.Notes)
			}
		}
		return
	}
}

// What tcpvet holds itself is left alone, and so are listeners.
func TestRootCloseSparesOwn(t *testing.T) {
	kerneltest.Netns(t)
	inNamespace(t)
	own, _ := waiting(t, "127.0.0.1")
	opt := closeOptions(t, tcpvet.CloseWait, tcpvet.FinWait2, tcpvet.Established)
	p, err := PlanClose(t.Context(), opt)
	ok(t, err)
	if len(p.Changes) != 0 || !slices.Contains(p.Notes, "Left alone: 2 that tcpvet holds itself.") {
		t.Errorf("%+v, %q", p.Changes, p.Notes)
	}
	// Nor by way of another that has inherited it.
	dup, err := unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, 0)
	ok(t, err)
	keeping(t, "", dup)
	if p, err = PlanClose(t.Context(), opt); err != nil || len(p.Changes) != 0 {
		t.Errorf("%+v, %v", p.Changes, err)
	}
}

// Ten thousand in one call.
func TestRootCloseMany(t *testing.T) {
	const many = 10_000
	kerneltest.Netns(t)
	setPorts(t, 20000, 60000)
	listener, at := listenAt(t, "127.0.0.1")
	acceptAndClose(t, listener)
	client := startLeaker(t)
	if a := client.do(leakOrder{Do: "leak", To: at.String(), N: many}); a.Opened != many {
		t.Fatalf("it opened %d: %v", a.Opened, unix.Errno(a.Errno))
	}
	until(t, "all in CLOSE-WAIT", func() bool { return bySS(t)["CLOSE-WAIT"] == many })
	begin := time.Now()
	p, err := PlanClose(t.Context(), closeOptions(t, tcpvet.CloseWait))
	ok(t, err)
	planned := time.Since(begin)
	ok(t, p.Apply(t.Context(), journalIn(t)))
	t.Logf("%d sockets: planned in %v, closed in %v", many, planned, time.Since(begin)-planned)
	if n := bySS(t); tallied(p) != "10000 applied" || n["CLOSE-WAIT"]+n["LAST-ACK"]+n["FIN-WAIT-2"] != 0 {
		t.Errorf("%s; left, says ss: %v", tallied(p), n)
	}
	if a := client.do(leakOrder{Do: "try"}); a.Ends != many || a.Writes["EPIPE"] != many {
		t.Errorf("its connections: %+v", a)
	}
}
