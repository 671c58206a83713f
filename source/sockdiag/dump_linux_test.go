package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

var loopbacks = []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"}

// eachRequest runs the test with either kind of request.
func eachRequest(t *testing.T, test func(t *testing.T, c *Conn)) {
	for _, byFamily := range []bool{false, true} {
		c := dial(t)
		c.byFamily = byFamily
		name := "both families at once"
		if byFamily {
			name = "one family at a time"
		}
		// Not t.Run: that would be another thread, outside the namespace.
		t.Log(name)
		test(t, c)
		if c.byFamily != byFamily {
			t.Errorf("%s: the kernel did not take the request", name)
		}
		if t.Failed() {
			t.Fatalf("failed with %s", name)
		}
	}
}

func TestRootStates(t *testing.T) {
	kerneltest.Netns(t)
	kerneltest.Need(t, kernel.BoundInactive)
	all := stageAll(t, loopbacks...)
	eachRequest(t, func(t *testing.T, c *Conn) {
		got := dumpAll(t, c, Request{Info: true})
		for _, want := range all {
			s, ok := got[want.cookie]
			if !ok {
				t.Errorf("%s %v: not told", want.name, want.local)
				continue
			}
			checkStaged(t, want, &s)
		}
		// What nobody holds a descriptor of: the two connections per address
		// that wait in an accept queue, and the request.
		var queued, requests int
		for _, s := range got {
			switch {
			case s.State == tcpvet.SynRecv:
				requests++
				if s.Knows(tcpvet.FactUID) || s.Knows(tcpvet.FactInfo) || s.Inode != 0 || s.Timer.Kind != tcpvet.TimerOn {
					t.Errorf("request: %+v", s)
				}
			case s.State == tcpvet.Established && s.Inode == 0:
				queued++
			}
		}
		if n := len(loopbacks); queued != 2*n || requests != n {
			t.Errorf("%d sockets in accept queues and %d requests, want %d and %d", queued, requests, 2*n, n)
		}
	})
}

func checkStaged(t *testing.T, want staged, s *tcpvet.Socket) {
	t.Helper()
	errorf := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %v: "+format, append([]any{want.name, want.local}, args...)...)
	}
	if s.State != want.state || s.Mini != want.mini || s.Local != want.local || s.Remote != want.remote || s.Inode != want.inode {
		errorf("got  %v mini=%v %v %v inode %d\nwant %v mini=%v %v %v inode %d",
			s.State, s.Mini, s.Local, s.Remote, s.Inode, want.state, want.mini, want.local, want.remote, want.inode)
	}
	if s.Interface != want.ifidx {
		errorf("interface %d, want %d", s.Interface, want.ifidx)
	}
	known := tcpvet.FactInode | tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactMini
	switch {
	case want.mini:
		known |= tcpvet.FactQueues
		if s.Timer.Kind != tcpvet.TimerTimeWait || s.Timer.Expires <= 0 || s.Timer.Expires > tcpvet.TimeWaitLength {
			errorf("timer %+v", s.Timer)
		}
	case want.state == tcpvet.Listen:
		known |= tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactUID | tcpvet.FactCgroup
		if q := [2]uint32{s.RecvQ, s.SendQ}; want.queue != [2]uint32{} && q != want.queue {
			errorf("accept queue %v, want %v", q, want.queue)
		}
	case want.state == tcpvet.BoundInactive:
		known |= tcpvet.FactQueues | tcpvet.FactUID | tcpvet.FactCgroup
	default:
		known |= tcpvet.FactQueues | tcpvet.FactUID | tcpvet.FactCgroup | tcpvet.FactInfo
	}
	if s.Known&^tcpvet.FactCgroup != known&^tcpvet.FactCgroup {
		errorf("known %v, want %v", s.Known, known)
	}
	if s.Knows(tcpvet.FactUID) && s.UID != want.owner {
		errorf("uid %d, want %d", s.UID, want.owner)
	}
	// RFC 9293: a FIN takes a sequence number. FIONREAD and SIOCOUTQ are the
	// kernel's other way to tell the queues; they count the FIN differently.
	if want.fd >= 0 && want.state != tcpvet.Listen && want.state != tcpvet.BoundInactive && want.state != tcpvet.SynSent {
		in, err := unix.IoctlGetInt(want.fd, unix.SIOCINQ)
		must(t, err)
		fin := uint32(0)
		switch want.state {
		case tcpvet.CloseWait, tcpvet.LastAck, tcpvet.Closing:
			fin = 1
		}
		if s.RecvQ != uint32(in)+fin {
			errorf("Recv-Q %d, want %d and a FIN of %d", s.RecvQ, in, fin)
		}
		out, err := unix.IoctlGetInt(want.fd, unix.SIOCOUTQ)
		must(t, err)
		if s.SendQ != uint32(out) {
			errorf("Send-Q %d, want %d", s.SendQ, out)
		}
	}
}

