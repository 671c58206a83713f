package sockdiag

import (
	"context"
	"encoding/binary"
	"os"

	"github.com/tcpvet/tcpvet"
)

const (
	// seamLookups is how many of the last sockets before a seam are looked
	// up. The open bucket must hold more than that before its mark for an
	// exit from it to be missed.
	seamLookups = 16
	// seamKnown and seamAfter are how many sockets on each side of a seam are
	// remembered; the later half of those before it can open a stretch.
	seamKnown = 64
	seamAfter = 64

	// The kernel fills an answer of a page at least (8 KB at most), and of 32
	// KB where it has the memory and a read was that long before
	// (netlink_dump); what it tells of one socket is below 700 bytes.
	// Between these lengths it would have put more into an answer.
	roomLeft  = 3000
	mostSmall = 8192
	leastFull = 30_000

	// maxSeams and maxStretch bound the memory for suspicious seams and for
	// what a stretch holds.
	maxSeams   = 2048
	maxStretch = 4096
)

// uncut tells of an answer's length that the kernel had no more to tell.
func uncut(n int) bool {
	return n < roomLeft || n > min(mostSmall, os.Getpagesize()) && n < leastFull
}

// Crowded tells whether so many sockets of a namespace in so many buckets make
// buckets of more than 16 likely, in which the kernel may pass over a socket
// unseen while others come and go: at six a bucket, the share of such buckets
// (Poisson) is 0.02 %.
func Crowded(sockets, buckets int) bool { return buckets > 0 && sockets > 6*buckets }

// seam is a place where one answer of the kernel ended, and where sockets may
// have been passed over: one of those told just before it was gone by the time
// when the kernel had filled the next answer.
type seam struct {
	before  [seamKnown]uint64 // cookies, the oldest first
	after   [seamAfter]uint64
	nBefore int
	nAfter  int
}

// Tables of the kernel's walk, in its order.
const (
	tableListen = iota
	tableBound
	tableConnections
	numTables
)

var tableStates = [numTables]tcpvet.StateSet{
	tableListen:      1 << tcpvet.Listen,
	tableBound:       1 << tcpvet.BoundInactive,
	tableConnections: tcpvet.AllStates &^ (1<<tcpvet.Listen | 1<<tcpvet.BoundInactive),
}

func tableOf(payload []byte) int {
	if len(payload) < replyLen {
		return tableConnections
	}
	switch tcpvet.State(payload[offState]) {
	case tcpvet.Listen:
		return tableListen
	case tcpvet.Unconn:
		return tableBound
	}
	return tableConnections
}

// seams keeps the suspicious seams of one pass, in the order of the walk.
type seams struct {
	by   [numTables][]*seam
	open []*seam // those whose other side is still being told
	lost int     // more than could be kept
	last []uint64
}

func (q *seams) reset() {
	for t := range q.by {
		q.by[t] = q.by[t][:0]
	}
	q.open, q.lost, q.last = q.open[:0], 0, q.last[:0]
}

// told takes note of a socket that the kernel told.
func (q *seams) told(cookie uint64) {
	for _, s := range q.open {
		s.after[s.nAfter] = cookie
		s.nAfter++
	}
	if len(q.open) > 0 && q.open[0].nAfter == seamAfter { // the oldest is full first
		q.open = q.open[:copy(q.open, q.open[1:])]
	}
	if len(q.last) >= 16*seamKnown {
		q.last = q.last[:copy(q.last, q.last[len(q.last)-seamKnown:])]
	}
	q.last = append(q.last, cookie)
}

// suspect says that the last socket told stands before a suspicious seam.
func (q *seams) suspect(table int) {
	if len(q.by[table]) == maxSeams {
		q.lost++
		return
	}
	s := new(seam)
	s.nBefore = copy(s.before[:], q.last[max(0, len(q.last)-seamKnown):])
	q.by[table] = append(q.by[table], s)
	q.open = append(q.open, s)
}

// withdraw takes the last suspicion back.
func (q *seams) withdraw(table int) {
	q.by[table] = q.by[table][:len(q.by[table])-1]
	q.open = q.open[:len(q.open)-1]
}

// seamWatch is told of the answers of a walk: read before the sockets of one
// are handed over, done after.
type seamWatch struct {
	read func(answer []byte)
	done func()
}

// stretch finds again, in a second walk, the sockets between the two sides of
// each seam, and hands over those that the first walk did not tell.
type stretch struct {
	seams   []*seam
	openers map[uint64]int    // the first seam that the socket was told before
	closers map[uint64][2]int // the first and the last seam that it was told after
	told    map[uint64]struct{}
	current int      // the seam whose stretch is open, -1 for none
	held    [][]byte // payloads of sockets in it that were not told
	mended  []bool
	edge    bool // an answer ended in the open stretch, and nothing was met since
}

func newStretch(list []*seam, told map[uint64]struct{}) *stretch {
	st := &stretch{
		seams:   list,
		openers: make(map[uint64]int), closers: make(map[uint64][2]int), told: told,
		current: -1, mended: make([]bool, len(list)),
	}
	for i, s := range list {
		for j, c := range s.before[:s.nBefore] {
			st.told[c] = struct{}{}
			if _, ok := st.openers[c]; !ok && j >= s.nBefore-seamKnown/2 {
				st.openers[c] = i
			}
		}
		for _, c := range s.after[:s.nAfter] {
			st.told[c] = struct{}{}
			span, ok := st.closers[c]
			if !ok {
				span[0] = i
			}
			span[1] = i
			st.closers[c] = span
		}
	}
	return st
}

