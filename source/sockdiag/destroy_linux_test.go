package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// connections gives the staged sockets that the kernel finds by their addresses.
func connections(all []staged) (out []staged) {
	for _, s := range all {
		if s.state != tcpvet.Listen && s.state != tcpvet.BoundInactive {
			out = append(out, s)
		}
	}
	return out
}

// Sockets of every state, of IPv4, IPv6 and mapped addresses, are found and ended by
// what a dump tells of them, and no other is.
func TestRootDestroy(t *testing.T) {
	kerneltest.Netns(t)
	c := dial(t)
	must(t, c.ProbeDestroy())
	all := stageAll(t, "127.0.0.1", "::1", "::ffff:127.0.0.1")
	seen := dumpAll(t, c, Request{})
	var list []ID
	var want []tcpvet.Socket
	for _, s := range connections(all) {
		told, ok := seen[s.cookie]
		if !ok {
			t.Fatalf("%s is not listed", s.name)
		}
		list, want = append(list, IDOf(&told)), append(want, told)
	}
	ctx := context.Background()
	must(t, c.Lookup(ctx, list, func(i int, s *tcpvet.Socket, err error) {
		if err != nil || s.State != want[i].State || s.Cookie != want[i].Cookie || s.Inode != want[i].Inode {
			t.Errorf("look up %v %v: %+v, %v", want[i].State, want[i].Local, s, err)
		}
	}))

	// The cookie of another is no leave to end this one.
	wrong := make([]ID, len(list))
	for i := range list {
		wrong[i] = list[i]
		wrong[i].Cookie += 1 << 40
	}
	told, err := destroyed(c, ctx, wrong)
	must(t, err)
	for i, err := range told {
		if !errors.Is(err, ErrGone) {
			t.Errorf("%v with another cookie: %v", want[i].State, err)
		}
	}
	if now := dumpAll(t, c, Request{}); len(now) != len(seen) {
		t.Errorf("%d sockets are left of %d that were not asked for", len(now), len(seen))
	}

	// Every second one. A reset that one sends may end its peer as well, so each
	// is looked for before, and by ss afterwards.
	done := 0
	for i := 0; i < len(list); i += 2 {
		alive := false
		must(t, c.Lookup(ctx, list[i:i+1], func(_ int, s *tcpvet.Socket, err error) { alive = err == nil }))
		told, err := destroyed(c, ctx, list[i:i+1])
		must(t, err)
		if alive && told[0] == nil {
			done++
		} else if alive || !errors.Is(told[0], ErrGone) {
			t.Errorf("%v %v -> %v: there %v, and then %v", want[i].State, list[i].Local, list[i].Remote, alive, told[0])
		}
		if again, _ := destroyed(c, ctx, list[i:i+1]); !errors.Is(again[0], ErrGone) {
			t.Errorf("%v a second time: %v", want[i].State, again[0])
		}
	}
	if done < len(list)/4 {
		t.Errorf("%d of %d were ended", done, len(list)/2)
	}
	out, err := exec.Command(kerneltest.Tool(t, "ss"), "-tanHe").Output()
	must(t, err)
	for i := 0; i < len(list); i += 2 {
		if text := fmt.Sprintf(" sk:%x ", list[i].Cookie); strings.Contains(string(out)+" ", text) {
			t.Errorf("%v is still there, says ss: %s", want[i].State, text)
		}
	}
	for _, s := range all {
		if s.state == tcpvet.Listen && !strings.Contains(string(out), fmt.Sprintf(" sk:%x", s.cookie)) {
			t.Errorf("%s is gone", s.name)
		}
	}
}

// A connection that has taken the addresses of the one that was listed lives on.
func TestRootDestroyNotTheNext(t *testing.T) {
	kerneltest.Netns(t)
	c := dial(t)
	l, at := listen(t, "127.0.0.1", 8)
	first := connect(t, at)
	from := local(t, first)
	id := ID{Local: from, Remote: at, Cookie: cookie(t, first)}
	unix.Close(accept(t, l))
	must(t, unix.SetsockoptLinger(first, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	must(t, unix.Close(first))

	second := newTCP(t, unix.AF_INET)
	must(t, unix.SetsockoptInt(second, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(t, unix.Bind(second, sockaddr(from)))
	// The listener's end of the first is in TIME-WAIT and takes the SYN.
	must(t, unix.Connect(second, sockaddr(at)))
	peer := accept(t, l)
	told, err := destroyed(c, context.Background(), []ID{id})
	if err != nil || !errors.Is(told[0], ErrGone) {
		t.Fatal(told, err)
	}
	if _, err := unix.Write(second, []byte("x")); err != nil {
		t.Errorf("the new connection: %v", err)
	}
	if n, err := unix.Read(peer, make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("its peer: %d, %v", n, err)
	}
}

// Without the right the kernel refuses, and that is known before.
func TestRootDestroyNotPermitted(t *testing.T) {
	kerneltest.Netns(t)
	c := dial(t)
	a, _ := pair(t, "127.0.0.1")
	peer, err := unix.Getpeername(a)
	must(t, err)
	id := ID{Local: local(t, a), Remote: addrPort(t, peer), Cookie: cookie(t, a)}
	// Capabilities belong to the thread, which is the test's.
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	must(t, unix.Capget(&head, &caps[0]))
	less := caps
	less[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	must(t, unix.Capset(&head, &less[0]))
	probed := c.ProbeDestroy()
	told, err := destroyed(dial(t), context.Background(), []ID{id})
	must(t, unix.Capset(&head, &caps[0]))
	must(t, err)
	if !errors.Is(probed, ErrNotAdmin) || !errors.Is(told[0], unix.EPERM) {
		t.Errorf("probe: %v; attempt: %v", probed, told[0])
	}
	if _, err := unix.Write(a, []byte("x")); err != nil {
		t.Errorf("the socket: %v", err)
	}
	must(t, c.ProbeDestroy())
}

// A kernel that was built without it says so before anything is looked for.
func TestProbeDestroyAnswers(t *testing.T) {
	for errno, want := range map[unix.Errno]error{unix.EOPNOTSUPP: ErrNoDestroy, unix.EINVAL: unix.EINVAL, 0: nil} {
		l := &answering{t: t, by: func(_, seq uint32) []byte { return acked(seq, errno) }}
		err := newConn(l, nil).ProbeDestroy()
		if errno == 0 && err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	silent := &answering{t: t, by: func(_, _ uint32) []byte { return nil }, fail: unix.ENOBUFS}
	if err := newConn(silent, nil).ProbeDestroy(); !errors.Is(err, ErrLost) {
		t.Errorf("no answer: %v", err)
	}
}
