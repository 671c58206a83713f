package trace

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

// recordLen is the size of struct event in bpf/event.h.
const recordLen = 136

// What a record may be besides Kinds; such a one is nothing else.
const amends = 1 << 7 // of a failure that was told: the errno that the call ended with

// Flags of a record.
const (
	flagPeerReset = 1 << iota

	allFlags = 1<<iota - 1
)

const notKnown = math.MaxUint64

// record is a change of a socket, or a call that failed, as a program tells it.
type record struct {
	event      tcpvet.Event // At, names, Stack and what hangs on the kind are filled later
	at         int64        // ns of the kernel's monotonic clock
	kinds      Kinds
	amends     bool
	flags      uint8
	took       time.Duration
	inFrom     time.Duration
	closeWait  time.Duration
	errno      int
	cause      tcpvet.Cause
	comm       [16]byte
	syns       uint8
	first, how uint8
}

// decodeRecord reads a struct event, but for the name of the process, which stays in
// comm. It gives an error for what cannot be.
func decodeRecord(b []byte, r *record) error {
	if len(b) != recordLen {
		return fmt.Errorf("decode record: %d bytes, not %d", len(b), recordLen)
	}
	var err error
	span := func(at int) time.Duration {
		v := binary.LittleEndian.Uint64(b[at:])
		if v == notKnown {
			return -1
		}
		if v > math.MaxInt64 {
			err = fmt.Errorf("decode record: %d ns is no time", v)
		}
		return time.Duration(v)
	}
	*r = record{}
	r.at, r.took, r.inFrom, r.closeWait = int64(span(0)), span(16), span(24), span(32)
	e := &r.event
	e.Cookie = binary.LittleEndian.Uint64(b[8:])
	e.Process = tcpvet.Process{PID: int32(binary.LittleEndian.Uint32(b[48:])), Start: binary.LittleEndian.Uint64(b[40:])}
	r.comm = [16]byte(b[56:72])
	e.Netns = tcpvet.NetnsID(binary.LittleEndian.Uint32(b[104:]))
	e.Local = endpoint(b[72:88], b[112:])
	e.Remote = endpoint(b[88:104], b[114:])
	r.errno = int(binary.LittleEndian.Uint16(b[116:]))
	kinds := b[118]
	e.Call, e.KnownBy, e.Role = tcpvet.Call(b[119]), tcpvet.KnownBy(b[120]), tcpvet.Role(b[121])
	e.From, e.To = tcpvet.State(b[122]), tcpvet.State(b[123])
	r.first, r.how = b[124], b[125]
	r.cause, r.syns, r.flags = tcpvet.Cause(b[126]), b[127], b[128]

	r.kinds, r.amends = Kinds(kinds), kinds == amends
	if r.amends {
		r.kinds = 0
	}
	const mostErrno = 4095 // MAX_ERRNO, include/linux/err.h
	switch {
	case err != nil:
		return err
	case r.at < 0:
		return fmt.Errorf("decode record: it has no time")
	case r.kinds == 0 && !r.amends || r.kinds > allKinds:
		return fmt.Errorf("decode record: kinds %#x are unknown", kinds)
	case e.Call > tcpvet.CallAccept:
		return fmt.Errorf("decode record: call %d is unknown", e.Call)
	case e.KnownBy > tcpvet.ByCookie || e.Role > tcpvet.Server:
		return fmt.Errorf("decode record: process known by %d, role %d are unknown", e.KnownBy, e.Role)
	case !isState(e.From) || !isState(e.To):
		return fmt.Errorf("decode record: from state %d to %d: unknown", e.From, e.To)
	case tcpvet.Closer(r.first) > tcpvet.CloserBoth || tcpvet.CloseHow(r.how) > tcpvet.HowTimeout:
		return fmt.Errorf("decode record: first %d, how %d are unknown", r.first, r.how)
	case r.cause > tcpvet.CauseUnknown || r.errno > mostErrno || r.flags > allFlags:
		return fmt.Errorf("decode record: cause %d, errno %d, flags %#x are unknown", r.cause, r.errno, r.flags)
	case e.Process.PID < tcpvet.Unseen.PID || e.Process.PID <= 0 && e.Process.Start != 0:
		return fmt.Errorf("decode record: PID %d with start %d", e.Process.PID, e.Process.Start)
	}
	return nil
}

// glimpse is what of a record the search for processes needs.
type glimpse struct {
	b      []byte
	cookie uint64
	pid    int32
}

// glance reads that of a record, which is at least of its length.
func glance(b []byte) glimpse {
	return glimpse{b[:recordLen], binary.LittleEndian.Uint64(b[8:]), int32(binary.LittleEndian.Uint32(b[48:]))}
}

// lacksProcess tells a record of a connection whose process is not known.
func (g glimpse) lacksProcess() bool { return g.pid == 0 && g.cookie != 0 && g.b[118] != amends }

func (g glimpse) holder() holder {
	return holder{tcpvet.Process{PID: g.pid, Start: binary.LittleEndian.Uint64(g.b[40:])}, [16]byte(g.b[56:72])}
}

// isState tells a state that the tracepoint shows, and 0, which a call has.
func isState(s tcpvet.State) bool { return s <= tcpvet.Closing }

// endpoint reads an address that stands as IPv6 does, and a port. IPv4-mapped ones
// become IPv4.
func endpoint(addr, port []byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr)).Unmap(), binary.LittleEndian.Uint16(port))
}

// events hands over what the record says, in the order in which it came about.
func (r *record) events(at time.Time, yield func(*tcpvet.Event) error) error {
	e := &r.event
	e.At = at
	if r.kinds&(r.kinds-1) == 0 {
		if r.kinds == 0 {
			return nil
		}
		r.complete(r.kinds, e)
		return yield(e)
	}
	common := *e
	for _, kind := range [...]Kinds{States, Opens, Fails, Closes} {
		if r.kinds&kind == 0 {
			continue
		}
		*e = common
		r.complete(kind, e)
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// complete fills what hangs on the kind.
func (r *record) complete(kind Kinds, e *tcpvet.Event) {
	e.Took = r.took
	switch kind {
	case Opens:
		e.Kind = tcpvet.EventOpen
	case States:
		e.Kind, e.Took = tcpvet.EventState, r.inFrom
	case Fails:
		e.Kind, e.Errno, e.Cause, e.SYNs = tcpvet.EventFail, r.errno, r.cause, r.syns
		if e.From == 0 {
			finishCall(e)
		} else if e.Cause == tcpvet.NoCause {
			e.Cause = stateCause(e)
		}
	case Closes:
		e.Kind, e.First, e.How, e.CloseWait = tcpvet.EventClose, tcpvet.Closer(r.first), tcpvet.CloseHow(r.how), r.closeWait
		if r.flags&flagPeerReset != 0 {
			e.Cause = tcpvet.CauseReset
		}
	}
}

// stateCause says why an attempt failed, of which a SYN was sent.
func stateCause(e *tcpvet.Event) tcpvet.Cause {
	switch e.Errno {
	case 0:
		return tcpvet.NoCause // the program gave it up
	case errCONNRESET:
		return tcpvet.CauseReset
	}
	return connectCause(e)
}

// errCONNRESET is ECONNRESET of errno(3).
const errCONNRESET = 104
