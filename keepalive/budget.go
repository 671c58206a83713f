package keepalive

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// Budget holds dials to one destination within what its local ports sustain. A
// destination is a remote address and port, together with the source address where
// Options.Base sets one: that is what the kernel counts local ports against. A port is
// taken from the dial until the connection is closed, and rests after that as long as a
// TIME-WAIT lasts. So connections that are closed at once are opened at no more than
// ports / 60 s in the long run, and all ports can be open at a time.
//
// The zero value waits, and goes by the kernel's port range.
type Budget struct {
	// Ports is how many local ports there are, from 1 to 65,535. 0 is those of
	// net.ipv4.ip_local_port_range without ip_local_reserved_ports, in the network
	// namespace of this process; when they seem to be taken, the kernel's own list of
	// sockets decides, in which those of other programs stand, and from which
	// TIME-WAITs are missing that the peer has, or that the kernel would reuse. On
	// other systems than Linux 0 is 16,384, the dynamic ports of RFC 6335. Set it where
	// the limit is elsewhere, as with a NAT gateway: then what this Budget has let
	// through is all that counts.
	Ports int

	// Rest is how long a port rests after its connection was closed by either end; 0
	// is 60 s, Linux's TCP_TIMEWAIT_LEN. A close is noticed by looking, up to a second
	// late. Where Ports is 0 on Linux it only matters until the kernel is asked.
	Rest time.Duration

	// FailFast has a dial fail at once, with a *BudgetExceeded, instead of waiting; or
	// with a *PortsExhausted, where others took the ports since the kernel was asked last.
	FailFast bool

	// MaxWait bounds the wait, as the context of the dial does: net/http does not hand
	// on that a request was cancelled. 0 is 60 s: by then each port that rested at
	// its beginning has come back.
	MaxWait time.Duration
}

const (
	timeWait     = 60 * time.Second // TCP_TIMEWAIT_LEN, include/net/tcp.h
	dynamicPorts = 16384            // 49152-65535, RFC 6335 section 6
	mostPorts    = 65535
)

func (b *Budget) validate() error {
	if b.Ports < 0 || b.Ports > mostPorts {
		return fmt.Errorf("Budget.Ports %d: expected 0 for the kernel's range, or 1 to %d", b.Ports, mostPorts)
	}
	if b.Rest < 0 {
		return fmt.Errorf("Budget.Rest %v: expected 0 for %v, or more", b.Rest, timeWait)
	}
	if b.MaxWait < 0 {
		return fmt.Errorf("Budget.MaxWait %v: expected 0 for %v, or more", b.MaxWait, timeWait)
	}
	return nil
}

// BudgetExceeded is a dial that the Budget held back.
type BudgetExceeded struct {
	Local  netip.Addr     // the source address that was asked for; the zero Addr for any
	Remote netip.AddrPort // the destination

	Ports   int // local ports that there are
	Open    int // of them, taken by connections of this Budget that are open or being opened
	Resting int // of them, taken by connections that were closed
	Others  int // of them, taken by other sockets: other programs', or closed and still sending

	PerSecond float64       // dials that the ports sustain: Ports / Rest
	Retry     time.Duration // until the first port that rests comes back; 0 where that cannot be told
	Waited    time.Duration // how long the dial waited

	Err error // what ended the wait: context.DeadlineExceeded or context.Canceled; nil with FailFast and at MaxWait
}

// Error gives the numbers.
func (e *BudgetExceeded) Error() string {
	s := fmt.Sprintf("wait for a local port to %s: %d of %d are taken (%d open, %d closed and resting, %d by others)",
		e.Remote, e.Open+e.Resting+e.Others, e.Ports, e.Open, e.Resting, e.Others)
	if e.Waited > 0 {
		s += fmt.Sprintf(" after %v", e.Waited.Round(time.Millisecond))
	}
	if e.Retry > 0 {
		s += fmt.Sprintf("; the first comes back in %v", e.Retry.Round(time.Millisecond))
	}
	return s + fmt.Sprintf("; the ports sustain %s new connections a second: reuse connections, or close those that are open", perSecond(e.PerSecond))
}

// perSecond shows a rate, however small.
func perSecond(rate float64) string {
	if rate < 1 {
		return fmt.Sprintf("%.2g", rate)
	}
	return fmt.Sprintf("%.1f", rate)
}

// Unwrap gives what ended the wait.
func (e *BudgetExceeded) Unwrap() error { return e.Err }

// Timeout is true where the context's deadline ended the wait, as of a net.Error.
func (e *BudgetExceeded) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }

// Temporary is true: ports come back.
func (e *BudgetExceeded) Temporary() bool { return true }

// tupleKey is what ports are counted against.
type tupleKey struct {
	local  netip.Addr
	remote netip.AddrPort
}

// budgets keeps the accounts of one Budget.
type budgets struct {
	Budget
	table table       // nil where Ports is given, and where the kernel cannot be asked
	book  opened.Book // what it has let through

	mu     sync.Mutex
	tuples map[tupleKey]*tuple
	prune  int // with so many tuples, those that are empty go
	ticks  bool
}

