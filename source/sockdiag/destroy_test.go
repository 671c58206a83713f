package sockdiag

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// kernelAsk is a request about one socket as the kernel reads it.
type kernelAsk struct {
	Header kernelHeader
	Req    kernelNewReq
}

func parseAsk(b []byte) (asks []kernelAsk, err error) {
	for in := bytes.NewReader(b); in.Len() > 0; {
		var a kernelAsk
		if err := binary.Read(in, binary.NativeEndian, &a); err != nil {
			return nil, err
		}
		if a.Header.Len != 72 || a.Req.Protocol != 6 || a.Req.Ext != 0 || a.Req.Pad != 0 {
			return nil, fmt.Errorf("%+v", a)
		}
		asks = append(asks, a)
	}
	return asks, nil
}

var (
	here  = netip.MustParseAddrPort("10.0.0.1:40000")
	there = netip.MustParseAddrPort("10.0.3.7:8080")
)

func TestDestroyRequest(t *testing.T) {
	id := ID{Local: here, Remote: there, Interface: 3, Cookie: 0x1122334455667788}
	asks, err := parseAsk(id.appendTo(nil, typeDestroy, flagAck, 9))
	if err != nil || len(asks) != 1 {
		t.Fatal(asks, err)
	}
	// SOCK_DESTROY is 21, NLM_F_REQUEST 1 and NLM_F_ACK 4.
	if h := asks[0].Header; h.Type != 21 || h.Flags != 5 || h.Seq != 9 || h.Pid != 0 {
		t.Errorf("header %+v", h)
	}
	want := kernelSockID{
		Sport: [2]byte{0x9c, 0x40}, Dport: [2]byte{0x1f, 0x90}, If: 3, Cookie: [2]uint32{0x55667788, 0x11223344},
		Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{10, 0, 3, 7},
	}
	if got := asks[0].Req; got.Family != 2 || got.ID != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	id.Local, id.Remote = netip.MustParseAddrPort("[::ffff:10.0.0.1]:1"), netip.MustParseAddrPort("[2001:db8::1]:2")
	asks, err = parseAsk(id.appendTo(nil, typeByFamily, 0, 9))
	if err != nil || asks[0].Req.Family != 10 || asks[0].Req.ID.Src != id.Local.Addr().As16() || asks[0].Req.ID.Dst != id.Remote.Addr().As16() {
		t.Errorf("IPv6: %+v, %v", asks, err)
	}
}

func TestIDOf(t *testing.T) {
	s := &tcpvet.Socket{Local: here, Remote: there, Interface: 2, Cookie: 5}
	if got := IDOf(s); got != (ID{here, there, 2, 5}) || got.check() != nil {
		t.Errorf("%+v, %v", got, got.check())
	}
}

// What would end another socket, or any, is not asked for.
func TestIDCheck(t *testing.T) {
	six := netip.MustParseAddrPort("[::1]:80")
	for name, id := range map[string]ID{
		"no cookie":    {here, there, 0, 0},
		"any cookie":   {here, there, 0, 1<<64 - 1},
		"no addresses": {netip.AddrPort{}, netip.AddrPort{}, 0, 5},
		"no remote":    {here, netip.AddrPort{}, 0, 5},
		"two families": {here, six, 0, 5},
	} {
		if err := id.check(); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDestroyRequest(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1}, []byte{10, 0, 3, 7}, uint16(40000), uint16(8080), uint32(0), uint64(5), true)
	f.Add(make([]byte, 16), make([]byte, 16), uint16(0), uint16(0), uint32(7), uint64(1<<64-1), false)
	f.Fuzz(func(t *testing.T, src, dst []byte, sport, dport uint16, link uint32, cookie uint64, end bool) {
		local, _ := netip.AddrFromSlice(src)
		remote, _ := netip.AddrFromSlice(dst)
		id := ID{netip.AddrPortFrom(local, sport), netip.AddrPortFrom(remote, dport), link, cookie}
		sound := local.IsValid() && remote.IsValid() && len(src) == len(dst) && cookie+1 > 1
		if err := id.check(); (err == nil) != sound {
			t.Fatalf("%+v: %v", id, err)
		}
		if !sound {
			return
		}
		kind, flags := uint16(typeByFamily), uint16(0)
		if end {
			kind, flags = typeDestroy, flagAck
		}
		asks, err := parseAsk(id.appendTo([]byte{}, kind, flags, 4))
		if err != nil || len(asks) != 1 {
			t.Fatal(asks, err)
		}
		r := asks[0].Req
		var want kernelSockID
		binary.BigEndian.PutUint16(want.Sport[:], sport)
		binary.BigEndian.PutUint16(want.Dport[:], dport)
		copy(want.Src[:], src)
		copy(want.Dst[:], dst)
		want.If, want.Cookie = link, [2]uint32{uint32(cookie), uint32(cookie >> 32)}
		if r.ID != want || (r.Family == 2) != (len(src) == 4) || asks[0].Header.Type != kind || asks[0].Header.Flags != 1|flags {
			t.Fatalf("%+v became %+v", id, asks[0])
		}
	})
}

// answering is a link that answers each request about a socket by its cookie.
type answering struct {
	t       *testing.T
	by      func(cookie uint32, seq uint32) []byte // nil for no answer
	asked   []int                                  // requests in each datagram
	pending []byte
	fail    error // of receive, once nothing is pending
	order   func([][]byte)
}

