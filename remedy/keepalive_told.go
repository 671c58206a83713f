package remedy

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Sizes of the structs of bpf/keepalive.bpf.c, and of the timers in bpf/sockopt.h of the
// module, which they hold.
const (
	timersLen = 20
	wantedLen = timersLen + 4
	toldLen   = 8 + timersLen + 12
)

// kernelSynRecv is TCP_NEW_SYN_RECV of include/net/tcp_states.h, the last that an
// iterator shows; the others are numbered as tcpvet.State is.
const kernelSynRecv = 12

// told is a struct told of bpf/keepalive.bpf.c.
type told struct {
	cookie uint64
	timers tcpvet.Timers
	errno  int // 0 for none
	at     timersSet
	state  tcpvet.State
	dead   bool // its program has closed it
	tried  bool // to change it
}

// decodeTold reads one.
func decodeTold(b []byte) (t told, err error) {
	if len(b) != toldLen {
		return t, fmt.Errorf("decode timers of a socket: %d bytes, not %d", len(b), toldLen)
	}
	order := binary.NativeEndian
	number := func(at int) int { return int(int32(order.Uint32(b[at:]))) }
	t.cookie = order.Uint64(b)
	t.timers = tcpvet.Timers{
		Keepalive: number(8) != 0,
		Idle:      time.Duration(number(12)) * time.Second, Interval: time.Duration(number(16)) * time.Second,
		Count: number(20), UserTimeout: time.Duration(uint32(number(24))) * time.Millisecond,
	}
	t.errno, t.at = -number(28), timersSet(number(32))
	t.dead, t.tried = b[38] != 0, b[39] != 0
	n := order.Uint16(b[36:])
	if t.cookie == 0 || t.errno < 0 || n > kernelSynRecv {
		return t, fmt.Errorf("decode timers of a socket: cookie %d, error %d, state %d", t.cookie, t.errno, n)
	}
	t.state = tcpvet.State(n)
	if n == kernelSynRecv {
		t.state = tcpvet.SynRecv
	}
	return t, nil
}

// encodeWanted writes a struct wanted.
func encodeWanted(b []byte, t tcpvet.Timers, set timersSet, fromNow bool) {
	if fromNow {
		set |= setFromNow
	}
	order := binary.NativeEndian
	keepalive := uint32(0)
	if t.Keepalive {
		keepalive = 1
	}
	for i, v := range [...]uint32{
		keepalive, uint32(t.Idle / time.Second), uint32(t.Interval / time.Second), uint32(t.Count),
		uint32(t.UserTimeout / time.Millisecond), uint32(set),
	} {
		order.PutUint32(b[4*i:], v)
	}
}
