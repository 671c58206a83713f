package capture

// queues keeps the open conversations by their last segment, and the closed
// ones by the time of closing. The links stand together, apart from the
// conversations, since a segment moves its own to the end: that touches two
// neighbours, which would not be in the cache.
type queues struct {
	links []link
	all   []*conversation // by slot
	free  []int32         // slots whose conversation can be used again
}

type link struct{ prev, next int32 }

// The slots of the two heads.
const (
	openHead   = 0
	closedHead = 1
)

func newQueues() queues {
	return queues{links: []link{{0, 0}, {1, 1}}, all: []*conversation{nil, nil}}
}

func (q *queues) unlink(slot int32) {
	l := q.links[slot]
	q.links[l.prev].next = l.next
	q.links[l.next].prev = l.prev
}

// push links a slot in as the last behind head.
func (q *queues) push(head, slot int32) {
	last := q.links[head].prev
	q.links[slot] = link{last, head}
	q.links[last].next = slot
	q.links[head].prev = slot
}

// touch makes a slot the last behind head.
func (q *queues) touch(head, slot int32) {
	if q.links[head].prev != slot {
		q.unlink(slot)
		q.push(head, slot)
	}
}

// first gives the first behind head, or nil.
func (q *queues) first(head int32) *conversation {
	return q.all[q.links[head].next]
}

// take gives an empty conversation in a slot of its own.
func (q *queues) take() *conversation {
	if n := len(q.free); n > 0 {
		slot := q.free[n-1]
		q.free = q.free[:n-1]
		return q.all[slot]
	}
	c := &conversation{slot: int32(len(q.all))}
	q.all = append(q.all, c)
	q.links = append(q.links, link{})
	return c
}

// release gives a conversation back, unlinked.
func (q *queues) release(c *conversation) {
	slot := c.slot
	q.unlink(slot)
	*c = conversation{slot: slot}
	q.free = append(q.free, slot)
}