// twoLooks compares what two looks saw, one after the other. A timer that fires
// between them makes a difference, so a difference is looked at again.
func twoLooks(t *testing.T, between string, diff func() string) {
	t.Helper()
	const tries = 4
	var d string
	for range tries {
		if d = diff(); d == "" {
			return
		}
	}
	t.Errorf("%s differ %d times:\n%s", between, tries, d)
}

// Both kinds of request must tell the same of the same sockets.
func TestRootRequestsAgree(t *testing.T) {
	kerneltest.Netns(t)
	stageAll(t, loopbacks...)
	old, byFamily := dial(t), dial(t)
	byFamily.byFamily = true
	moving := cmp.Options{
		sameAddr,
		cmpopts.IgnoreFields(tcpvet.Timer{}, "Expires", "Retransmits"),
		cmpopts.IgnoreFields(tcpvet.TCPInfo{}, "LastDataSent", "LastDataRecv", "LastAckRecv", "Backoff", "Probes",
			"RTO", "BusyTime", "RwndLimited", "Retrans", "Lost", "TotalRetrans", "Unacked"),
	}
	for _, info := range []bool{false, true} {
		r := Request{Info: info}
		twoLooks(t, "TCPDIAG_GETSOCK (-) and SOCK_DIAG_BY_FAMILY (+)", func() string {
			return cmp.Diff(dumpAll(t, old, r), dumpAll(t, byFamily, r), moving)
		})
	}
	if old.byFamily {
		t.Error("TCPDIAG_GETSOCK was refused: compared a thing with itself")
	}
}

// A dump of some states is that part of the whole dump.
func TestRootStateMask(t *testing.T) {
	kerneltest.Netns(t)
	kerneltest.Need(t, kernel.BoundInactive)
	stageAll(t, loopbacks...)
	eachRequest(t, func(t *testing.T, c *Conn) {
		all := dumpAll(t, c, Request{})
		for _, set := range []tcpvet.StateSet{
			tcpvet.SetOf(tcpvet.Established), tcpvet.SetOf(tcpvet.SynSent), tcpvet.SetOf(tcpvet.SynRecv),
			tcpvet.SetOf(tcpvet.FinWait1), tcpvet.SetOf(tcpvet.FinWait2), tcpvet.SetOf(tcpvet.TimeWait),
			tcpvet.SetOf(tcpvet.CloseWait), tcpvet.SetOf(tcpvet.LastAck), tcpvet.SetOf(tcpvet.Listen),
			tcpvet.SetOf(tcpvet.Closing), tcpvet.SetOf(tcpvet.BoundInactive), cheapStates,
			tcpvet.SetOf(tcpvet.Listen, tcpvet.BoundInactive),
		} {
			some := dumpAll(t, c, Request{States: set})
			n := 0
			for cookie, s := range all {
				if !set.Has(s.State) {
					continue
				}
				n++
				if some[cookie].State != s.State {
					t.Errorf("states %b: %v %v -> %v was not told", set, s.State, s.Local, s.Remote)
				}
			}
			if n == 0 || len(some) != n {
				t.Errorf("states %b: %d sockets, the whole dump has %d", set, len(some), n)
			}
		}
	})
}

