package remedy

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// meanwhile does something after all is written down, and before anything is changed.
type meanwhile struct {
	Actor
	do func()
}

func (b meanwhile) Apply(ctx context.Context, changes []tcpvet.Change, tell Tell) error {
	b.do()
	return b.Actor.Apply(ctx, changes, tell)
}

// again connects from a port that was in use.
func again(t *testing.T, from, to netip.AddrPort) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	ok(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	ok(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	ok(t, unix.Bind(fd, sockaddrOf(from)))
	ok(t, unix.Connect(fd, sockaddrOf(to)))
	return fd
}

// alive sends a byte each way.
func alive(t *testing.T, a, b int) {
	t.Helper()
	for _, fds := range [][2]int{{a, b}, {b, a}} {
		if _, err := unix.Write(fds[0], []byte("x")); err != nil {
			t.Errorf("write on the new connection: %v", err)
		}
		if n, err := unix.Read(fds[1], make([]byte, 4)); n != 1 || err != nil {
			t.Errorf("read on the new connection: %d, %v", n, err)
		}
	}
}

// A connection that takes the addresses of a TIME-WAIT between the look and the act
// lives on.
func TestRootCloseRacesReuse(t *testing.T) {
	kerneltest.Netns(t)
	inNamespace(t)
	listener, at := listenAt(t, "127.0.0.1")
	for range 10 {
		client, err := dialTo(sockaddrOf(at))
		ok(t, err)
		name, err := unix.Getsockname(client)
		ok(t, err)
		server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		ok(t, err)
		unix.Close(server) // first, so that its end keeps TIME-WAIT
		unix.Close(client)
		until(t, "TIME-WAIT", func() bool { return bySS(t)["TIME-WAIT"] == 1 })
		p, err := PlanClose(t.Context(), closeOptions(t, tcpvet.TimeWait))
		ok(t, err)
		if tallied(p) != "1" {
			t.Fatalf("planned %s", tallied(p))
		}
		var next, peer int
		p.By = meanwhile{p.By, func() {
			next = again(t, endpoint(name), at)
			peer, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
			ok(t, err)
		}}
		ok(t, p.Apply(t.Context(), journalIn(t)))
		if tallied(p) != "1 gone" {
			t.Errorf("%s: %+v", tallied(p), p.Changes)
		}
		alive(t, next, peer)
		ok(t, unix.SetsockoptLinger(next, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		unix.Close(next)
		unix.Close(peer)
		until(t, "nothing left", func() bool { return bySS(t)["TIME-WAIT"] == 0 })
	}
}

// listed gives the changes that a plan of the test's own sockets would have, which
// PlanClose leaves alone.
func listed(t *testing.T, states ...tcpvet.State) (changes []tcpvet.Change) {
	t.Helper()
	opt := closeOptions(t, states...)
	_, err := opt.selected(t.Context(), opt.States, closeFacts, func(s *tcpvet.Socket, comm string) {
		changes = append(changes, tcpvet.Change{Target: targetOf(s, comm), Before: tcpvet.Value{State: s.State}, After: tcpvet.Value{State: tcpvet.Unconn}})
	})
	ok(t, err)
	return changes
}

// acted has the actor make changes at once, and gives what became of each.
func acted(t *testing.T, changes []tcpvet.Change) (told []string) {
	t.Helper()
	told = make([]string, len(changes))
	ok(t, newClosing().Apply(t.Context(), changes, func(i int, o tcpvet.Outcome, why string) {
		if told[i] != "" {
			t.Errorf("told twice of %d: %s", i, told[i])
		}
		told[i] = fmt.Sprintf("%s %s", o, why)
	}))
	return told
}

// A program closes and connects again between the same addresses, by the same
// descriptor; or it connects the same socket again.
func TestRootCloseRacesProgram(t *testing.T) {
	kerneltest.Netns(t)
	inNamespace(t)
	for name, c := range map[string]struct {
		same bool
		want string
	}{"another socket": {false, "gone "}, "the same socket": {true, "refused it is in ESTAB by now: plan it anew"}} {
		client, server := waiting(t, "127.0.0.1")
		local, err := unix.Getsockname(client)
		ok(t, err)
		remote, err := unix.Getpeername(client)
		ok(t, err)
		from, to := endpoint(local), endpoint(remote)
		changes := listed(t, tcpvet.CloseWait)
		if len(changes) != 1 || !changes[0].Target.Holder.Known() {
			t.Fatalf("listed %+v", changes)
		}
		listener := listenerAt(t, to)
		next := client
		if c.same {
			ok(t, disconnect(client))
			unix.Close(server)
			ok(t, unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
			ok(t, unix.Bind(client, sockaddrOf(from)))
			ok(t, unix.Connect(client, sockaddrOf(to)))
		} else {
			unix.Close(server)
			unix.Close(client)
			next = again(t, from, to)
			if next != client {
				ok(t, unix.Dup3(next, client, unix.O_CLOEXEC))
				t.Cleanup(func() { unix.Close(client) })
			}
		}
		peer, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		ok(t, err)
		if told := acted(t, changes); told[0] != c.want {
			t.Errorf("%s: %q, want %q", name, told[0], c.want)
		}
		alive(t, next, peer)
		unix.Close(next)
		unix.Close(peer)
	}
}

// disconnect is connect(2) with AF_UNSPEC: the socket stays, its connection ends.
func disconnect(fd int) error {
	var sa unix.RawSockaddr
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	if errno != 0 {
		return errno
	}
	return nil
}

// listenerAt finds the test's own listener of an address.
func listenerAt(t *testing.T, at netip.AddrPort) int {
	t.Helper()
	for fd := 3; fd < 1024; fd++ {
		on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil || on == 0 {
			continue
		}
		if name, err := unix.Getsockname(fd); err == nil && endpoint(name) == at {
			return fd
		}
	}
	t.Fatalf("nobody listens at %v", at)
	return -1
}

// What a program does itself between the plan and the act is left as it is.
func TestRootCloseChangesMeanwhile(t *testing.T) {
	kerneltest.Netns(t)
	inNamespace(t)
	left, _ := waiting(t, "127.0.0.1")
	listener, at := listenAt(t, "127.0.0.1")
	open, err := dialTo(sockaddrOf(at))
	ok(t, err)
	peer, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	ok(t, err)
	changes := listed(t, tcpvet.CloseWait, tcpvet.Established)
	if len(changes) != 3 {
		t.Fatalf("listed %d", len(changes))
	}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.ClosePlan, Risk: tcpvet.DropsConnections, Changes: changes}, By: newClosing()}
	unix.Close(left) // it ends
	unix.Close(peer) // the client's end goes to CLOSE-WAIT, its own to FIN-WAIT-2
	until(t, "both have changed", func() bool { n := bySS(t); return n["ESTAB"] == 0 && n["CLOSE-WAIT"] == 1 })
	ok(t, p.Apply(t.Context(), journalIn(t)))
	want := map[string]int{
		"gone": 1,
		"refused it was ESTAB when the plan was made and is CLOSE-WAIT now: plan it anew": 1,
		"refused it was ESTAB when the plan was made and is FIN-WAIT-2 now: plan it anew": 1,
	}
	if got := reasons(p); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if n := bySS(t); n["CLOSE-WAIT"] != 1 {
		t.Errorf("left: %v", n)
	}
	unix.Close(open)
}
