package run

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// The records of the BPF programs: bpf/group.h, bpf/timers.h, bpf/run.bpf.c, and of the
// module bpf/sockopt.h.

type timersRecord struct{ Keepalive, Idle, Interval, Count, UserTimeout int32 }

func timersRecordOf(t tcpvet.Timers) (r timersRecord) {
	if t.Keepalive {
		r.Keepalive = 1
		r.Idle, r.Interval, r.Count = int32(t.Idle/time.Second), int32(t.Interval/time.Second), int32(t.Count)
	}
	r.UserTimeout = int32(t.UserTimeout / time.Millisecond)
	return r
}

func (r *timersRecord) timers() tcpvet.Timers {
	return tcpvet.Timers{
		Keepalive:   r.Keepalive != 0,
		Idle:        time.Duration(r.Idle) * time.Second,
		Interval:    time.Duration(r.Interval) * time.Second,
		Count:       int(r.Count),
		UserTimeout: time.Duration(r.UserTimeout) * time.Millisecond,
	}
}

// countsRecord is struct counts.
type countsRecord struct {
	Opened, Accepted, Tried, Sent, NoPort, Unanswered, GivenUp,
	HalfClosed, HalfClosedOver, HalfClosedMost, Leaked, Refused, Unbound, Own, OwnUnnamed uint64
}

// ownRecord is struct own.
type ownRecord struct {
	TGID uint32
	Comm [16]byte
	Has  timersRecord
}

func (r *ownRecord) comm() string {
	comm, _, _ := bytes.Cut(r.Comm[:], []byte{0})
	return string(comm)
}

// maxPath is how long the path of a cgroup may be in struct facts, with a NUL.
const maxPath = 1024

// factsRecord is struct facts.
type factsRecord struct {
	Since                              int64
	Cgroup                             uint64
	Idle, Interval, Count, UserTimeout int32
	Pools                              [pools]uint32
	SawKernel, Unused                  uint32
	Path                               [maxPath]byte
}

func factsRecordOf(o *Options, place *cgroup) factsRecord {
	t := timersRecordOf(o.Timers)
	r := factsRecord{
		Since:  time.Now().UnixNano(),
		Cgroup: place.id,
		Idle:   t.Idle, Interval: t.Interval, Count: t.Count, UserTimeout: t.UserTimeout,
	}
	copy(r.Path[:maxPath-1], place.path)
	return r
}

// decodeFacts reads struct facts. Whoever may write to the BPF file system may have
// written anything.
func decodeFacts(b []byte) (r factsRecord, err error) {
	if _, err := binary.Decode(b, binary.NativeEndian, &r); err != nil {
		return r, fmt.Errorf("read what a run is: %d bytes, expected %d", len(b), binary.Size(r))
	}
	for kind, n := range r.Pools {
		if n > maxPool {
			return r, fmt.Errorf("read what a run is: %d addresses of kind %d, expected at most %d", n, kind, maxPool)
		}
	}
	return r, nil
}

// options gives back what the run was begun with; address gives those of the pool.
func (r *factsRecord) options(address func(place uint32) ([16]byte, error)) (o Options, err error) {
	t := timersRecord{Idle: r.Idle, Interval: r.Interval, Count: r.Count, UserTimeout: r.UserTimeout}
	if r.Idle != 0 {
		t.Keepalive = 1
	}
	o.Timers = t.timers()
	for kind, n := range r.Pools {
		for i := range n {
			b, err := address(uint32(kind)*maxPool + i)
			if err != nil {
				return o, fmt.Errorf("read the source pool: %w", err)
			}
			o.Pool = append(o.Pool, addressOf(b, kind))
		}
	}
	return o, nil
}

func (r *factsRecord) path() string {
	path, _, _ := bytes.Cut(r.Path[:], []byte{0})
	return string(path)
}
