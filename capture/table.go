package capture

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"
)

// table finds the conversation of two endpoints, whichever of them sent: open
// addressing with linear probing. An entry is 32 bits of the hash and the slot
// of the conversation, so that a search touches no conversation but the right
// one. The seeds are secret: who sends the packets cannot choose ones that
// crowd.
type table struct {
	entries []entry // a power of two; 0 is empty
	n       int
	seeds   [3]uint64
	zones   maphash.Seed
	queue   *queues
}

type entry uint64

func (e entry) hash() uint32 { return uint32(e >> 32) }
func (e entry) slot() int32  { return int32(e) } // those of conversations are not 0

func newTable(q *queues) table {
	t := table{entries: make([]entry, 64), zones: maphash.MakeSeed(), queue: q}
	for i := range t.seeds {
		t.seeds[i] = maphash.String(t.zones, string(rune('a'+i))) | 1
	}
	return t
}

// mix is the multiplication of wyhash: both halves of the product.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (t *table) hashEnd(e netip.AddrPort) uint64 {
	b := e.Addr().As16()
	h := mix(binary.LittleEndian.Uint64(b[:])^t.seeds[0], binary.LittleEndian.Uint64(b[8:])^t.seeds[1])
	h = mix(h^uint64(e.Port()), t.seeds[2])
	if !e.Addr().Is4() {
		if z := e.Addr().Zone(); z != "" {
			h ^= maphash.String(t.zones, z)
		}
	}
	return h
}

// hash is the same for both directions.
func (t *table) hash(src, dst netip.AddrPort) uint32 {
	return uint32(mix(t.hashEnd(src)+t.hashEnd(dst), t.seeds[0]) >> 32)
}

// find gives the conversation, and which of its ends src is.
func (t *table) find(hash uint32, src, dst netip.AddrPort) (*conversation, int) {
	mask := uint32(len(t.entries) - 1)
	for i := hash & mask; t.entries[i] != 0; i = (i + 1) & mask {
		if t.entries[i].hash() != hash {
			continue
		}
		c := t.queue.all[t.entries[i].slot()]
		if side, ok := c.side(src, dst); ok {
			return c, side
		}
	}
	return nil, 0
}

func (t *table) insert(c *conversation) {
	if 4*t.n >= 3*len(t.entries) {
		old := t.entries
		t.entries = make([]entry, 2*len(old))
		for _, e := range old {
			if e != 0 {
				t.put(e)
			}
		}
	}
	t.put(entry(c.hash)<<32 | entry(c.slot))
	c.tabled = true
	t.n++
}

func (t *table) put(e entry) {
	mask := uint32(len(t.entries) - 1)
	i := e.hash() & mask
	for t.entries[i] != 0 {
		i = (i + 1) & mask
	}
	t.entries[i] = e
}

// remove takes a conversation out, and moves up those that stand behind its
// place because it was taken.
func (t *table) remove(c *conversation) {
	if !c.tabled {
		return
	}
	mask := uint32(len(t.entries) - 1)
	i := c.hash & mask
	for t.entries[i].slot() != c.slot {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; t.entries[j] != 0; j = (j + 1) & mask {
		if home := t.entries[j].hash() & mask; (j-home)&mask >= (j-i)&mask {
			t.entries[i] = t.entries[j]
			i = j
		}
	}
	t.entries[i] = 0
	t.n--
	c.tabled = false
}
