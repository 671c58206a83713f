package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// fakeLink answers each request by the next script, a list of reads.
type fakeLink struct {
	t       *testing.T
	scripts []script
	reads   []read
	asked   []string // the requests, as kind and states
	closed  bool
}

// read is one answer: an error, or messages that get the request's sequence
// number.
type read struct {
	err      error
	messages []func(seq uint32) []byte
	cut      int // bytes that did not fit the buffer
}

type script []read

const port = 99

func (l *fakeLink) send(msg []byte) error {
	r, family, seq, err := parseRequest(msg)
	if err != nil {
		l.t.Fatal(err)
	}
	l.asked = append(l.asked, fmt.Sprintf("%d:%x", family, r.States))
	if len(l.scripts) == 0 {
		l.t.Fatalf("request %s is one too many", l.asked[len(l.asked)-1])
	}
	l.reads = nil
	for _, r := range l.scripts[0] {
		var whole []byte
		for _, m := range r.messages {
			whole = append(whole, m(seq)...)
		}
		l.reads = append(l.reads, read{err: r.err, cut: r.cut, messages: []func(uint32) []byte{func(uint32) []byte { return whole }}})
	}
	l.scripts = l.scripts[1:]
	return nil
}

func (l *fakeLink) receive(b []byte) (int, error) {
	if len(l.reads) == 0 {
		return 0, syscall.EAGAIN
	}
	r := l.reads[0]
	l.reads = l.reads[1:]
	if r.err != nil {
		return 0, r.err
	}
	n := copy(b, r.messages[0](0))
	if r.cut > 0 {
		n = len(b) + r.cut
	}
	return n, nil
}

func (l *fakeLink) portID() uint32 { return port }
func (l *fakeLink) close() error   { l.closed = true; return nil }

// answer makes a read of messages.
func answer(messages ...func(uint32) []byte) read { return read{messages: messages} }

func sock(state uint8, cookie uint32) func(uint32) []byte { return sockOf(sample(state, cookie), 0) }

func sockOf(m kernelMsg, flags uint16) func(uint32) []byte {
	return func(seq uint32) []byte { return message(18, 2|flags, seq, port, m.payload()) }
}

func done(flags uint16) func(uint32) []byte {
	return func(seq uint32) []byte { return message(3, 2|flags, seq, port, number(0)) }
}

func refuse(errno syscall.Errno) func(uint32) []byte {
	return func(seq uint32) []byte {
		return message(2, 0, seq, port, append(number(-int32(errno)), make([]byte, 16)...))
	}
}

func fakeConn(t *testing.T, scripts ...script) (*Conn, *fakeLink) {
	l := &fakeLink{t: t, scripts: scripts}
	return newConn(l, nil), l
}

// heard dumps and gives what was yielded, as state and cookie.
func heard(c *Conn, r Request) (told []string, st Stats, err error) {
	st, err = c.Dump(context.Background(), r, func(s *tcpvet.Socket) error {
		told = append(told, fmt.Sprint(s.State, " ", s.Cookie))
		return nil
	})
	return told, st, err
}

func TestDumpReadsToTheEnd(t *testing.T) {
	foreign := func(seq uint32) []byte { return message(18, 2, seq+1, port, sample(1, 66).payload()) }
	misled := func(seq uint32) []byte { return message(18, 2, seq, port+1, sample(1, 67).payload()) }
	noop := func(seq uint32) []byte { return message(typeNoop, 0, seq, port, nil) }
	c, l := fakeConn(t,
		script{answer(sock(10, 1)), {err: syscall.EINTR}, {err: syscall.EAGAIN}, answer(foreign, noop, misled, sock(1, 2), sock(3, 3), done(0))},
		script{answer(sock(8, 4), done(0))},
	)
	told, st, err := heard(c, Request{})
	if want := []string{"LISTEN 1", "ESTAB 2", "SYN-RECV 3"}; err != nil || !slices.Equal(told, want) || st != (Stats{Sockets: 3, Passes: 1}) {
		t.Errorf("%v, %+v, %v; want %v", told, st, err, want)
	}
	told, _, err = heard(c, Request{States: tcpvet.SetOf(tcpvet.CloseWait)})
	if want := []string{"CLOSE-WAIT 4"}; err != nil || !slices.Equal(told, want) {
		t.Errorf("second dump: %v, %v; want %v", told, err, want)
	}
	if want := []string{"0:2ffe", "0:100"}; !slices.Equal(l.asked, want) {
		t.Errorf("asked %v, want %v", l.asked, want)
	}
	if err := c.Close(); err != nil || !l.closed {
		t.Errorf("close: %v", err)
	}
}

