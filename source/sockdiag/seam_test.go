package sockdiag

import (
	"encoding/binary"
	"slices"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// listLink plays the kernel: it tells a list of sockets in answers of a fixed
// number, finds those that are looked up, and lets others leave in between.
type listLink struct {
	t       *testing.T
	sockets []uint32 // cookies in the order of the walk, of one bucket
	state   uint8
	perRead int
	at      int
	dumping bool
	leave   map[int][]uint32 // by answer: who leaves once it has been filled
	answers int
	queue   [][]byte
	lookups int
	dumps   int
	sendErr error
	shared  *listLink // whose sockets these are, for a connection aside
	deaf    bool      // look-ups are not answered
}

func (l *listLink) list() *listLink {
	if l.shared != nil {
		return l.shared
	}
	return l
}

func (l *listLink) send(msg []byte) error {
	if l.sendErr != nil {
		return l.sendErr
	}
	if binary.NativeEndian.Uint16(msg[6:])&flagDump != 0 {
		l.dumps++
		l.at, l.dumping, l.answers = 0, true, 0
		l.fill(binary.NativeEndian.Uint32(msg[8:]))
		return nil
	}
	for len(msg) > 0 {
		n := binary.NativeEndian.Uint32(msg)
		seq := binary.NativeEndian.Uint32(msg[8:])
		l.lookups++
		cookie := binary.NativeEndian.Uint32(msg[headerLen+8+offCookie-offSport:])
		if l.deaf {
			break
		}
		if slices.Contains(l.list().sockets, cookie) {
			l.queue = append(l.queue, message(typeByFamily, 0, seq, port, sample(l.list().state, cookie).payload()))
		} else {
			l.queue = append(l.queue, refuse(syscall.ESTALE)(seq))
		}
		msg = msg[n:]
	}
	return nil
}

// fill makes the next answer, as the kernel does inside of the read before.
func (l *listLink) fill(seq uint32) {
	from := l.list()
	var answer []byte
	for range l.perRead {
		if l.at >= len(from.sockets) {
			break
		}
		answer = append(answer, message(typeTCP, 2, seq, port, sample(from.state, from.sockets[l.at]).payload())...)
		l.at++
	}
	if answer == nil {
		answer, l.dumping = done(0)(seq), false
	}
	l.queue = append(l.queue, answer)
	for _, cookie := range l.leave[l.answers] {
		if i := slices.Index(from.sockets, cookie); i >= 0 {
			from.sockets = slices.Delete(from.sockets, i, i+1)
		}
	}
	l.answers++
}

func (l *listLink) receive(b []byte) (int, error) {
	if len(l.queue) == 0 {
		return 0, syscall.EAGAIN
	}
	n := copy(b, l.queue[0])
	seq := binary.NativeEndian.Uint32(l.queue[0][8:])
	l.queue = l.queue[1:]
	if l.dumping {
		l.fill(seq)
	}
	return n, nil
}

func (l *listLink) portID() uint32 { return port }
func (l *listLink) close() error   { return nil }

func cookies(n int) []uint32 {
	list := make([]uint32, n)
	for i := range list {
		list[i] = uint32(i + 1)
	}
	return list
}

// What the kernel passes over because others left is told in the end, and what
// it told already is not told again.
func TestSeams(t *testing.T) {
	const (
		estab  = 1
		listen = 10
		unconn = 7
		sound  = 40 // sockets of a read, 3,520 bytes: a page, as full as may be
	)
	for _, test := range []struct {
		name    string
		state   uint8
		sockets int
		perRead int
		leave   map[int][]uint32
		aside   func(*listLink)
		mended  int
		unsure  int
		walks   int // beside the dump itself
		missed  []uint32
	}{
		{name: "nobody leaves", state: estab, sockets: 500, perRead: sound},
		{name: "one leaves elsewhere", state: estab, sockets: 500, perRead: sound, leave: map[int][]uint32{0: {499}}, missed: []uint32{499}},
		{name: "the last one leaves", state: estab, sockets: 500, perRead: sound, leave: map[int][]uint32{1: {80}}, mended: 1, walks: 1},
		{name: "three leave", state: estab, sockets: 500, perRead: sound, leave: map[int][]uint32{1: {75, 77, 78}}, mended: 3, walks: 1},
		{name: "at every seam", state: estab, sockets: 500, perRead: sound, mended: 3, walks: 1,
			leave: map[int][]uint32{0: {40}, 2: {121}, 4: {202}}},
		{name: "at the very end", state: estab, sockets: 81, perRead: sound, leave: map[int][]uint32{1: {80}}, mended: 1, walks: 1},
		{name: "one leaves further back than is looked up", state: estab, sockets: 500, perRead: sound,
			leave: map[int][]uint32{1: {60}}, missed: []uint32{81}},
		{name: "one leaves while the second walk stands there", state: listen, sockets: 500, perRead: sound, mended: 1, walks: 2,
			leave: map[int][]uint32{1: {50}}, aside: func(l *listLink) { l.perRead, l.leave = 40, map[int][]uint32{1: {79}} }},
		{name: "and where it had to look", state: estab, sockets: 500, perRead: sound, mended: 1, walks: 2,
			leave: map[int][]uint32{1: {80}}, aside: func(l *listLink) { l.perRead, l.leave = 79, map[int][]uint32{0: {77, 78}} }},
		{name: "answers with room", state: estab, sockets: 100, perRead: 10, leave: map[int][]uint32{1: {20}}, missed: []uint32{21}},
		{name: "listeners are walked again in any case", state: listen, sockets: 500, perRead: sound, walks: 1},
		{name: "a listener leaves", state: listen, sockets: 500, perRead: sound, leave: map[int][]uint32{1: {50}}, mended: 1, walks: 1},
		{name: "merely bound ones too", state: unconn, sockets: 500, perRead: sound, leave: map[int][]uint32{1: {50}}, mended: 1, walks: 1},
		{name: "look-ups are not answered", state: estab, sockets: 100, perRead: sound, unsure: 2, aside: func(l *listLink) { l.deaf = true }},
		{name: "all told before it leave, and twenty after it", state: listen, sockets: 500, perRead: sound, mended: 40, walks: 2,
			leave: map[int][]uint32{2: cookies(140)[80:]}, missed: cookies(140)[120:]},
		{name: "all told on both sides leave", state: listen, sockets: 500, perRead: sound, unsure: 4, walks: 2, // behind 80, 120, 220 and 260

			leave: map[int][]uint32{2: cookies(140)[80:], 4: cookies(260)[180:]}, missed: append(cookies(180)[120:], cookies(340)[260:]...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			main := &listLink{t: t, sockets: cookies(test.sockets), state: test.state, perRead: test.perRead, leave: test.leave}
			aside := &listLink{t: t, shared: main, perRead: 37}
			if test.aside != nil {
				test.aside(aside)
			}
			c := newConn(main, newAside(aside))
			told := make(map[uint32]int)
			st, err := c.Dump(t.Context(), Request{}, func(s *tcpvet.Socket) error {
				told[uint32(s.Cookie)]++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if st.Mended != test.mended || st.Unsure != test.unsure || aside.dumps != test.walks || st.Sockets != len(told) {
				t.Errorf("%+v after %d further walks, %d told; want %d mended, %d unsure, %d walks",
					st, aside.dumps, len(told), test.mended, test.unsure, test.walks)
			}
			for _, cookie := range cookies(test.sockets) {
				want := 1
				if slices.Contains(test.missed, cookie) {
					want = 0
				}
				if told[cookie] != want {
					t.Errorf("socket %d was told %d times, want %d", cookie, told[cookie], want)
				}
			}
		})
	}
}
