package sockdiag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/tcpvet/tcpvet"
)

const (
	typeDestroy = 21        // SOCK_DESTROY, include/uapi/linux/sock_diag.h
	flagAck     = 0x004     // NLM_F_ACK
	noCookie    = 1<<64 - 1 // INET_DIAG_NOCOOKIE: the kernel compares none

	// askAtOnce is how many sockets one datagram asks about: their answers fit
	// the least receive buffer of a socket.
	askAtOnce = 32
)

var (
	// ErrGone says that the kernel has no socket of that cookie between those
	// addresses any more.
	ErrGone = errors.New("it is gone")

	// ErrIdentity says that an ID does not name one socket.
	ErrIdentity = errors.New("it does not name one socket")
)

// ID is what the kernel knows one socket by: struct inet_diag_sockid. It looks it up
// by the addresses, and compares the cookie.
type ID struct {
	Local, Remote netip.AddrPort
	Interface     uint32 // that it is bound to, 0 for none
	Cookie        uint64
}

// IDOf gives the ID of a socket as a look told it.
func IDOf(s *tcpvet.Socket) ID {
	return ID{Local: s.Local, Remote: s.Remote, Interface: s.Interface, Cookie: s.Cookie}
}

// check refuses what the kernel would take for any socket between the addresses, and
// what it would find none by.
func (id *ID) check() error {
	switch {
	case id.Cookie == 0 || id.Cookie == noCookie:
		return fmt.Errorf("%w: %#x is no cookie", ErrIdentity, id.Cookie)
	case !id.Local.IsValid() || !id.Remote.IsValid() || id.Local.Addr().Is4() != id.Remote.Addr().Is4():
		return fmt.Errorf("%w: %v and %v are no pair of addresses", ErrIdentity, id.Local, id.Remote)
	}
	return nil
}

// appendTo appends the message that asks about the socket: struct inet_diag_req_v2,
// which asks for no attributes.
func (id *ID) appendTo(b []byte, kind, flags uint16, seq uint32) []byte {
	b = binary.NativeEndian.AppendUint32(b, headerLen+newReqLen)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flagRequest|flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	family := byte(familyIPv6)
	if id.Local.Addr().Is4() {
		family = familyIPv4
	}
	b = append(b, family, protoTCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(tcpvet.AllStates))
	b = binary.BigEndian.AppendUint16(b, id.Local.Port())
	b = binary.BigEndian.AppendUint16(b, id.Remote.Port())
	b = appendAddr(b, id.Local.Addr())
	b = appendAddr(b, id.Remote.Addr())
	b = binary.NativeEndian.AppendUint32(b, id.Interface)
	b = binary.NativeEndian.AppendUint32(b, uint32(id.Cookie))
	return binary.NativeEndian.AppendUint32(b, uint32(id.Cookie>>32))
}

// appendAddr appends the 16 bytes that an address has in struct inet_diag_sockid.
func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		four := a.As4()
		return append(append(b, four[:]...), make([]byte, 12)...)
	}
	sixteen := a.As16()
	return append(b, sixteen[:]...)
}

// Destroy has the kernel end the sockets (SOCK_DESTROY), and tells of each what came
// of it, in any order. A socket that another has taken the addresses of is not
// touched: the cookie has to agree. tell gets nil, ErrGone, ErrIdentity, or an error
// that wraps an errno: EPERM without CAP_NET_ADMIN over the namespace, EOPNOTSUPP from
// a kernel without CONFIG_INET_DIAG_DESTROY.
//
// With an error of Destroy those that were not told of were not asked for: ctx, which
// is looked at between some tens of them, or the connection has ended it.
func (c *Conn) Destroy(ctx context.Context, ids []ID, tell func(i int, err error)) error {
	return c.ask(ctx, typeDestroy, flagAck, ids, func(i int, m *Message, err error) {
		if err == nil && m.IsSocket() {
			err = errors.New("the kernel described it instead")
		}
		if err != nil && !errors.Is(err, ErrGone) {
			err = fmt.Errorf("destroy socket: %w", err)
		}
		tell(i, err)
	})
}

