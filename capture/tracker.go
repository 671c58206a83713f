package capture

import (
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// TrackerOptions are a Tracker's choices.
type TrackerOptions struct {
	// MaxOpen bounds the conversations that are kept, open ones and those
	// that linger. 0 means 131,072, which take about 150 MB.
	MaxOpen int

	// Linger is how long, in the capture's time, a conversation that has
	// ended is kept for late segments before it is told. 0 means the 60 s
	// that Linux keeps a TIME-WAIT; less lets port-reused pass unnoticed.
	Linger time.Duration

	// Reuse has each conversation told in the same memory: it holds until
	// yield returns.
	Reuse bool

	Dated bool   // times of segments are since 1970
	File  string // where they came from
}

// timeWait is how long Linux keeps a TIME-WAIT (TCP_TIMEWAIT_LEN in
// include/net/tcp.h).
const timeWait = 60 * time.Second

// Stats are a Tracker's counts.
type Stats struct {
	Segments      uint64 // all that were added
	Duplicates    uint64 // of these, packets that were captured twice
	Ignored       uint64 // of these, RSTs that their receiver does not believe
	Conversations uint64 // begun
	Open          uint64 // of these, not ended so far
	GivenUp       uint64 // of these, told while open, since MaxOpen were kept
	Hurried       uint64 // of these, told before they had lingered, for the same reason
}

// Tracker follows the conversations of a capture. It is not for several
// goroutines at once.
type Tracker struct {
	opt   TrackerOptions
	yield func(*tcpvet.Conversation) error
	table table
	queue queues
	now   int64 // the latest time of any segment
	began bool
	stats Stats
	spare *details // for the next one to be told, with Reuse
}

// NewTracker makes a Tracker that tells each conversation by calling yield: in
// the order of their closing, a Linger after it; those still open at Finish.
// yield may keep what it is given, unless o.Reuse is set.
func NewTracker(o TrackerOptions, yield func(*tcpvet.Conversation) error) *Tracker {
	if o.MaxOpen <= 0 {
		o.MaxOpen = 1 << 17
	}
	if o.Linger <= 0 {
		o.Linger = timeWait
	}
	t := &Tracker{opt: o, yield: yield, queue: newQueues()}
	t.table = newTable(&t.queue)
	return t
}

// Linger is how long an ended conversation is kept.
func (t *Tracker) Linger() time.Duration { return t.opt.Linger }

// Stats gives the counts so far.
func (t *Tracker) Stats() Stats { return t.stats }

// Add enters one segment; it does not keep it. Its errors are those of yield.
func (t *Tracker) Add(s *Segment) (Step, error) {
	t.stats.Segments++
	if !t.began || s.At > t.now {
		t.now, t.began = s.At, true
	}
	if err := t.tellDue(); err != nil {
		return Step{}, err
	}
	hash := t.table.hash(s.Src, s.Dst)
	c, from := t.table.find(hash, s.Src, s.Dst)
	if c != nil {
		c, from = t.route(c, from, s)
	}
	if c == nil {
		var err error
		if c, err = t.begin(hash, s); err != nil {
			return Step{}, err
		}
		from = 0
	}
	if c.ends[from].recent.copied(s) {
		t.stats.Duplicates++
		step := c.step(from)
		step.What = Duplicate
		c.bases(&step, from)
		return step, nil
	}
	step := c.step(from)
	step.What = c.add(s, from)
	c.bases(&step, from)
	if step.What.Has(Ignored) {
		t.stats.Ignored++
	}
	step.ClientAfter, step.ServerAfter = c.ends[c.client].state, c.ends[1-c.client].state
	t.settle(c)
	return step, nil
}

// step begins a Step by the states before the segment.
// Advance says that no segment passed until that time (as Segment.At), and
// tells what has lingered long enough.
func (t *Tracker) Advance(at int64) error {
	if t.began && at > t.now {
		t.now = at
	}
	return t.tellDue()
}

func (c *conversation) step(from int) Step {
	client, server := c.ends[c.client].state, c.ends[1-c.client].state
	return Step{Number: c.number, From: c.end(uint8(from)), ClientBefore: client, ServerBefore: server, ClientAfter: client, ServerAfter: server}
}

func (c *conversation) bases(s *Step, from int) {
	e, p := &c.ends[from], &c.ends[1-from]
	if c.self {
		p = e
	}
	s.SeqBase, s.AckBase = e.zero(), p.zero()
}

// zero is the sequence number that stands for 0 in relative ones.
func (e *end) zero() uint32 {
	if e.is(sawSYN) {
		return e.isn
	}
	return e.sent.base
}

// settle puts a conversation where it belongs after a segment.
func (t *Tracker) settle(c *conversation) {
	if c.older != nil && c.answered() {
		// Whoever answered a new SYN has nothing left of the older one.
		t.replace(c.older)
	}
	switch {
	case c.over:
	case c.ended():
		t.close(c)
	default:
		t.queue.touch(openHead, c.slot)
	}
}

// close moves an open conversation to those that wait to be told.
func (t *Tracker) close(c *conversation) {
	c.over, c.closedAt = true, t.now
	t.queue.touch(openHead, c.slot)
	t.queue.unlink(c.slot)
	t.queue.push(closedHead, c.slot)
	t.stats.Open--
	if c.newer != nil {
		c.newer.older, c.newer = nil, nil
	}
}

// replace takes a conversation out of the way of a new one with the same
// endpoints. It is told in its turn.
func (t *Tracker) replace(c *conversation) {
	t.table.remove(c)
	if !c.over {
		t.close(c)
	}
}

// route tells which conversation s belongs to, where c is the latest of its
// endpoints: c, the one before it, or nil for a new one.
func (t *Tracker) route(c *conversation, from int, s *Segment) (*conversation, int) {
	if s.Flags&(SYN|RST) == SYN {
		if !c.opensAgain(from, s) {
			return c, from
		}
		return nil, 0
	}
	if c.older != nil && !c.answers(from, s) {
		if i, ok := c.older.side(s.Src, s.Dst); ok {
			return c.older, i
		}
	}
	return c, from
}

// begin makes the conversation whose first segment is s.
func (t *Tracker) begin(hash uint32, s *Segment) (*conversation, error) {
	last, _ := t.table.find(hash, s.Src, s.Dst)
	var used reuse
	var older *conversation
	if last != nil {
		used = last.reusedAt(t.now)
		older = last
		if last.over || last.unanswered() {
			older, last.older = last.older, nil
			t.replace(last)
		}
		t.table.remove(last)
	}
	if err := t.makeRoom(); err != nil {
		return nil, err
	}
	if older != nil && older.number == 0 { // it was what had to go
		older = nil
	}
	c := t.queue.take()
	t.stats.Conversations++
	t.stats.Open++
	c.number = int(t.stats.Conversations)
	c.hash, c.first, c.last, c.reuse = hash, s.At, s.At, used
	c.ends[0].addr, c.ends[1].addr = s.Src, s.Dst
	c.self = s.Src == s.Dst
	if c.older = older; older != nil {
		older.newer = c
	}
	switch {
	case s.Flags&(SYN|RST) == SYN && s.Flags.Has(ACK):
		c.client = 1
	case s.Flags&(SYN|RST) != SYN && !c.self:
		c.client = firstClient(s.Src, s.Dst)
	}
	t.table.insert(c)
	t.queue.push(openHead, c.slot)
	return c, nil
}

// makeRoom sees to it that one more conversation can be kept: it tells the
// one that ended first, else gives up the one that was silent longest.
func (t *Tracker) makeRoom() error {
	if len(t.queue.all)-2-len(t.queue.free) < t.opt.MaxOpen {
		return nil
	}
	c := t.queue.first(closedHead)
	if c == nil {
		c = t.queue.first(openHead)
		t.stats.GivenUp++
	} else {
		t.stats.Hurried++
	}
	return t.tell(c)
}

// tellDue tells the conversations that have lingered long enough.
func (t *Tracker) tellDue() error {
	for {
		c := t.queue.first(closedHead)
		if c == nil || elapsed(c.closedAt, t.now) <= t.opt.Linger {
			return nil
		}
		if err := t.tell(c); err != nil {
			return err
		}
	}
}

// tell hands a conversation out and forgets it.
func (t *Tracker) tell(c *conversation) error {
	d := t.spare
	if d == nil {
		d = new(details)
	} else {
		*d = details{}
	}
	if t.opt.Reuse {
		t.spare = d
	}
	told := c.told(d, t.now, &t.opt)
	t.table.remove(c)
	if !c.over {
		t.stats.Open--
	}
	if c.older != nil { // it is the latest again
		c.older.newer = nil
		t.table.insert(c.older)
	}
	if c.newer != nil {
		c.newer.older = nil
	}
	t.queue.release(c)
	return t.yield(told)
}

// Finish tells what is left: those that ended, in the order of their ends,
// then those still open, by their numbers. The Tracker is empty afterwards,
// and its Stats.Open says how many were open.
func (t *Tracker) Finish() error {
	for c := t.queue.first(closedHead); c != nil; c = t.queue.first(closedHead) {
		if err := t.tell(c); err != nil {
			return err
		}
	}
	open := make([]*conversation, 0, t.stats.Open)
	for c := t.queue.first(openHead); c != nil; c = t.queue.first(openHead) {
		t.queue.touch(openHead, c.slot)
		t.queue.unlink(c.slot)
		t.queue.links[c.slot] = link{c.slot, c.slot} // alone
		open = append(open, c)
	}
	slices.SortFunc(open, func(a, b *conversation) int { return a.number - b.number })
	n := t.stats.Open
	for _, c := range open {
		if err := t.tell(c); err != nil {
			return err
		}
	}
	t.stats.Open = n
	return nil
}
