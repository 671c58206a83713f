package live

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// errNoName is what a server answers of a name that there is not, or that has no
// address of the kind.
var errNoName = errors.New("no such name")

// lookup asks the servers for the addresses of a name, and tells which one gave
// them. It opens its sockets on the calling thread, which may be in another
// namespace. The error wraps errNoName where the servers answered so.
func (r *resolver) lookup(ctx context.Context, name string, kinds []dnsmessage.Type) (found []netip.Addr, server netip.AddrPort, err error) {
	err = errNoName
	for _, full := range r.names(name) {
		for _, kind := range kinds {
			addrs, from, e := r.ask(ctx, full, kind)
			switch {
			case e == nil:
				found, server = append(found, addrs...), from
			case !errors.Is(e, errNoName):
				err = e
			}
		}
		if len(found) > 0 {
			return found, server, nil
		}
	}
	return nil, netip.AddrPort{}, err
}

// ask asks one server after the other, as often as attempts says.
func (r *resolver) ask(ctx context.Context, name string, kind dnsmessage.Type) (found []netip.Addr, server netip.AddrPort, err error) {
	for range r.attempts {
		for _, server = range r.servers {
			if err := ctx.Err(); err != nil {
				return nil, server, err
			}
			found, err = exchange(ctx, server, name, kind, r.timeout)
			if err == nil || errors.Is(err, errNoName) {
				return found, server, err
			}
			err = fmt.Errorf("ask %s: %w", server, err)
		}
	}
	return nil, server, err
}

// exchange asks one server by UDP, and by TCP where the answer was cut
// (RFC 1035 section 4.2, RFC 7766).
func exchange(ctx context.Context, server netip.AddrPort, name string, kind dnsmessage.Type, timeout time.Duration) ([]netip.Addr, error) {
	id := uint16(rand.Uint32())
	question, err := query(id, name, kind)
	if err != nil {
		return nil, err
	}
	answer, err := send(ctx, "udp", server, id, question, timeout)
	if err != nil {
		return nil, err
	}
	addrs, cut, err := addresses(answer, kind)
	if cut {
		if answer, err = send(ctx, "tcp", server, id, question, timeout); err != nil {
			return nil, err
		}
		addrs, _, err = addresses(answer, kind)
	}
	return addrs, err
}

func query(id uint16, name string, kind dnsmessage.Type) ([]byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is too long for one", errNoName, name)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// send gives the first answer with that id.
func send(ctx context.Context, network string, server netip.AddrPort, id uint16, question []byte, timeout time.Duration) ([]byte, error) {
	deadline := time.Now().Add(timeout)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	// A literal address is dialled on this goroutine, and so in its namespace.
	c, err := (&net.Dialer{Deadline: deadline}).Dial(network, server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if network == "tcp" {
		question = append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)
	}
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	if network == "tcp" {
		if _, err := io.ReadFull(c, buf[:2]); err != nil {
			return nil, err
		}
		answer := buf[:binary.BigEndian.Uint16(buf)]
		_, err := io.ReadFull(c, answer)
		return answer, err
	}
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if n >= 2 && binary.BigEndian.Uint16(buf) == id {
			return buf[:n], nil
		}
	}
}

// addresses gives those of an answer. cut tells that it was too long for a datagram.
func addresses(answer []byte, kind dnsmessage.Type) (found []netip.Addr, cut bool, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(answer)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("read the answer: %w", err)
	case h.Truncated:
		return nil, true, nil
	case h.RCode == dnsmessage.RCodeNameError:
		return nil, false, errNoName
	case h.RCode != dnsmessage.RCodeSuccess:
		return nil, false, fmt.Errorf("the server answered %s", h.RCode)
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, false, fmt.Errorf("read the answer: %w", err)
	}
	for {
		rr, err := p.Answer()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, false, fmt.Errorf("read the answer: %w", err)
		}
		switch body := rr.Body.(type) {
		case *dnsmessage.AResource:
			if kind == dnsmessage.TypeA {
				found = append(found, netip.AddrFrom4(body.A))
			}
		case *dnsmessage.AAAAResource:
			if kind == dnsmessage.TypeAAAA {
				found = append(found, netip.AddrFrom16(body.AAAA))
			}
		}
	}
	if len(found) == 0 {
		return nil, false, errNoName
	}
	return found, false, nil
}