func TestDumpFailures(t *testing.T) {
	overrun := func(seq uint32) []byte { return message(4, 0, seq, port, nil) }
	garbage := func(seq uint32) []byte { return message(18, 2, seq, port, make([]byte, 8)) }
	half := func(seq uint32) []byte { return sock(1, 1)(seq)[:40] }
	doneBad := func(seq uint32) []byte { return message(3, 2, seq, port, number(-int32(syscall.ENOMEM))) }
	for name, c := range map[string]struct {
		script script
		want   error
		usable bool
	}{
		"no memory for an answer": {script{answer(sock(1, 1)), {err: syscall.ENOBUFS}}, syscall.ENOBUFS, false},
		"lost answers":            {script{{err: syscall.ENOBUFS}}, ErrLost, false},
		"overrun":                 {script{answer(overrun)}, ErrLost, false},
		"cut by the buffer":       {script{{cut: 100, messages: []func(uint32) []byte{sock(1, 1)}}}, ErrTruncated, false},
		"cut message":             {script{answer(half)}, ErrTruncated, false},
		"cut socket":              {script{answer(garbage)}, ErrTruncated, false},
		"empty answer":            {script{answer()}, ErrTruncated, false},
		"no end":                  {script{answer(sock(1, 1))}, ErrSilent, false},
		"end of the descriptor":   {script{{err: syscall.EBADF}}, syscall.EBADF, false},
		"refused":                 {script{answer(refuse(syscall.EPERM))}, syscall.EPERM, true},
		"refused in the middle":   {script{answer(sock(1, 1)), answer(refuse(syscall.EINVAL))}, syscall.EINVAL, true},
		"failed at the end":       {script{answer(sock(1, 1), doneBad)}, syscall.ENOMEM, true},
	} {
		conn, _ := fakeConn(t, c.script, script{answer(done(0))})
		if _, _, err := heard(conn, Request{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		_, _, err := heard(conn, Request{})
		if c.usable && err != nil || !c.usable && !errors.Is(err, ErrBroken) {
			t.Errorf("%s: afterwards %v", name, err)
		}
	}
	conn, _ := fakeConn(t)
	if _, _, err := heard(conn, Request{Filter: make([]byte, MaxFilter+1)}); err == nil || !strings.Contains(err.Error(), "filter of 65532 bytes") {
		t.Errorf("long filter: %v", err)
	}
}

func TestDumpCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c, _ := fakeConn(t, script{answer(sock(1, 1)), answer(sock(1, 2), done(0))})
	n := 0
	_, err := c.Dump(ctx, Request{}, func(*tcpvet.Socket) error { n++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%v after %d sockets, want context.Canceled after the 1 of the first answer", err, n)
	}
}

// A kernel without the old request is asked for one family after the other,
// and not for the old one again.
func TestDumpFallsBack(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.EINVAL, syscall.ENOENT} {
		legs := []script{
			{answer(sock(10, 1), done(0))}, {answer(done(0))},
			{answer(sock(1, 2), done(0))}, {answer(refuse(syscall.ENOENT))}, // no IPv6
		}
		c, l := fakeConn(t, slices.Concat([]script{{answer(refuse(errno))}}, legs, legs)...)
		for range 2 {
			told, st, err := heard(c, Request{})
			if want := []string{"LISTEN 1", "ESTAB 2"}; err != nil || !slices.Equal(told, want) || st.Sockets != 2 {
				t.Errorf("%v: %v, %+v, %v; want %v", errno, told, st, err, want)
			}
		}
		want := []string{"0:2ffe", "2:400", "10:400", "2:2bfe", "10:2bfe", "2:400", "10:400", "2:2bfe", "10:2bfe"}
		if !slices.Equal(l.asked, want) {
			t.Errorf("%v: asked %v, want %v", errno, l.asked, want)
		}
	}
	// What both kinds refuse is the filter's fault.
	c, l := fakeConn(t, script{answer(refuse(syscall.EINVAL))}, script{answer(refuse(syscall.EINVAL))}, script{answer(done(0))})
	if _, _, err := heard(c, Request{Filter: []byte{1}}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("filter: %v", err)
	}
	if _, _, err := heard(c, Request{}); err != nil || l.asked[len(l.asked)-1] != "0:2ffe" {
		t.Errorf("after a refused filter: %v, asked %v", err, l.asked)
	}
}

func TestDumpDropsRepeats(t *testing.T) {
	gone := sample(7, 9)
	gone.ID.Sport = [2]byte{}
	c, _ := fakeConn(t, script{
		answer(sock(7, 1), sock(7, 1), sock(1, 2), sock(1, 3), sock(1, 4)),
		answer(sock(1, 3), sock(1, 4), sock(8, 2)), // two repeats and a change
		answer(sock(1, 1)),      // was merely bound, has connected
		answer(sockOf(gone, 0)), // has ended
		answer(sock(1, 5), sock(1, 0), sock(1, 0), done(0)),
	})
	told, st, err := heard(c, Request{})
	want := []string{"BOUND-INACTIVE 1", "ESTAB 2", "ESTAB 3", "ESTAB 4", "ESTAB 5", "ESTAB 0", "ESTAB 0"}
	if err != nil || !slices.Equal(told, want) {
		t.Errorf("%v, %v; want %v", told, err, want)
	}
	if st != (Stats{Sockets: 7, Repeated: 3, Changed: 3, Passes: 1}) {
		t.Errorf("%+v, want 3 repeated and 3 changed", st)
	}
}

// A socket that is merely bound and connects is met again much later, in
// another table.
func TestDumpDropsBoundAgain(t *testing.T) {
	var between []func(uint32) []byte
	for i := range uint32(2 * recentLen) {
		between = append(between, sock(1, 100+i))
	}
	c, _ := fakeConn(t, script{
		answer(sock(7, 1), sock(7, 2)),
		answer(between...),
		answer(sock(7, 2), sock(1, 1), done(0)),
	})
	told, st, err := heard(c, Request{})
	if err != nil || len(told) != 2+len(between) || st.Repeated != 1 || st.Changed != 1 {
		t.Errorf("%d told, %+v, %v; want each once, 1 repeated, 1 changed", len(told), st, err)
	}
}

// The next dump knows nothing of the last one.
func TestDumpForgets(t *testing.T) {
	one := script{answer(sock(7, 1), sock(1, 2), done(0))}
	c, _ := fakeConn(t, one, one)
	for range 2 {
		if told, st, err := heard(c, Request{}); err != nil || len(told) != 2 || st.Repeated+st.Changed != 0 {
			t.Errorf("%v, %+v, %v", told, st, err)
		}
	}
	// A bound socket of the last dump is connected in this one.
	c, _ = fakeConn(t, one, script{answer(sock(1, 1), done(0))})
	heard(c, Request{})
	if told, _, err := heard(c, Request{}); err != nil || !slices.Equal(told, []string{"ESTAB 1"}) {
		t.Errorf("%v, %v", told, err)
	}
}

// The kernel tests the state when it picks a socket; what it prints later can
// be another.
func TestDumpKeepsToTheStates(t *testing.T) {
	c, _ := fakeConn(t, script{answer(sock(1, 1), sock(8, 2), sock(7, 3), done(0))})
	told, st, err := heard(c, Request{States: tcpvet.SetOf(tcpvet.Established)})
	if err != nil || !slices.Equal(told, []string{"ESTAB 1"}) || st.Changed != 2 {
		t.Errorf("%v, %+v, %v; want ESTAB 1 and 2 changed", told, st, err)
	}
}

func TestDumpInterrupted(t *testing.T) {
	const intr = 0x10
	whole := script{answer(sock(1, 1)), answer(sock(1, 2), done(0))}
	late := script{answer(sock(1, 1)), answer(sock(1, 2), done(intr))}
	early := script{answer(sockOf(sample(1, 1), intr)), answer(sock(1, 2), done(0))}

	for name, s := range map[string]script{"first message": early, "last message": late} {
		c, _ := fakeConn(t, s)
		if told, st, err := heard(c, Request{}); err != nil || !st.Interrupted || len(told) != 2 {
			t.Errorf("%s: %v, %+v, %v", name, told, st, err)
		}
	}

	for name, c := range map[string]struct {
		scripts  []script
		restarts int
		yields   int // in all passes
		want     Stats
	}{
		"sound":           {[]script{whole}, 0, 2, Stats{Sockets: 2, Passes: 1}},
		"seen at the end": {[]script{late, whole}, 1, 4, Stats{Sockets: 2, Passes: 2}},
		"seen early":      {[]script{early, whole}, 1, 2, Stats{Sockets: 2, Passes: 2}},
		"never sound":     {[]script{late, early, early, late}, 3, 4, Stats{Sockets: 2, Interrupted: true, Passes: 4}},
		"last one early":  {[]script{early, early, early, early}, 3, 2, Stats{Sockets: 2, Interrupted: true, Passes: 4}},
	} {
		conn, l := fakeConn(t, c.scripts...)
		var restarts, yields, kept int
		st, err := conn.DumpConsistent(context.Background(), Request{},
			func() error { restarts++; kept = 0; return nil },
			func(*tcpvet.Socket) error { yields++; kept++; return nil })
		if err != nil || st != c.want || restarts != c.restarts || yields != c.yields || kept != 2 || len(l.scripts) != 0 {
			t.Errorf("%s: %+v, %d restarts, %d yields, %d kept, %v; want %+v, %d, %d, 2", name, st, restarts, yields, kept, err, c.want, c.restarts, c.yields)
		}
	}

	stop := errors.New("cannot forget")
	conn, _ := fakeConn(t, late)
	if _, err := conn.DumpConsistent(context.Background(), Request{}, func() error { return stop }, func(*tcpvet.Socket) error { return nil }); err != stop {
		t.Errorf("%v, want restart's own error", err)
	}
}
