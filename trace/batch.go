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
	known   map[uint64]holder // by cookie, of the records of this batch
	adopted map[uint64]holder // by cookie, of the passes since this batch began
	before  map[uint64]holder // of those since the one before: a record may have been on its way
}

// holder is a process and its name.
type holder struct {
	process tcpvet.Process
	comm    [16]byte
}

// connLen is the size of struct conn in bpf/conn.h.
const connLen = 72

// decodeKept reads the process of a struct conn, Nobody where none is noted with that
// cookie.
func decodeKept(b []byte, cookie uint64) (who holder) {
	const ofAt, keepAt, kept = 44, 64, 2
	if binary.LittleEndian.Uint32(b[keepAt:]) != kept || binary.LittleEndian.Uint32(b[ofAt:]) != uint32(cookie) {
		return who
	}
	who.process = tcpvet.Process{Start: binary.LittleEndian.Uint64(b[32:]), PID: int32(binary.LittleEndian.Uint32(b[40:]))}
	who.comm = [16]byte(b[48:64])
	return who
}

// batchRecords is how many records are read at most before they are handed over.
const batchRecords = 4096

func newBatch() *batch {
	return &batch{
		records: make([]byte, 0, batchRecords*recordLen),
		known:   make(map[uint64]holder), adopted: make(map[uint64]holder), before: make(map[uint64]holder),
	}
}

func (b *batch) full() bool { return len(b.records)+recordLen > cap(b.records) }

// learn notes the processes that the records tell of sockets for which some record
// lacks it, and gives the number of sockets whose process none tells.
func (b *batch) learn() (lacking int) {
	clear(b.known)
	for at := 0; at < len(b.records); at += recordLen {
		if r := glance(b.records[at:]); r.lacksProcess() {
			b.known[r.cookie] = holder{}
		}
	}
	if len(b.known) == 0 {
		return 0
	}
	lacking = len(b.known)
	for at := 0; at < len(b.records); at += recordLen {
		r := glance(b.records[at:])
		if r.pid <= 0 {
			continue
		}
		if who, wanted := b.known[r.cookie]; wanted {
			if !who.process.Known() {
				lacking--
			}
			b.known[r.cookie] = r.holder()
		}
	}
	return lacking
}

// name gives the record a process that was seen with its socket at another time.
func (b *batch) name(r *record) {
	if r.event.Process != tcpvet.Nobody || r.event.Cookie == 0 {
		return
	}
	for _, m := range [...]map[uint64]holder{b.known, b.adopted, b.before} {
		if id := m[r.event.Cookie]; id.process.Known() {
			r.event.Process, r.comm, r.event.KnownBy = id.process, id.comm, tcpvet.ByCookie
			return
		}
	}
}

// end forgets the records, and what passes told before them.
func (b *batch) end() {
	b.records = b.records[:0]
	b.adopted, b.before = b.before, b.adopted
	clear(b.adopted)
}
