package dump

import (
	"bytes"
	"errors"
	"math"
	"time"

	"github.com/tcpvet/tcpvet"
)

var (
	errState   = errors.New("the state is missing or damaged")
	errCut     = errors.New("netstat may have cut an address off to fit its column; paste the output of netstat with -W")
	errInode   = errors.New("the inode is missing or damaged")
	errProgram = errors.New("the process is damaged")
	errTimer   = errors.New("the timer is damaged")
)

// netstat reads what tcp_do_one in netstat.c of net-tools prints. netstat of
// BusyBox prints the same.
type netstat struct {
	*table
	cmd command

	title   string // of the section: "servers and established"
	titled  bool
	wide    bool       // -W was given: an address was wider than the column
	cut     *LineError // the first line with an address that may have been cut
	cuts    int
	columns netstatColumns

	timers        bool
	members       []uint32
	local, remote endpoint
}

// netstatColumns says which optional columns the header names.
type netstatColumns struct{ header, user, program, timer bool }

// columnWidth is how much of an endpoint netstat prints without -W
// (addr_do_one). A full column may have been cut.
const columnWidth = 23

func (p *netstat) read(in *lines) (verdict, error) {
	b := in.text
	w := words{rest: b}
	first := w.next()
	if six, ok := netstatProto(first); ok {
		return p.socket(in, w, six)
	}
	switch {
	case bytes.HasPrefix(b, []byte("Active Internet connections")):
		if p.titled || p.columns.header || p.records.len() > 0 {
			return again, nil
		}
		p.titled = true
		if open := bytes.IndexByte(b, '('); open >= 0 {
			p.title = string(bytes.TrimRight(b[open+1:], ") \r\t"))
		}
		return ours, nil
	case bytes.HasPrefix(b, []byte("Active ")):
		return ours, nil // Unix or Bluetooth sockets follow
	case string(first) == "Proto":
		return p.header(b)
	case otherProto(first):
		return other, nil
	}
	return foreign, nil
}

func (p *netstat) header(b []byte) (verdict, error) {
	if bytes.Contains(b, []byte("(state)")) {
		return ours, errBSD
	}
	if !bytes.Contains(b, []byte("Recv-Q")) {
		return ours, nil
	}
	if p.columns.header || p.records.len() > 0 {
		return again, nil
	}
	p.columns = netstatColumns{
		header:  true,
		user:    bytes.Contains(b, []byte(" User ")),
		program: bytes.Contains(b, []byte("PID/Program")),
		timer:   bytes.Contains(b, []byte(" Timer")),
	}
	p.timers = p.timers || p.columns.timer
	return ours, nil
}

// socket reads a line from its queues on.
func (p *netstat) socket(in *lines, w words, six bool) (verdict, error) {
	r := record{known: tcpvet.FactQueues}
	if !u32(w.next(), &r.recvQ) || !u32(w.next(), &r.sendQ) {
		return ours, errQueues
	}
	local, remote := w.next(), w.next()
	if len(local) > columnWidth || len(remote) > columnWidth {
		p.wide = true
	}
	if err := p.endpoint(&p.local, local, six); err != nil {
		return ours, err
	}
	if err := p.endpoint(&p.remote, remote, six); err != nil {
		return ours, err
	}
	if p.local.v4 != p.remote.v4 {
		return ours, errFamilies
	}
	word := w.next()
	state, ok := stateOf(word)
	if !ok || state == tcpvet.Unconn && !in.whole && len(trim(w.rest)) == 0 {
		return ours, errState // CLOSE at the very end was CLOSE_WAIT
	}
	if state == tcpvet.Listen {
		r.known = tcpvet.FactBacklog // the limit is not in /proc/net/tcp
	}
	r.state = uint8(state)
	r.ends(&p.local, &p.remote)
	rec := p.records.add(r)
	if err := p.extra(rec, w.rest); err != nil {
		p.records.drop()
		return ours, err
	}
	if mayBeCut(&p.local, local) || mayBeCut(&p.remote, remote) {
		rec.bits |= maybeCut
		if p.cuts++; p.cut == nil {
			p.cut = lineError(in.n, in.text, errCut)
		}
	}
	return socket, nil
}

// endpoint reads one address. An IPv4-mapped one in a line of tcp6 is printed as
// its IPv4 part.
func (p *netstat) endpoint(e *endpoint, b []byte, six bool) error {
	err := e.parse(b)
	switch {
	case err == nil && e.star, err != nil && len(b) == 0:
		return errAddress
	case err != nil && len(b) == columnWidth && six:
		return errCut
	case err == nil && six:
		e.mapped()
	}
	return err
}

func mayBeCut(e *endpoint, b []byte) bool { return !e.v4 && len(b) == columnWidth }

