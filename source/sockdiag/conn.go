package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/tcpvet/tcpvet"
)

const (
	// readSize is more than the kernel puts into one answer: 32 KB
	// (netlink_dump), unless a single socket needs more.
	readSize = 64 << 10

	// asideSize makes the kernel's answers to a second look end elsewhere
	// than those to the first: it fills no more than the longest read that a
	// connection has made (netlink_recvmsg).
	asideSize = 17 << 10

	// maxPasses is how often DumpConsistent reads until it gives up.
	maxPasses = 4

	// maxSilence is how many times in a row a read may time out. The
	// kernel prepares the next answer inside the read, so that a read that
	// waits at all waits for something that will not come.
	maxSilence = 10
)

var (
	// ErrBroken says that an earlier dump was left before its end, so that
	// the rest of it would be taken for this one's.
	ErrBroken = errors.New("an earlier dump on this connection did not reach its end; dial again")

	// ErrLost says that the kernel dropped answers: ENOBUFS, or NLMSG_OVERRUN.
	ErrLost = errors.New("the kernel had no memory for an answer and dropped it")

	// ErrSilent says that a dump stopped without an end.
	ErrSilent = errors.New("the kernel sent nothing more")
)

// link carries datagrams to the kernel and back.
type link interface {
	send(msg []byte) error

	// receive reads one answer. n is the answer's whole length, which may
	// exceed len(b). EAGAIN means that none came within about a second.
	receive(b []byte) (n int, err error)

	// portID is the address to which the kernel answers.
	portID() uint32
	close() error
}

// Conn is a connection to the kernel's sock_diag, and with it to the network
// namespace that it was dialled in. It serves one goroutine at a time.
type Conn struct {
	link     link
	seq      uint32
	buf      []byte
	out      []byte
	messages Messages
	socket   tcpvet.Socket
	recent   recent
	bound    bound
	seams    seams
	aside    *Conn // for questions while a dump goes on; nil for none
	byFamily bool  // the kernel refused TCPDIAG_GETSOCK
	broken   bool
}

// newConn makes a connection; aside may be nil, and nothing is then looked up.
func newConn(l link, aside *Conn) *Conn {
	return &Conn{link: l, aside: aside, buf: make([]byte, readSize)}
}

// newAside makes the connection for the questions beside a dump.
func newAside(l link) *Conn { return &Conn{link: l, buf: make([]byte, asideSize)} }

// Close frees the connection.
func (c *Conn) Close() error {
	err := c.link.close()
	if c.aside != nil {
		err = errors.Join(err, c.aside.Close())
	}
	return err
}

// Stats tells how a dump went.
type Stats struct {
	Sockets  int // handed to yield, in the last pass
	Repeated int // told twice in the same state, and dropped once
	Changed  int // seen to change their state, or to end, while they were dumped
	Mended   int // of Sockets, passed over at first, and found in a second look
	Unsure   int // places where sockets may have been passed over, and no second look could tell

	// Interrupted says that the kernel called the last pass inconsistent.
	// What was yielded is then worth a Gap.
	Interrupted bool
	Passes      int // how often the sockets were read: 1 if all went well
}

// Dump reads the sockets that r asks for and hands each to yield, once,
// listeners first; the package comment tells how sure that is. The Socket is
// reused: it holds until yield returns.
//
// An error of yield ends the dump and is returned as it is. After an error of
// yield, of ctx or of the connection the rest of the dump is still to come, so
// that the Conn is of no more use: later calls give ErrBroken. A refusal by
// the kernel is an *Error, which carries the errno and leaves the Conn usable.
// ctx is looked at between two answers of the kernel.
func (c *Conn) Dump(ctx context.Context, r Request, yield func(*tcpvet.Socket) error) (Stats, error) {
	return c.dump(ctx, r, yield, false)
}

// DumpConsistent is Dump for a caller that can forget: when the kernel calls
// what it told inconsistent, restart is called, and the sockets are yielded
// from the first again. The last of four passes is final: Stats.Interrupted
// then tells that it was no better. An error of restart ends the dump and is
// returned as it is.
func (c *Conn) DumpConsistent(ctx context.Context, r Request, restart func() error, yield func(*tcpvet.Socket) error) (Stats, error) {
	for passes := 1; ; passes++ {
		final := passes == maxPasses
		st, err := c.dump(ctx, r, yield, !final)
		st.Passes = passes
		if err != nil || !st.Interrupted || final {
			return st, err
		}
		if err := restart(); err != nil {
			return st, err
		}
	}
}

