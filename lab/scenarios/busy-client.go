package scenarios

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// busyClient has a pool of connections, and makes requests on them all the time,
// while the play goes on.
var busyClient = lab.Act{Name: "busy-client", Learn: func(c *lab.Cues) {
	b := &busy{}
	lab.On(c, busyOpen, b.open)
	lab.On(c, busyMark, b.mark)
	lab.On(c, busyWork, b.work)
}}

// The cues of busyClient.
const (
	busyOpen = "open" // openOrder, struct{}: more connections, each with a request that is answered
	busyMark = "mark" // struct{}, struct{}: count from here
	busyWork = "work" // struct{}, worked: what it has done since the mark
)

type openOrder struct {
	To      netip.AddrPort
	Count   int
	Reserve bool // no further requests on these
}

// worked is the work since the mark.
type worked struct {
	Requests int // on all connections
	Least    int // on the one that had the fewest, of those that work
}

type busy struct {
	hands   []*hand
	reserve []*hand // held, so that nothing closes them
}

// hand is a connection that works.
type hand struct {
	conn     net.Conn
	answered atomic.Int64
	marked   int64 // of them, those before the mark
	failed   atomic.Pointer[error]
}

// breath is the time between an answer and the next request.
const breath = 20 * time.Millisecond

func (b *busy) open(order openOrder) (struct{}, error) {
	// As most clients, it sets no SO_KEEPALIVE, which Go does unasked.
	d := net.Dialer{KeepAlive: -1}
	for range order.Count {
		c, err := d.DialContext(context.Background(), "tcp", order.To.String())
		if err != nil {
			return struct{}{}, err
		}
		h := &hand{conn: c}
		if err := h.ask(); err != nil {
			return struct{}{}, err
		}
		if order.Reserve {
			b.reserve = append(b.reserve, h)
			continue
		}
		b.hands = append(b.hands, h)
		go h.work()
	}
	return struct{}{}, nil
}

func (h *hand) ask() error {
	if _, err := h.conn.Write([]byte(request)); err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	var b [len(answer)]byte
	if _, err := io.ReadFull(h.conn, b[:]); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	h.answered.Add(1)
	return nil
}

func (h *hand) work() {
	for {
		time.Sleep(breath)
		if err := h.ask(); err != nil {
			h.failed.Store(&err)
			return
		}
	}
}

func (b *busy) mark(struct{}) (struct{}, error) {
	for _, h := range b.hands {
		h.marked = h.answered.Load()
	}
	return struct{}{}, nil
}

func (b *busy) work(struct{}) (w worked, err error) {
	for i, h := range b.hands {
		if err := h.failed.Load(); err != nil {
			return w, *err
		}
		n := int(h.answered.Load() - h.marked)
		w.Requests += n
		if i == 0 || n < w.Least {
			w.Least = n
		}
	}
	return w, nil
}