// extra reads the columns behind the state: User and Inode (-e), PID/Program
// name (-p), Timer (-o), in this order. Where no header names them their shape
// tells.
func (p *netstat) extra(r *record, b []byte) error {
	b = trim(b)
	if n := len(b); n > 0 && b[n-1] == ')' && (p.columns.timer || !p.columns.header) {
		rest, t, ok := netstatTimer(b)
		if !ok {
			return errTimer
		}
		b = rest
		p.timers = true
		d := p.detailOf(r)
		d.timer, d.expires, d.retransmits = t.Kind, t.Expires, t.Retransmits
		r.known |= tcpvet.FactTimer
	} else if p.columns.timer {
		return errTimer
	}

	w := words{rest: b}
	user, inode := w.next(), w.next()
	if p.columns.user || !p.columns.header && digits(inode) && bytes.IndexByte(user, '/') < 0 {
		d := p.detailOf(r)
		var ok bool
		if d.inode, ok = number(inode, 64); !ok {
			return errInode
		}
		r.known |= tcpvet.FactInode
		// A name is printed without -n; 0 without a descriptor is nobody.
		if uid, ok := number(user, 32); ok && (uid != 0 || d.inode != 0) {
			d.uid = uint32(uid)
			r.known |= tcpvet.FactUID
		}
		b = trim(w.rest)
	}
	if len(b) == 0 || string(b) == "-" {
		if len(b) == 0 && p.columns.program {
			return errProgram
		}
		return nil
	}
	if !p.columns.program && p.columns.header {
		return nil // the security context (-Z)
	}
	slash := bytes.IndexByte(b, '/')
	if slash < 0 {
		return errProgram
	}
	pid, ok := number(b[:slash], 31)
	if !ok || pid == 0 {
		return errProgram
	}
	p.members = append(p.members[:0], p.process(int32(pid), b[slash+1:]))
	r.holder = p.hold(p.members)
	return nil
}

// netstatTimer reads a timer at the end of b: keepalive (7199.34/0/0), which is
// seconds, segments sent again, probes unanswered. It gives what stands before
// it.
func netstatTimer(b []byte) (rest []byte, t tcpvet.Timer, ok bool) {
	open := lastByte(b, '(')
	if open < 1 {
		return nil, t, false
	}
	values := b[open+1 : len(b)-1]
	name := trim(b[:open])
	start := len(name)
	for start > 0 && !blank(name[start-1]) {
		start--
	}
	if t.Kind, ok = timerKind(name[start:]); !ok {
		return nil, t, false
	}
	seconds, counts, ok1 := bytes.Cut(values, []byte{'/'})
	segments, probes, ok2 := bytes.Cut(counts, []byte{'/'})
	v, ok3 := float(bytes.TrimPrefix(seconds, []byte{'-'}))
	resent, ok4 := number(segments, 32)
	unanswered, ok5 := number(probes, 32)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || v > 1e10 {
		return nil, t, false
	}
	switch t.Kind {
	case tcpvet.TimerOn:
		t.Retransmits = uint8(min(resent, math.MaxUint8))
	case tcpvet.TimerKeepalive, tcpvet.TimerPersist:
		t.Retransmits = uint8(min(unanswered, math.MaxUint8))
	}
	if t.Kind != tcpvet.TimerNone && seconds[0] != '-' {
		t.Expires = time.Duration(math.Round(v*100)) * 10 * time.Millisecond
	}
	return trim(name[:start]), t, true
}

func (p *netstat) finish(d *Dump, lenient bool) (tcpvet.Facts, error) {
	if p.records.len() == 0 && p.cmd.notTCP() {
		return 0, errNotTCP
	}
	if p.cuts > 0 && !p.wide && !p.cmd.wide {
		if !lenient || p.cuts == p.records.len() {
			return 0, p.cut
		}
		d.cutLost = true
	}
	d.timers = p.timers
	var f tcpvet.Facts
	if p.timers {
		f |= tcpvet.FactMini
	}
	switch p.title {
	case "servers and established":
		f |= tcpvet.FactTimeWait | tcpvet.FactListeners
	case "w/o servers":
		f |= tcpvet.FactTimeWait
	case "only servers":
		f |= tcpvet.FactListeners
	}
	if p.cmd.all {
		f |= tcpvet.FactTimeWait | tcpvet.FactListeners
	}
	return f, nil
}

// netstatProto tells a line about a TCP socket by its first word.
func netstatProto(b []byte) (six, ok bool) {
	switch string(b) {
	case "tcp":
		return false, true
	case "tcp6":
		return true, true
	}
	return false, false
}

func otherProto(b []byte) bool {
	switch string(b) {
	case "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "unix", "sctp", "sctp6", "dccp", "dccp6",
		"l2cap", "rfcomm":
		return true
	}
	return false
}