// leastPrune is how many destinations are kept before the first look for those that
// have nothing open.
const leastPrune = 1024

func newBudgets(b Budget) *budgets {
	b.Rest, b.MaxWait = orDefault(b.Rest, timeWait), orDefault(b.MaxWait, timeWait)
	all := &budgets{Budget: b, tuples: map[tupleKey]*tuple{}, prune: leastPrune}
	if b.Ports == 0 {
		all.table = kernelTable
	}
	return all
}

// of gives the account of a destination. The caller holds mu.
func (b *budgets) of(key tupleKey) *tuple {
	if t := b.tuples[key]; t != nil {
		return t
	}
	if len(b.tuples) >= b.prune {
		now := time.Now()
		for k, t := range b.tuples {
			if t.settle(now, b.Rest); t.empty() {
				delete(b.tuples, k)
			}
		}
		b.prune = max(leastPrune, 2*len(b.tuples))
	}
	t := &tuple{key: key, ports: b.Ports}
	if t.ports == 0 {
		t.ports = dynamicPorts
	}
	b.tuples[key] = t
	return t
}

// take takes a port for a dial, or gives a *BudgetExceeded.
func (b *budgets) take(key tupleKey) (*tuple, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.of(key)
	now := time.Now()
	b.learn(t, now)
	if len(t.queue) == 0 && t.room(now) {
		t.dialling++
		return t, nil
	}
	b.refresh(t)
	if len(t.queue) == 0 && t.room(time.Now()) {
		t.dialling++
		return t, nil
	}
	return nil, t.exceeded(b.Rest)
}

// learn reads the port range, once a second at most.
func (b *budgets) learn(t *tuple, now time.Time) {
	if b.table == nil || now.Before(t.rangeUntil) {
		return
	}
	t.rangeUntil = now.Add(time.Second)
	if n, ok := usablePorts(); ok {
		t.ports = n
	}
}

// refresh brings the account up to date, unless that was done just now. The caller
// holds mu; it is let go while the kernel is asked.
func (b *budgets) refresh(t *tuple) {
	now := time.Now()
	if t.asking || now.Before(t.askAgain) {
		return
	}
	t.asking = true
	t.settle(now, b.Rest)
	var taken taken
	err := errors.ErrUnsupported
	if b.table != nil {
		b.mu.Unlock()
		taken, err = b.table(t.key)
		b.mu.Lock()
	}
	t.asking = false
	after := time.Now()
	// At most a twentieth of a processor is spent on asking.
	t.askAgain = after.Add(min(max(20*after.Sub(now), 25*time.Millisecond), time.Second))
	if err == nil {
		t.ports = taken.usable
		t.resting = taken.back
		t.others = max(0, taken.open-len(t.held)-t.dialling)
	}
}

// tick has closes be noticed while a destination has taken more than half of its
// ports, so that they rest from about when they were closed.
func (b *budgets) tick(t *tuple) {
	if b.ticks || 2*len(t.held) < t.ports {
		return
	}
	b.ticks = true
	time.AfterFunc(time.Second, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ticks = false
		now := time.Now()
		for _, t := range b.tuples {
			if 2*len(t.held) >= t.ports {
				t.settle(now, b.Rest)
				b.tick(t)
			}
		}
	})
}

// tuple is the account of one destination.
type tuple struct {
	key      tupleKey
	ports    int
	dialling int
	held     map[*opened.Conn]struct{}
	resting  []time.Time // when ports come back, in order
	others   int
	queue    []*waiter
	pumping  bool

	rangeUntil time.Time // the port range need not be read before
	asking     bool
	askAgain   time.Time
}

// settle has the ports of closed connections rest.
func (t *tuple) settle(now time.Time, rest time.Duration) {
	for c := range t.held {
		if !c.StillOpen() {
			delete(t.held, c)
			t.resting = append(t.resting, now.Add(rest))
		}
	}
	t.expire(now)
}

func (t *tuple) expire(now time.Time) {
	n := 0
	for n < len(t.resting) && !t.resting[n].After(now) {
		n++
	}
	t.resting = slices.Delete(t.resting, 0, n)
}

func (t *tuple) taken() int { return t.dialling + len(t.held) + len(t.resting) + t.others }

func (t *tuple) room(now time.Time) bool {
	t.expire(now)
	return t.taken() < t.ports
}

func (t *tuple) empty() bool { return t.taken() == t.others && len(t.queue) == 0 && !t.asking }

func (t *tuple) exceeded(rest time.Duration) *BudgetExceeded {
	e := &BudgetExceeded{
		Local: t.key.local, Remote: t.key.remote, Ports: t.ports, Open: t.dialling + len(t.held),
		Resting: len(t.resting), Others: t.others, PerSecond: float64(t.ports) / rest.Seconds(),
	}
	if len(t.resting) > 0 {
		e.Retry = max(0, time.Until(t.resting[0]))
	}
	return e
}
