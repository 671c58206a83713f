package jsonv1

import (
	"math"
	"net/netip"
	"time"
	"unicode/utf8"
)

// cursor reads JSON in the one spelling that AppendSocket has. Its methods are
// false at anything else, which need not be wrong.
type cursor struct{ rest []byte }

func (c *cursor) null() bool { return c.lit("null") }

// some tells that no null follows.
func (c *cursor) some() bool { return len(c.rest) > 0 && c.rest[0] != 'n' }

// lit passes over text that must stand here.
func (c *cursor) lit(text string) bool {
	if len(c.rest) < len(text) || string(c.rest[:len(text)]) != text {
		return false
	}
	c.rest = c.rest[len(text):]
	return true
}

// word reads up to the quote that ends a string, nil where the string has
// anything in it that may be written otherwise than it reads.
func (c *cursor) word() []byte {
	w, ascii := c.text()
	if !ascii {
		return nil
	}
	return w
}

// text is word for a string that nobody reads: it need not be ASCII.
func (c *cursor) text() (w []byte, ascii bool) {
	ascii = true
	for i, b := range c.rest {
		switch {
		case b == '"':
			w = c.rest[:i:i]
			c.rest = c.rest[i+1:]
			return w, ascii
		case b < ' ' || b == '\\':
			return nil, false
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

// uint reads a number of at most so much.
func (c *cursor) uint(most uint64) (n uint64, ok bool) {
	i := 0
	for ; i < len(c.rest) && '0' <= c.rest[i] && c.rest[i] <= '9'; i++ {
		d := uint64(c.rest[i] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if i == 0 || i > 1 && c.rest[0] == '0' || n > most {
		return 0, false
	}
	c.rest = c.rest[i:]
	return n, true
}

func (c *cursor) boolean(to *bool) bool {
	*to = c.lit("true")
	return *to || c.lit("false")
}

func (c *cursor) endpoint(to *netip.AddrPort) bool {
	w := c.word()
	if ap, ok := ipv4(w); ok {
		*to = ap
		return true
	}
	ap, err := netip.ParseAddrPort(string(w))
	*to = ap
	return err == nil
}

// ipv4 reads 10.0.3.7:8080 without the allocation of a string.
func ipv4(b []byte) (ap netip.AddrPort, ok bool) {
	c := cursor{b}
	var a [4]byte
	for i := range a {
		n, ok := c.uint(255)
		if !ok || !c.lit("...:"[i:i+1]) {
			return ap, false
		}
		a[i] = byte(n)
	}
	port, ok := c.uint(math.MaxUint16)
	return netip.AddrPortFrom(netip.AddrFrom4(a), uint16(port)), ok && len(c.rest) == 0
}

func (c *cursor) duration(to *time.Duration, unit time.Duration) bool {
	n, ok := c.uint(math.MaxInt64)
	*to = span(int64(n), unit)
	return ok
}

func (c *cursor) uint8(to *uint8) bool {
	n, ok := c.uint(math.MaxUint8)
	*to = uint8(n)
	return ok
}

func (c *cursor) uint32(to *uint32) bool {
	n, ok := c.uint(math.MaxUint32)
	*to = uint32(n)
	return ok
}

func (c *cursor) uint64(to *uint64) bool {
	n, ok := c.uint(math.MaxUint64)
	*to = n
	return ok
}