// Listeners come before every other socket, in both families.
func TestRootListenersFirst(t *testing.T) {
	kerneltest.Netns(t)
	for _, addr := range loopbacks {
		pair(t, addr)
		pair(t, addr)
	}
	eachRequest(t, func(t *testing.T, c *Conn) {
		var listeners, others int
		_, err := c.Dump(t.Context(), Request{}, func(s *tcpvet.Socket) error {
			if s.State != tcpvet.Listen {
				others++
				return nil
			}
			listeners++
			if others > 0 {
				return fmt.Errorf("%v came after %d sockets that are none", s.Local, others)
			}
			return nil
		})
		if err != nil || listeners != 6 || others != 12 {
			t.Errorf("%d listeners, %d others, %v; want 6 and 12", listeners, others, err)
		}
	})
}

// op is struct inet_diag_bc_op.
func op(code, yes byte, no uint16) []byte {
	return binary.NativeEndian.AppendUint16([]byte{code, yes}, no)
}

func TestRootFilter(t *testing.T) {
	kerneltest.Netns(t)
	l, at := listen(t, "127.0.0.1", 8)
	for range 3 {
		connect(t, at)
		accept(t, l)
	}
	pair(t, "::1")

	// INET_DIAG_BC_S_EQ: the port stands in a second op, a reject jumps past
	// the end.
	const sportEq = 11
	filter := append(op(sportEq, 8, 12), op(0, 0, at.Port())...)
	eachRequest(t, func(t *testing.T, c *Conn) {
		got := dumpAll(t, c, Request{Filter: filter})
		for _, s := range got {
			if s.Local.Port() != at.Port() {
				t.Errorf("%v %v passed the filter for port %d", s.State, s.Local, at.Port())
			}
		}
		if len(got) != 4 {
			t.Errorf("%d sockets, want the listener and 3 servers", len(got))
		}

		// What the kernel refuses leaves the connection usable.
		_, err := c.Dump(t.Context(), Request{Filter: filter[:6]}, func(*tcpvet.Socket) error { return nil })
		var refused *Error
		if !errors.As(err, &refused) || !errors.Is(err, unix.EINVAL) {
			t.Errorf("broken filter: %v, want EINVAL", err)
		}
		if n := len(dumpAll(t, c, Request{})); n != 4+3+3 {
			t.Errorf("after a refusal %d sockets, want 10", n)
		}
	})
}

// What is left of a connection after a reset is in no table, unless bind()
// named its port: then it holds the port, and remembers its peer.
func TestRootResetLeavesBound(t *testing.T) {
	kerneltest.Netns(t)
	kerneltest.Need(t, kernel.BoundInactive)
	l, at := listen(t, "127.0.0.1", 8)
	client := newTCP(t, unix.AF_INET)
	bound := netip.AddrPortFrom(at.Addr(), 20000) // nobody else is in the namespace
	must(t, unix.Bind(client, sockaddr(bound)))
	must(t, unix.Connect(client, sockaddr(at)))
	server := accept(t, l)
	free := connect(t, at)
	freeServer := accept(t, l)
	for _, fd := range []int{server, freeServer} {
		must(t, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		must(t, unix.Close(fd))
	}
	eachRequest(t, func(t *testing.T, c *Conn) {
		got := dumpAll(t, c, Request{Info: true})
		s := got[cookie(t, client)]
		if s.State != tcpvet.BoundInactive || s.Local != bound || s.Remote != at || s.Inode != inode(t, client) {
			t.Errorf("got %v %v -> %v inode %d, want BOUND-INACTIVE %v -> %v", s.State, s.Local, s.Remote, s.Inode, bound, at)
		}
		if s.Knows(tcpvet.FactInfo) {
			t.Error("tcp_info of a socket that has none")
		}
		if s, ok := got[cookie(t, free)]; ok {
			t.Errorf("%v %v -> %v is told, though it has neither connection nor port", s.State, s.Local, s.Remote)
		}
	})
}
