package bpfiter

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/tcpvet/tcpvet"
)

// Process is what a pass counted of the descriptors of a process. A process
// whose main thread has ended may have several tables of descriptors; they are
// summed.
type Process struct {
	Descriptors, Sockets uint64           // Sockets are those of any family
	Tableless            tcpvet.Tableless // Unasked is 0
	LeaderExited         bool
}

const (
	processKeyLen = 16
	processLen    = 48
	tableKeyLen   = 16
)

func decodeProcess(key, value []byte) (tcpvet.Process, Process, error) {
	if len(key) != processKeyLen || len(value) != processLen {
		return tcpvet.Process{}, Process{}, fmt.Errorf("decode process: %d and %d bytes, not %d and %d", len(key), len(value), processKeyLen, processLen)
	}
	var p tcpvet.Process
	var v Process
	k, c := cursor(key), cursor(value)
	p.Start = k.u64()
	p.PID = int32(k.u32())
	v.Descriptors, v.Sockets = c.u64(), c.u64()
	v.Tableless.Used, v.Tableless.Quiet, v.Tableless.Inode = c.u64(), c.u64(), c.u64()
	v.LeaderExited = c.u64() != 0
	return p, v, nil
}

func eachProcess(m *ebpf.Map, yield func(tcpvet.Process, Process) error) error {
	return entries(m, func(key *[processKeyLen]byte, value *[processLen]byte) error {
		p, v, err := decodeProcess(key[:], value[:])
		if err != nil {
			return err
		}
		return yield(p, v)
	})
}
