package dump

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// record is one socket as it lies in memory. It holds no pointer, so that the
// garbage collector passes over a million of them.
type record struct {
	local, remote [16]byte // IPv4 in the first four
	recvQ, sendQ  uint32
	known         tcpvet.Facts
	holder        uint32 // see holdersOf
	detail        uint32 // index into details + 1
	iface         uint32
	lport, rport  uint16
	state         uint8
	bits          bit
}

type bit uint8

const (
	local4 bit = 1 << iota
	remote4
	localStar
	remoteStar
	mini
	maybeCut // netstat may have cut an address off
	noInfo   // the text went on without tcp_info of this socket
)

func (r *record) is(b bit) bool { return r.bits&b != 0 }

// ends sets both endpoints.
func (r *record) ends(local, remote *endpoint) {
	r.local, r.lport = local.addr, local.port
	r.remote, r.rport = remote.addr, remote.port
	r.iface = local.iface
	set := func(b bit, on bool) {
		if on {
			r.bits |= b
		}
	}
	set(local4, local.v4)
	set(remote4, remote.v4)
	set(localStar, local.star)
	set(remoteStar, remote.star)
}

// detail is what only some dumps tell of a socket.
type detail struct {
	inode, cookie uint64
	expires       time.Duration
	uid           uint32
	info          uint32 // index into infosOf + 1
	timer         tcpvet.TimerKind
	retransmits   uint8
}

type proc struct {
	pid  int32
	comm string
}

func (p *proc) id() tcpvet.Process { return tcpvet.Process{PID: p.pid} }

// table keeps the sockets of a dump.
type table struct {
	records list[record]
	details list[detail]
	infosOf list[tcpvet.TCPInfo]

	procs  []proc
	byPID  map[int32]uint32
	comms  map[string]string
	sets   [][]uint32 // indices into procs, in order of PID
	bySet  map[string]uint32
	setKey []byte
}

// seen tells what is known of at least one socket, which states they are in, and
// whether one of them has a holder.
func (t *table) seen() (known tcpvet.Facts, states tcpvet.StateSet, held bool) {
	for i := range t.records.len() {
		r := t.records.at(i)
		known |= r.known
		states |= 1 << r.state
		held = held || r.holder != 0
	}
	return known, states, held
}

// detailOf gives the socket's detail, new where it had none.
func (t *table) detailOf(r *record) *detail {
	if r.detail == 0 {
		t.details.add(detail{})
		r.detail = uint32(t.details.len())
	}
	return t.details.at(int(r.detail - 1))
}

// infoOf gives the socket's tcp_info, new where it had none.
func (t *table) infoOf(r *record) *tcpvet.TCPInfo {
	d := t.detailOf(r)
	if d.info == 0 {
		t.infosOf.add(tcpvet.TCPInfo{})
		d.info = uint32(t.infosOf.len())
	}
	return t.infosOf.at(int(d.info - 1))
}

// process gives the index of the process. A PID keeps the first name it comes
// with.
func (t *table) process(pid int32, comm []byte) uint32 {
	if i, ok := t.byPID[pid]; ok {
		return i
	}
	if t.byPID == nil {
		t.byPID = make(map[int32]uint32)
		t.comms = make(map[string]string)
	}
	name, ok := t.comms[string(comm)]
	if !ok {
		name = string(comm)
		t.comms[name] = name
	}
	i := uint32(len(t.procs))
	t.procs = append(t.procs, proc{pid, name})
	t.byPID[pid] = i
	return i
}

// holdSet marks a holder that is an index into sets, not into procs.
const holdSet = 1 << 31

// hold gives the number under which a record keeps these processes: 0 for none.
// It sorts them. The workers of a server share their listeners, so that few
// different sets stand for many sockets.
func (t *table) hold(members []uint32) uint32 {
	slices.SortFunc(members, func(a, b uint32) int { return int(t.procs[a].pid) - int(t.procs[b].pid) })
	members = slices.Compact(members)
	switch len(members) {
	case 0:
		return 0
	case 1:
		return members[0] + 1
	}
	t.setKey = t.setKey[:0]
	for _, m := range members {
		t.setKey = binary.LittleEndian.AppendUint32(t.setKey, m)
	}
	if i, ok := t.bySet[string(t.setKey)]; ok {
		return holdSet | i
	}
	if t.bySet == nil {
		t.bySet = make(map[string]uint32)
	}
	i := uint32(len(t.sets))
	t.sets = append(t.sets, slices.Clone(members))
	t.bySet[string(t.setKey)] = i
	return holdSet | i
}

// holdersOf gives the indices of the processes, in order of PID. It puts a single
// one into one.
func (t *table) holdersOf(holder uint32, one *[1]uint32) []uint32 {
	switch {
	case holder == 0:
		return nil
	case holder&holdSet != 0:
		return t.sets[holder&^holdSet]
	}
	one[0] = holder - 1
	return one[:]
}

// list is a slice that grows without moving what it holds.
type list[T any] struct {
	chunks [][]T
	n      int
}

const chunk = 1 << 10

func (l *list[T]) len() int { return l.n }

func (l *list[T]) at(i int) *T { return &l.chunks[i/chunk][i%chunk] }

func (l *list[T]) add(v T) *T {
	if l.n/chunk == len(l.chunks) {
		l.chunks = append(l.chunks, make([]T, chunk))
	}
	l.n++
	p := l.at(l.n - 1)
	*p = v
	return p
}

// drop takes the last one out again.
func (l *list[T]) drop() { l.n-- }