// Lookup tells what each socket is now, in any order: as a dump tells it, without
// tcp_info, or ErrGone. The Socket is reused: it holds until tell returns. Merely
// bound sockets are not found, nor a certain one of several listeners of a port.
func (c *Conn) Lookup(ctx context.Context, ids []ID, tell func(i int, s *tcpvet.Socket, err error)) error {
	return c.ask(ctx, typeByFamily, 0, ids, func(i int, m *Message, err error) {
		s := &c.socket
		if err == nil && !m.IsSocket() {
			err = errors.New("the kernel described nothing")
		}
		if err == nil {
			err = Decode(m.Payload, s)
		}
		switch {
		case errors.Is(err, ErrGone):
			tell(i, nil, err)
		case err != nil:
			tell(i, nil, fmt.Errorf("look socket up: %w", err))
		default:
			tell(i, s, nil)
		}
	})
}

// ask sends a message about each socket and hands over what is answered to it: a
// description, an acknowledgement, or the kernel's error.
func (c *Conn) ask(ctx context.Context, kind, flags uint16, ids []ID, answer func(i int, m *Message, err error)) error {
	for first := 0; first < len(ids); first += askAtOnce {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := ids[first:min(first+askAtOnce, len(ids))]
		if err := c.askSome(ctx, kind, flags, part, func(i int, m *Message, err error) { answer(first+i, m, err) }); err != nil {
			return err
		}
	}
	return nil
}

// askSome is ask for what goes into one datagram.
func (c *Conn) askSome(ctx context.Context, kind, flags uint16, ids []ID, answer func(i int, m *Message, err error)) error {
	if c.broken {
		return fmt.Errorf("ask about sockets: %w", ErrBroken)
	}
	base := c.seq + 1
	c.out = c.out[:0]
	var waiting [askAtOnce]bool
	left := 0
	for i := range ids {
		c.seq++
		if ids[i].check() == nil {
			c.out = ids[i].appendTo(c.out, kind, flags, c.seq)
			waiting[i] = true
			left++
		}
	}
	if left > 0 {
		if err := c.link.send(c.out); err != nil {
			return fmt.Errorf("send sock_diag request: %w", err)
		}
	}
	for i := range ids {
		if !waiting[i] {
			answer(i, nil, ids[i].check())
		}
	}
	// What was sent is done: it is waited for even where ctx ends.
	ctx = context.WithoutCancel(ctx)
	c.broken = left > 0
	for left > 0 {
		n, err := c.receive(ctx)
		if err == nil {
			err = c.answers(c.buf[:n], base, func(i int, m *Message, err error) {
				if i < len(ids) && waiting[i] {
					waiting[i] = false
					left--
					answer(i, m, err)
				}
			})
		}
		if err != nil {
			for i := range ids {
				if waiting[i] {
					answer(i, nil, fmt.Errorf("it was asked for, and no answer came: %w", err))
				}
			}
			return err
		}
	}
	c.broken = false
	return nil
}

// answers takes the answers in one read apart. i counts from the first request.
func (c *Conn) answers(read []byte, base uint32, answer func(i int, m *Message, err error)) error {
	ms := &c.messages
	*ms = NewMessages(read)
	for ms.Next() {
		m := ms.Message()
		if m.PortID != c.link.portID() {
			continue
		}
		if m.Type == typeOverrun {
			return ErrLost
		}
		i := int(m.Seq - base)
		if m.IsSocket() {
			answer(i, m, nil)
			continue
		}
		end, err := m.End()
		if !end {
			continue
		}
		if e, ok := errors.AsType[*Error](err); ok {
			err = e.Errno
			if e.Text != "" {
				err = fmt.Errorf("%w: %s", e.Errno, e.Text)
			}
			if e.Errno == syscall.ENOENT {
				err = ErrGone
			}
		}
		answer(i, m, err)
	}
	return ms.Err()
}
