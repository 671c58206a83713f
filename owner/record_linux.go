package owner

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/tcpvet/tcpvet"
)

// recordLen is the size of struct owner in bpf/owner.bpf.c, and levels how many PID
// namespaces it names.
const (
	recordLen = 72
	levels    = 4
)

// tick is a clock tick of /proc in nanoseconds (USER_HZ is 100).
const tick = 10_000_000

// sight is how a process looks at others.
type sight struct {
	pids uint32 // inode of its PID namespace
	boot int64  // how far its clock of time since boot is ahead of the kernel's, in ns
}

// decode reads a struct owner as s sees it. seen is false where the process is in no
// PID namespace that s looks into, or too deep below the first.
func (s sight) decode(b []byte) (cookie uint64, p tcpvet.Process, comm []byte, seen bool, err error) {
	if len(b) != recordLen {
		return 0, p, nil, false, fmt.Errorf("decode owner: %d bytes, not %d", len(b), recordLen)
	}
	order := binary.NativeEndian
	cookie = order.Uint64(b[8:])
	p.Start = (order.Uint64(b[16:]) + uint64(s.boot)) / tick
	for i := range levels {
		id := b[24+8*i:]
		if space := order.Uint32(id); space == s.pids && space != 0 {
			p.PID = int32(order.Uint32(id[4:]))
		}
	}
	if p.PID < 0 {
		return cookie, tcpvet.Nobody, nil, false, fmt.Errorf("decode owner: %d is no process ID", p.PID)
	}
	comm, _, _ = bytes.Cut(b[24+8*levels:], []byte{0})
	if p.PID == 0 {
		return cookie, tcpvet.Nobody, comm, false, nil
	}
	return cookie, p, comm, true, nil
}