// meet takes the next socket of the second walk.
func (st *stretch) meet(payload []byte, tell func([]byte) error) error {
	c := rawCookie(payload)
	if span, ok := st.closers[c]; ok && span[0] <= st.current && st.current <= span[1] {
		// What was told after several seams ends the stretches of all.
		if err := st.close(span[1], tell); err != nil {
			return err
		}
	}
	if i, ok := st.openers[c]; ok {
		st.current, st.held = i, st.held[:0]
		return nil
	}
	if st.current < 0 {
		return nil
	}
	if _, ok := st.told[c]; ok {
		return nil
	}
	if len(st.held) == maxStretch {
		st.current, st.held = -1, st.held[:0] // its far side is gone
		return nil
	}
	st.held = append(st.held, append([]byte(nil), payload...))
	return nil
}

// close ends the open stretch, which goes on to the seam named: what it holds
// had not been told.
func (st *stretch) close(last int, tell func([]byte) error) error {
	for i := st.current; i <= last; i++ {
		st.mended[i] = true
	}
	st.current = -1
	for _, payload := range st.held {
		st.told[rawCookie(payload)] = struct{}{}
		if err := tell(payload); err != nil {
			return err
		}
	}
	st.held = st.held[:0]
	return nil
}

// end ends the walk. A seam behind which nothing was told ends with it.
func (st *stretch) end(tell func([]byte) error) (unsure int, err error) {
	if st.current >= 0 && st.seams[st.current].nAfter == 0 {
		if err := st.close(st.current, tell); err != nil {
			return 0, err
		}
	}
	for _, ok := range st.mended {
		if !ok {
			unsure++
		}
	}
	return unsure, nil
}

// mend walks one table again for what its seams may have hidden. Where an
// answer ends inside of a stretch, that is a seam too, and one more walk is made
// for those; a socket would have to be passed over three times to stay hidden.
func (c *Conn) mend(ctx context.Context, r Request, table int, tell func([]byte) error) (unsure int, err error) {
	list := c.seams.by[table]
	c.seams.by[table], c.seams.open = nil, c.seams.open[:0]
	r.States = r.states() & tableStates[table]
	told := make(map[uint64]struct{}) // about the seams of all walks
	for walk := 0; walk < 2 && len(list) > 0; walk++ {
		if c.aside == nil || c.aside.broken {
			return len(list), nil
		}
		st := newStretch(list, told)
		var again seams
		var stopped error
		_, err := c.aside.walk(ctx, r, func(m *Message) error {
			if st.edge {
				st.edge = false
				if i, ok := st.openers[rawCookie(m.Payload)]; ok && i == st.current {
					again.withdraw(table)
				}
			}
			again.told(rawCookie(m.Payload))
			stopped = st.meet(m.Payload, tell)
			return stopped
		}, seamWatch{done: func() {
			if st.current >= 0 {
				st.edge = true
				again.suspect(table)
			}
		}})
		switch {
		case stopped != nil:
			return unsure, stopped
		case ctx.Err() != nil:
			return unsure, ctx.Err()
		case err != nil:
			return unsure + len(list), nil // the dump is still worth what it was
		}
		if st.edge {
			again.withdraw(table) // it was the end of all
		}
		n, err := st.end(tell)
		if err != nil {
			return unsure, err
		}
		unsure += n
		list = again.by[table]
	}
	return unsure, nil
}

// lost gives the table in which sockets may have been passed over at the end of
// an answer, -1 where all is well. When an answer is read the kernel has filled
// the next one already (netlink_recvmsg): what is in its place now was there
// then.
func (c *Conn) lost(answer []byte) (table int) {
	if uncut(len(answer)) {
		return -1
	}
	var last [seamLookups][]byte
	n := 0
	ms := NewMessages(answer)
	for ms.Next() {
		if m := ms.Message(); m.IsSocket() && len(m.Payload) >= replyLen {
			last[n%seamLookups] = m.Payload
			n++
		}
	}
	if n == 0 {
		return -1
	}
	if table = tableOf(last[(n-1)%seamLookups]); table != tableConnections {
		// A look-up does not find merely bound sockets, nor a certain one of
		// several listeners; but both tables are short.
		return table
	}
	if c.aside != nil && c.aside.present(last[:min(n, seamLookups)]) {
		return -1
	}
	return table
}

// present looks sockets up, by addresses and cookie, and tells whether all of
// them are in the kernel's tables of connections and listeners.
func (c *Conn) present(payloads [][]byte) bool {
	c.seq++
	c.out = c.out[:0]
	for _, p := range payloads {
		c.out = appendLookup(c.out, p, c.seq)
	}
	if c.broken || c.link.send(c.out) != nil {
		return false
	}
	all := true
	for answered := 0; answered < len(payloads); {
		n, err := c.receive(context.Background())
		if err != nil {
			c.broken = true
			return false
		}
		ms := NewMessages(c.buf[:n])
		for ms.Next() {
			if m := ms.Message(); m.Seq == c.seq {
				answered++
				all = all && m.IsSocket()
			}
		}
	}
	return all
}

// appendLookup appends the request for one socket: struct inet_diag_req_v2 with
// the identity that the kernel told of it.
func appendLookup(b, payload []byte, seq uint32) []byte {
	b = binary.NativeEndian.AppendUint32(b, headerLen+newReqLen)
	b = binary.NativeEndian.AppendUint16(b, typeByFamily)
	b = binary.NativeEndian.AppendUint16(b, flagRequest)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, payload[offFamily], protoTCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(tcpvet.AllStates))
	return append(b, payload[offSport:offExpires]...)
}

// rawCookie reads the cookie of a struct inet_diag_msg.
func rawCookie(payload []byte) uint64 {
	if len(payload) < replyLen {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(payload[offCookie:])) |
		uint64(binary.NativeEndian.Uint32(payload[offCookie+4:]))<<32
}
