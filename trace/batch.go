package trace

import (
	"encoding/binary"

	"github.com/tcpvet/tcpvet"
)

// batch is what was read from the ring at once. Most of what is accepted closes, or is
// found with its process, before it is read: so a record without a process is given
// the one that a later record, or a pass over descriptors, tells of its socket.
type batch struct {
	records []byte
	wanted  wanted            // of the records of this batch
	adopted map[uint64]holder // by cookie, of the passes since this batch began
	before  map[uint64]holder // of those since the one before: a record may have been on its way
}

// holder is a process and its name.
type holder struct {
	process tcpvet.Process
	comm    [16]byte
}

// connLen is the size of struct conn in bpf/conn.h.
const connLen = 88

// decodeKept reads the process of a struct conn, Nobody where none is noted with that
// cookie.
func decodeKept(b []byte, cookie uint64) (who holder) {
	const ofAt, keepAt, kept = 52, 72, 2
	if binary.LittleEndian.Uint32(b[keepAt:]) != kept || binary.LittleEndian.Uint32(b[ofAt:]) != uint32(cookie) {
		return who
	}
	who.process = tcpvet.Process{Start: binary.LittleEndian.Uint64(b[40:]), PID: int32(binary.LittleEndian.Uint32(b[48:]))}
	who.comm = [16]byte(b[56:72])
	return who
}

// batchRecords is how many records are read at most before they are handed over.
const batchRecords = 4096

func newBatch() *batch {
	return &batch{
		records: make([]byte, 0, batchRecords*recordLen),
		adopted: make(map[uint64]holder), before: make(map[uint64]holder),
	}
}

// learn notes the processes that the records tell of sockets for which some record
// lacks it, and gives the number of sockets whose process none tells.
func (b *batch) learn() (lacking int) {
	b.wanted.clear()
	for at := 0; at < len(b.records); at += recordLen {
		if r := glance(b.records[at:]); r.lacksProcess() {
			b.wanted.add(r.cookie)
		}
	}
	lacking = len(b.wanted.sockets)
	if lacking == 0 {
		return 0
	}
	for at := 0; at < len(b.records); at += recordLen {
		r := glance(b.records[at:])
		if r.pid <= 0 {
			continue
		}
		if who := b.wanted.find(r.cookie); who != nil {
			if !who.process.Known() {
				lacking--
			}
			*who = r.holder()
		}
	}
	return lacking
}

// name gives the record a process that was seen with its socket at another time.
func (b *batch) name(r *record) {
	if r.event.Process != tcpvet.Nobody || r.event.Cookie == 0 {
		return
	}
	who := b.wanted.find(r.event.Cookie)
	if who == nil || !who.process.Known() {
		for _, m := range [...]map[uint64]holder{b.adopted, b.before} {
			if id := m[r.event.Cookie]; id.process.Known() {
				who = &id
				break
			}
		}
	}
	if who != nil && who.process.Known() {
		r.event.Process, r.comm, r.event.KnownBy = who.process, who.comm, tcpvet.ByCookie
	}
}

// end forgets the records, and what passes told before them.
func (b *batch) end() {
	b.records = b.records[:0]
	b.adopted, b.before = b.before, b.adopted
	clear(b.adopted)
}
