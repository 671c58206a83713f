package dump

import (
	"bytes"
	"errors"

	"github.com/tcpvet/tcpvet"
)

var (
	errPID    = errors.New("the PID is missing or damaged")
	errDevice = errors.New("the column DEVICE is missing or damaged")
)

// lsof reads the lines of lsof(8) about TCP sockets. Each is a descriptor: a
// socket that several hold, or one holds twice, has several.
type lsof struct {
	*table
	headed   bool
	byDevice map[uint64]int // index of the record, by socket
	members  []uint32
	line     lsofLine
}

// lsofLine is one line, cut into what is read of it.
type lsofLine struct {
	command, pid, kind, device, proto, name, state []byte
}

// split finds the columns by the type, IPv4 or IPv6: those before it differ with
// the options (-K, -R, -g), SIZE/OFF may be empty.
func (l *lsofLine) split(b []byte) bool {
	*l = lsofLine{}
	w := words{rest: b}
	l.command, l.pid = w.next(), w.next()
	for n := 0; ; n++ {
		word := w.next()
		if len(word) == 0 || n > 8 {
			return false
		}
		if n >= 2 && (string(word) == "IPv4" || string(word) == "IPv6") {
			l.kind = word
			break
		}
	}
	l.device = w.next()
	if l.proto = w.next(); string(l.proto) != "TCP" && string(l.proto) != "UDP" {
		l.proto = w.next()
	}
	l.name, l.state = w.next(), trim(w.rest)
	return true
}

// lsofSocket tells a line about a TCP or UDP socket.
func lsofSocket(b []byte) bool {
	var l lsofLine
	return l.split(b) && digits(l.pid) && (string(l.proto) == "TCP" || string(l.proto) == "UDP")
}

func (p *lsof) read(in *lines) (verdict, error) {
	b := in.text
	if lsofHeader(b) {
		if p.headed || p.records.len() > 0 {
			return again, nil
		}
		p.headed = true
		return ours, nil
	}
	l := &p.line
	if !l.split(b) {
		// Files, pipes and Unix sockets have the same columns, up to a type
		// that is none of ours.
		if l.columns(b) {
			return other, nil
		}
		return foreign, nil
	}
	switch string(l.proto) {
	case "TCP":
		return p.socket(l)
	case "UDP", "UDPLITE", "ICMP", "ICMPV6", "RAW", "SCTP", "IGMP", "DCCP":
		return other, nil
	}
	return ours, errAddress
}

// columns tells whether the line has the first columns of one about any
// descriptor.
func (l *lsofLine) columns(b []byte) bool {
	w := words{rest: b}
	w.next()
	if pid := w.next(); !digits(pid) {
		return false
	}
	n := 0
	for len(w.next()) > 0 {
		n++
	}
	return n >= 3
}

func (p *lsof) socket(l *lsofLine) (verdict, error) {
	pid, ok := number(l.pid, 31)
	if !ok || pid == 0 {
		return ours, errPID
	}
	device, inode := number(l.device, 64)
	if !inode {
		// macOS prints the address of the control block.
		h, isHex := bytes.CutPrefix(l.device, []byte("0x"))
		if device, ok = hex(h); !isHex || !ok {
			return ours, errDevice
		}
	}
	var ends [2]endpoint
	local, remote := &ends[0], &ends[1]
	from, to, connected := bytes.Cut(l.name, []byte("->"))
	if err := p.endpoint(local, from, l.kind); err != nil {
		return ours, err
	}
	if connected {
		if err := p.endpoint(remote, to, l.kind); err != nil {
			return ours, err
		}
	} else {
		remote.v4 = local.v4
	}
	r := record{known: tcpvet.FactMini}
	state, err := p.state(l.state, &r)
	if err != nil {
		return ours, err
	}
	r.state = uint8(state)
	r.ends(local, remote)

	holder := p.process(int32(pid), unescape(l.command))
	if i, ok := p.byDevice[device]; ok {
		p.share(p.records.at(i), holder)
		return socket, nil
	}
	rec := p.records.add(r)
	rec.holder = holder + 1
	if inode {
		p.detailOf(rec).inode = device
		rec.known |= tcpvet.FactInode
	}
	if p.byDevice == nil {
		p.byDevice = make(map[uint64]int)
	}
	p.byDevice[device] = p.records.len() - 1
	return socket, nil
}

// endpoint reads an address. The column TYPE tells what family an asterisk is
// of, and that an IPv4 address is mapped.
func (p *lsof) endpoint(e *endpoint, b, family []byte) error {
	if err := e.parse(b); err != nil {
		return err
	}
	six := string(family) == "IPv6"
	switch {
	case e.star:
		e.star, e.v4 = false, !six
	case six:
		e.mapped()
	case !e.v4:
		return errFamilies
	}
	return nil
}

// state reads (ESTABLISHED), and with -Tqs (LISTEN QR=1 QS=0) or
// (ST=LISTEN QR=1 QS=0).
func (p *lsof) state(b []byte, r *record) (tcpvet.State, error) {
	if len(b) < 2 || b[0] != '(' || b[len(b)-1] != ')' {
		return 0, errState
	}
	var state tcpvet.State
	var ok, queues bool
	w := words{rest: b[1 : len(b)-1]}
	for word := w.next(); len(word) > 0; word = w.next() {
		key, value, pair := bytes.Cut(word, []byte{'='})
		switch {
		case !pair:
			if s, is := stateOf(word); is {
				state, ok = s, true
			}
		case string(key) == "ST":
			state, ok = stateOf(value)
		case string(key) == "QR":
			if queues = u32(value, &r.recvQ); !queues {
				return 0, errQueues
			}
		case string(key) == "QS":
			if !u32(value, &r.sendQ) {
				return 0, errQueues
			}
		}
	}
	if !ok {
		return 0, errState
	}
	switch {
	case !queues:
	case state == tcpvet.Listen:
		r.known |= tcpvet.FactBacklog
	default:
		r.known |= tcpvet.FactQueues
	}
	return state, nil
}

// share adds a holder to a socket.
func (p *lsof) share(r *record, holder uint32) {
	var one [1]uint32
	p.members = append(append(p.members[:0], p.holdersOf(r.holder, &one)...), holder)
	r.holder = p.hold(p.members)
}

func lsofHeader(b []byte) bool {
	w := words{rest: b}
	return string(w.next()) == "COMMAND" && string(w.next()) == "PID" && bytes.HasSuffix(trim(b), []byte("NAME"))
}

// unescape undoes \x20, as which lsof prints a blank in a command.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && b[i+1] == 'x' {
			if v, ok := hex(b[i+2 : i+4]); ok {
				out = append(out, byte(v))
				i += 3
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}