// dump is one pass; quit says that an interrupted one will be thrown away, so
// that yield need not hear the rest of it.
func (c *Conn) dump(ctx context.Context, r Request, yield func(*tcpvet.Socket) error, quit bool) (Stats, error) {
	st := Stats{Passes: 1}
	c.recent = recent{}
	c.bound.reset()
	c.seams.reset()
	states := r.states()
	tell := func(payload []byte) error {
		s := &c.socket
		if err := Decode(payload, s); err != nil {
			return err
		}
		// TIME-WAIT mini-sockets take over the cookie, so a change of state
		// shows here as well as a repeat.
		if before, ok := c.recent.seen(s.Cookie, s.State); ok {
			if before == s.State {
				st.Repeated++
			} else {
				st.Changed++
			}
			return nil
		}
		if !states.Has(s.State) || s.State == tcpvet.Unconn {
			st.Changed++
			return nil
		}
		if c.bound.seen(s) {
			if s.State == tcpvet.BoundInactive {
				st.Repeated++
			} else {
				st.Changed++
			}
			return nil
		}
		st.Sockets++
		return yield(s)
	}
	mend := func(table int) error {
		told := st.Sockets
		unsure, err := c.mend(ctx, r, table, tell)
		st.Mended += st.Sockets - told
		st.Unsure += unsure
		return err
	}
	suspicious := -1
	interrupted, err := c.walk(ctx, r, func(m *Message) error {
		if quit && m.Interrupted() {
			quit, yield = false, nil
		}
		if yield == nil {
			return nil
		}
		// Listeners go before the rest, those found in a second look too.
		if len(c.seams.by[tableListen]) > 0 && tableOf(m.Payload) != tableListen {
			if err := mend(tableListen); err != nil {
				return err
			}
		}
		c.seams.told(rawCookie(m.Payload))
		return tell(m.Payload)
	}, seamWatch{
		read: func(answer []byte) { suspicious = c.lost(answer) },
		done: func() {
			if suspicious >= 0 {
				c.seams.suspect(suspicious)
			}
		},
	})
	st.Interrupted = interrupted
	for table := range numTables {
		if err != nil || yield == nil {
			break
		}
		err = mend(table)
	}
	st.Unsure += c.seams.lost
	return st, err
}

// walk dumps with the cheapest request that the kernel takes, and hands every
// message about a socket to each.
func (c *Conn) walk(ctx context.Context, r Request, each func(*Message) error, w seamWatch) (interrupted bool, err error) {
	if len(r.Filter) > MaxFilter {
		return false, fmt.Errorf("dump sockets: filter of %d bytes: the longest has %d", len(r.Filter), MaxFilter)
	}
	if !c.byFamily {
		var some bool
		interrupted, err = c.pass(ctx, r, 0, func(m *Message) error {
			some = true
			return each(m)
		}, w)
		if err == nil || some || !unknownRequest(err) {
			return interrupted, err
		}
	}

	// One family after the other; their listeners first, which costs little,
	// for the kernel keeps those apart.
	const listen = tcpvet.StateSet(1) << tcpvet.Listen
	for _, part := range [...]tcpvet.StateSet{r.states() & listen, r.states() &^ listen} {
		if part == 0 {
			continue
		}
		for _, family := range [...]uint8{familyIPv4, familyIPv6} {
			leg := r
			leg.States = part
			intr, err := c.pass(ctx, leg, family, each, w)
			if family == familyIPv6 && errors.Is(err, syscall.ENOENT) {
				err = nil // a kernel without IPv6
			}
			interrupted = interrupted || intr
			if err != nil {
				return interrupted, err
			}
		}
	}
	c.byFamily = true // only now: it was not the filter that was refused
	return interrupted, nil
}

// unknownRequest tells whether the kernel may have refused a request for its
// kind.
func unknownRequest(err error) bool {
	var e *Error
	return errors.As(err, &e) &&
		(e.Errno == syscall.EOPNOTSUPP || e.Errno == syscall.EINVAL || e.Errno == syscall.ENOENT)
}

// pass sends one request and reads its answers to the end.
func (c *Conn) pass(ctx context.Context, r Request, family uint8, each func(*Message) error, w seamWatch) (interrupted bool, err error) {
	if c.broken {
		return false, fmt.Errorf("dump sockets: %w", ErrBroken)
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.seq++
	c.out = r.appendTo(c.out[:0], family, c.seq)
	c.broken = true // until the end is read
	if err := c.link.send(c.out); err != nil {
		return false, fmt.Errorf("send sock_diag request: %w", err)
	}
	for {
		n, err := c.receive(ctx)
		if err != nil {
			return interrupted, err
		}
		if w.read != nil {
			w.read(c.buf[:n])
		}
		ms := &c.messages
		*ms = NewMessages(c.buf[:n])
		for ms.Next() {
			m := ms.Message()
			if m.Seq != c.seq || m.PortID != c.link.portID() {
				continue // an answer to somebody else's question
			}
			if m.Type == typeOverrun {
				return interrupted, fmt.Errorf("dump sockets: %w", ErrLost)
			}
			interrupted = interrupted || m.Interrupted()
			if m.IsSocket() {
				if err := each(m); err != nil {
					return interrupted, err
				}
				continue
			}
			if end, err := m.End(); end {
				c.broken = false
				if err != nil {
					err = fmt.Errorf("dump sockets: %w", err)
				}
				return interrupted, err
			}
		}
		if err := ms.Err(); err != nil {
			return interrupted, fmt.Errorf("dump sockets: %w", err)
		}
		if w.done != nil {
			w.done()
		}
	}
}

// receive reads the next answer into c.buf.
func (c *Conn) receive(ctx context.Context) (int, error) {
	for silence := 0; ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := c.link.receive(c.buf)
		switch {
		case err == nil && n > len(c.buf):
			return 0, fmt.Errorf("read sock_diag answer: %d bytes of %d: %w", len(c.buf), n, ErrTruncated)
		case err == nil && n == 0:
			return 0, fmt.Errorf("read sock_diag answer: no bytes: %w", ErrTruncated)
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			if silence++; silence == maxSilence {
				return 0, fmt.Errorf("read sock_diag answer: %w", ErrSilent)
			}
		case errors.Is(err, syscall.ENOBUFS):
			return 0, fmt.Errorf("read sock_diag answer: %w: %w", ErrLost, err)
		default:
			return 0, fmt.Errorf("read sock_diag answer: %w", err)
		}
	}
}
