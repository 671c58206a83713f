package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// ErrTruncated says that an answer of the kernel was cut.
var ErrTruncated = errors.New("answer is cut short")

// Error is a dump that the kernel refused or gave up.
type Error struct {
	Errno syscall.Errno
	Text  string // the kernel's own explanation, "" where it gave none
}

// Error gives the errno's text and the kernel's explanation.
func (e *Error) Error() string {
	if e.Text == "" {
		return "kernel refused the dump: " + e.Errno.Error()
	}
	return "kernel refused the dump: " + e.Errno.Error() + ": " + e.Text
}

// Unwrap gives the errno, for errors.Is.
func (e *Error) Unwrap() error { return e.Errno }

// Message is one netlink message. Payload belongs to the buffer it was read
// into.
type Message struct {
	Type    uint16
	Flags   uint16
	Seq     uint32
	PortID  uint32
	Payload []byte
}

// Messages steps through the messages of one read, as
//
//	for ms.Next() { use(ms.Message()) }
//	if ms.Err() != nil { … }
type Messages struct {
	rest []byte
	m    Message
	err  error
}

// NewMessages begins at the first message of a read.
func NewMessages(read []byte) Messages { return Messages{rest: read} }

// Next goes to the next message; false means that there is none, or an error.
func (ms *Messages) Next() bool {
	if ms.err != nil || len(ms.rest) == 0 {
		return false
	}
	if len(ms.rest) < headerLen {
		ms.err = fmt.Errorf("read netlink message: %d bytes where a header has %d: %w", len(ms.rest), headerLen, ErrTruncated)
		return false
	}
	n := binary.NativeEndian.Uint32(ms.rest)
	switch {
	case n < headerLen:
		ms.err = fmt.Errorf("read netlink message: length %d is less than its header's %d", n, headerLen)
		return false
	case uint64(n) > uint64(len(ms.rest)):
		ms.err = fmt.Errorf("read netlink message: %d bytes of %d: %w", len(ms.rest), n, ErrTruncated)
		return false
	}
	ms.m = Message{
		Type:    binary.NativeEndian.Uint16(ms.rest[4:]),
		Flags:   binary.NativeEndian.Uint16(ms.rest[6:]),
		Seq:     binary.NativeEndian.Uint32(ms.rest[8:]),
		PortID:  binary.NativeEndian.Uint32(ms.rest[12:]),
		Payload: ms.rest[headerLen:n],
	}
	// The last message of a read may lack its padding.
	ms.rest = ms.rest[min(align(int(n)), len(ms.rest)):]
	return true
}

// Message gives the message that Next went to.
func (ms *Messages) Message() *Message { return &ms.m }

// Err tells why Next gave false: nil at the end.
func (ms *Messages) Err() error { return ms.err }

// IsSocket tells whether the message describes a socket, for Decode.
func (m *Message) IsSocket() bool { return m.Type == typeTCP || m.Type == typeByFamily }

// Interrupted tells whether the kernel says that what it dumps changed
// meanwhile, so that the whole dump is inconsistent (NLM_F_DUMP_INTR). Any
// message of the dump can say so, the last one included.
func (m *Message) Interrupted() bool {
	return m.Type != typeError && m.Flags&flagDumpIntr != 0
}

// End tells whether the message ends a dump: NLMSG_DONE or NLMSG_ERROR. err is
// an *Error where the kernel refused the dump or failed in the middle of it.
func (m *Message) End() (end bool, err error) {
	switch m.Type {
	case typeDone:
		// Old kernels send no number here; it is 0 or a negative errno.
		if len(m.Payload) < 4 {
			return true, nil
		}
		return true, m.failure(4)
	case typeError:
		if len(m.Payload) < 4 {
			return true, fmt.Errorf("read netlink error: %d bytes where its number has 4: %w", len(m.Payload), ErrTruncated)
		}
		// What follows the number is the request: all of it, or with
		// NLM_F_CAPPED its header.
		skip := 4 + headerLen
		if m.Flags&flagCapped == 0 && len(m.Payload) >= skip {
			skip = 4 + align(int(min(binary.NativeEndian.Uint32(m.Payload[4:]), uint32(len(m.Payload)))))
		}
		return true, m.failure(skip)
	}
	return false, nil
}

// failure gives the error whose number begins the payload and whose
// explanation may stand among the attributes from offset attrs on.
func (m *Message) failure(attrs int) error {
	n := int32(binary.NativeEndian.Uint32(m.Payload))
	if n >= 0 {
		return nil
	}
	e := &Error{Errno: syscall.Errno(-int64(n))}
	if m.Flags&flagTLVs == 0 || attrs > len(m.Payload) {
		return e
	}
	as := attributes{rest: m.Payload[attrs:]}
	for as.next() {
		if as.kind == errAttrMsg {
			text := as.value
			for len(text) > 0 && text[len(text)-1] == 0 {
				text = text[:len(text)-1]
			}
			e.Text = string(text)
		}
	}
	return e
}

// attributes steps through struct nlattr.
type attributes struct {
	rest  []byte
	kind  uint16
	value []byte
	err   error
}

func (as *attributes) next() bool {
	// Fewer bytes than a header are padding, as for the kernel's nla_ok.
	if as.err != nil || len(as.rest) < attrLen {
		return false
	}
	const kindMask = 1<<14 - 1 // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	n := int(binary.NativeEndian.Uint16(as.rest))
	as.kind = binary.NativeEndian.Uint16(as.rest[2:]) & kindMask
	if n < attrLen || n > len(as.rest) {
		as.err = fmt.Errorf("attribute %d is %d bytes long where %d are left", as.kind, n, len(as.rest))
		return false
	}
	as.value = as.rest[attrLen:n]
	as.rest = as.rest[min(align(n), len(as.rest)):]
	return true
}