func (l *answering) send(msg []byte) error {
	asks, err := parseAsk(msg)
	if err != nil {
		l.t.Fatal(err)
	}
	l.asked = append(l.asked, len(asks))
	var all [][]byte
	for _, a := range asks {
		all = append(all, l.by(a.Req.ID.Cookie[0], a.Header.Seq))
	}
	if l.order != nil {
		l.order(all)
	}
	l.pending = slices.Concat(all...)
	return nil
}

func (l *answering) receive(b []byte) (int, error) {
	if len(l.pending) == 0 {
		return 0, l.fail
	}
	n := copy(b, l.pending)
	l.pending = nil
	return n, nil
}
func (l *answering) portID() uint32 { return port }
func (l *answering) close() error   { return nil }

func acked(seq uint32, errno syscall.Errno) []byte {
	return message(2, 0x100, seq, port, append(number(-int32(errno)), make([]byte, 16)...))
}

// ids gives sockets with the cookies from 1 on.
func ids(n int) (out []ID) {
	for i := range n {
		out = append(out, ID{here, there, 0, uint64(i + 1)})
	}
	return out
}

func destroyed(c *Conn, ctx context.Context, all []ID) (told map[int]error, err error) {
	told = make(map[int]error)
	err = c.Destroy(ctx, all, func(i int, err error) {
		if _, twice := told[i]; twice {
			err = errors.New("told twice")
		}
		told[i] = err
	})
	return told, err
}

// Each answer finds its request, in whatever order they come.
func TestDestroyAnswers(t *testing.T) {
	l := &answering{t: t, order: slices.Reverse[[][]byte]}
	l.by = func(cookie, seq uint32) []byte {
		foreign := message(2, 0, seq, port+1, number(-1))
		stray := message(2, 0, seq+1000, port, number(-1))
		return append(append(foreign, stray...), acked(seq, []syscall.Errno{0, syscall.ENOENT, syscall.EPERM}[cookie%3])...)
	}
	c := newConn(l, nil)
	all := ids(70)
	all[3].Cookie = 0
	for range 2 { // the connection goes on
		told, err := destroyed(c, context.Background(), all)
		if err != nil || len(told) != 70 {
			t.Fatalf("%d told, %v", len(told), err)
		}
		for i := range all {
			want := []error{nil, ErrGone, syscall.EPERM}[(i+1)%3]
			if i == 3 {
				want = ErrIdentity
			}
			if !errors.Is(told[i], want) || want == nil && told[i] != nil {
				t.Errorf("socket %d: %v, want %v", i, told[i], want)
			}
		}
	}
	if want := []int{31, 32, 6, 31, 32, 6}; !slices.Equal(l.asked, want) {
		t.Errorf("asked %v, want %v", l.asked, want)
	}
}

func TestLookupAnswers(t *testing.T) {
	l := &answering{t: t}
	l.by = func(cookie, seq uint32) []byte {
		switch cookie {
		case 1:
			return message(20, 0, seq, port, sample(8, 1).payload())
		case 2:
			return acked(seq, syscall.ENOENT)
		case 3:
			return message(20, 0, seq, port, []byte{1, 2, 3, 4})
		}
		return acked(seq, 0)
	}
	got := make(map[int]string)
	err := newConn(l, nil).Lookup(context.Background(), ids(4), func(i int, s *tcpvet.Socket, err error) {
		if got[i] = fmt.Sprint(err); s != nil {
			got[i] = fmt.Sprint(s.State, s.Cookie)
		}
	})
	want := map[int]string{
		0: "CLOSE-WAIT 1", 1: "it is gone", 3: "look socket up: the kernel described nothing",
		2: "look socket up: decode socket: 4 bytes where inet_diag_msg has 72: answer is cut short",
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// What was asked for and not answered is told as such, and the rest not at all.
func TestDestroyUnanswered(t *testing.T) {
	l := &answering{t: t, fail: syscall.ENOBUFS}
	l.by = func(cookie, seq uint32) []byte {
		if cookie == 2 {
			return nil
		}
		return acked(seq, 0)
	}
	c := newConn(l, nil)
	told, err := destroyed(c, context.Background(), ids(40))
	if !errors.Is(err, ErrLost) || len(told) != 32 || told[0] != nil || !errors.Is(told[1], ErrLost) {
		t.Errorf("%d told, %v, %v", len(told), told[1], err)
	}
	if _, err := destroyed(c, context.Background(), ids(1)); !errors.Is(err, ErrBroken) {
		t.Errorf("afterwards: %v", err)
	}
	over := &answering{t: t, by: func(_, seq uint32) []byte { return message(typeOverrun, 0, seq, port, nil) }}
	if told, err := destroyed(newConn(over, nil), context.Background(), ids(1)); !errors.Is(err, ErrLost) || !errors.Is(told[0], ErrLost) {
		t.Errorf("overrun: %v, %v", told, err)
	}
	cut := &answering{t: t, by: func(_, seq uint32) []byte { return acked(seq, 0)[:20] }}
	if told, err := destroyed(newConn(cut, nil), context.Background(), ids(1)); !errors.Is(err, ErrTruncated) || told[0] == nil {
		t.Errorf("cut: %v, %v", told, err)
	}
}

// A datagram that was sent is waited for; no other follows the end of ctx.
func TestDestroyCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &answering{t: t}
	l.by = func(_, seq uint32) []byte { cancel(); return acked(seq, 0) }
	c := newConn(l, nil)
	told, err := destroyed(c, ctx, ids(100))
	if !errors.Is(err, context.Canceled) || len(told) != 32 || told[31] != nil {
		t.Errorf("%d told, %v", len(told), err)
	}
	if told, err := destroyed(c, context.Background(), ids(1)); err != nil || len(told) != 1 {
		t.Errorf("afterwards: %v, %v", told, err)
	}
}
