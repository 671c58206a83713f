package dump

import (
	"errors"

	"github.com/tcpvet/tcpvet"
)

var (
	errQueues    = errors.New("Recv-Q or Send-Q is missing or damaged")
	errFamilies  = errors.New("the two addresses are of different families")
	errOwnerless = errors.New("it belongs to no socket above it")
	errShorter   = errors.New("it is shorter than the lines above it: the text was cut")
)

// ss reads what inet_show_sock in misc/ss.c of iproute2 prints.
type ss struct {
	*table
	cmd command

	last    *record // the socket that an indented line belongs to
	skipped bool    // that one was left out
	padded  [2]int  // length of the last line, and indented line, that ended in a blank

	headed  bool
	netids  bool // a Netid column was seen
	unconn  bool // UNCONN was seen where no Netid says TCP
	bare    bool // an IPv6 address without brackets was seen
	anyPeer bool // an IPv4 socket with the peer *:* was seen
	options bool // what only -o and -e print was seen

	members       []uint32
	local, remote endpoint
	listening     tcpvet.TCPInfo // what listeners have, and nobody reads
}

func (p *ss) read(in *lines) (verdict, error) {
	b := in.text
	w := words{rest: b}
	first := w.next()
	if state, ok := stateOf(first); ok {
		return p.socket(in, state, w)
	}
	if netid(first) {
		queues := w
		second := w.next()
		state, ok := stateOf(second)
		switch {
		case !ok && !(p.netids && digits(second)):
			return foreign, nil // a sentence, or a line of netstat
		case string(first) != "tcp":
			p.netids = true
			p.last, p.skipped = nil, true
			return other, nil
		case ok:
			p.netids = true
			return p.socket(in, state, w)
		default:
			return p.stateless(in, queues)
		}
	}
	indented := len(b) > 0 && blank(b[0])
	switch {
	case !indented && digits(first):
		return p.stateless(in, words{rest: b})
	case ssHeader(b):
		if p.headed || p.records.len() > 0 {
			return again, nil
		}
		p.headed = true
		p.netids = string(first) == "Netid"
		return ours, nil
	case !indented, beginsOther(first):
		return foreign, nil
	case p.skipped:
		return ours, nil
	case p.last == nil:
		return ours, errOwnerless
	}
	err := errShorter
	if !p.short(in, 1) {
		err = p.extra(p.last, b)
	}
	if err != nil {
		p.last.known &^= tcpvet.FactInfo // what is missing would read as 0
		p.last, p.skipped = nil, true
	}
	return ours, err
}

// beginsOther tells the first word of a line of another dump, which may be
// indented too, from one of more about a socket.
func beginsOther(b []byte) bool {
	switch string(b) {
	case "sl", "COMMAND", "Active", "Proto":
		return true
	}
	n := len(b) - 1
	return n > 0 && b[n] == ':' && digits(b[:n])
}

// stateless reads a line without the State column.
func (p *ss) stateless(in *lines, w words) (verdict, error) {
	if p.cmd.state == 0 {
		return ours, errNoState
	}
	return p.socket(in, p.cmd.state, w)
}

// socket reads a line from its queues on.
func (p *ss) socket(in *lines, state tcpvet.State, w words) (verdict, error) {
	if p.last != nil && p.last.known&tcpvet.FactInfo == 0 {
		p.last.bits |= noInfo
	}
	p.last, p.skipped = nil, true
	r := record{known: tcpvet.FactQueues}
	if !u32(w.next(), &r.recvQ) || !u32(w.next(), &r.sendQ) {
		return ours, errQueues
	}
	local, remote := &p.local, &p.remote
	if err := local.parse(w.next()); err != nil {
		return ours, err
	}
	if err := remote.parse(w.next()); err != nil {
		return ours, err
	}
	if local.star && !remote.star || !local.star && !remote.star && local.v4 != remote.v4 {
		return ours, errFamilies
	}
	if p.short(in, 0) {
		return ours, errShorter
	}

	switch state {
	case tcpvet.Listen:
		r.known = tcpvet.FactBacklog | tcpvet.FactBacklogMax
	case tcpvet.Unconn:
		p.unconn = p.unconn || !p.netids
		if local.port != 0 {
			state = tcpvet.BoundInactive // as which the kernel shows nothing else
		}
	}
	r.state = uint8(state)
	r.ends(local, remote)
	rec := p.records.add(r)
	if err := p.extra(rec, w.rest); err != nil {
		p.records.drop()
		return ours, err
	}
	p.bare = p.bare || local.bare || remote.bare
	p.anyPeer = p.anyPeer || local.v4 && remote.star
	p.last, p.skipped = rec, false
	return socket, nil
}

// short tells that the last line of the text was cut off. ss fills all of its
// lines up to the same length with blanks. A text that does not end in a newline
// may still be whole; where it was cut, the blanks are missing.
func (p *ss) short(in *lines, which int) bool {
	n := len(in.text)
	switch in.text[n-1] {
	case ' ':
		p.padded[which] = n
		return false
	case ')', '>', '*': // the end of a column, not the middle of a number
		return false
	}
	return !in.whole && n < p.padded[which]
}

// finish says what the text as a whole tells.
func (p *ss) finish(d *Dump, known tcpvet.Facts, states tcpvet.StateSet) (tcpvet.Facts, error) {
	if err := p.protocol(known, states); err != nil {
		return 0, err
	}
	d.oldStars = p.bare || p.anyPeer
	d.timers = p.options || p.cmd.timer
	d.infos = known.Has(tcpvet.FactInfo)
	var f tcpvet.Facts
	if d.timers || d.infos {
		f |= tcpvet.FactMini
	}
	// Listeners are told with -a or -l, and -l tells nothing else: beside a
	// connection they prove -a, which tells TIME-WAIT too.
	const idle = 1<<tcpvet.Listen | 1<<tcpvet.Unconn | 1<<tcpvet.BoundInactive
	if p.cmd.all || states.Has(tcpvet.Listen) && states&^idle != 0 {
		f |= tcpvet.FactTimeWait | tcpvet.FactListeners
	}
	return f, nil
}

// protocol makes sure that the sockets are of TCP: without the column Netid a line
// does not say so. Of UDP ss shows no other states than these, no timer and no
// tcp_info. Of TCP it shows UNCONN too where it knows -B: what is merely bound.
func (p *ss) protocol(known tcpvet.Facts, states tcpvet.StateSet) error {
	const udpToo = 1<<tcpvet.Established | 1<<tcpvet.Unconn | 1<<tcpvet.BoundInactive
	switch {
	case states&^udpToo != 0, known&(tcpvet.FactTimer|tcpvet.FactInfo) != 0:
		return nil
	case p.cmd.notTCP():
		return errNotTCP
	case p.unconn && !p.cmd.tcpOnly():
		return errMaybeUDP
	}
	return nil
}

// netid tells the words of the column Netid (sock_state_print in misc/ss.c).
func netid(b []byte) bool {
	if len(b) < 2 || len(b) > 5 {
		return false
	}
	switch string(b) {
	case "tcp", "udp", "raw", "sctp", "dccp", "mptcp", "icmp6", "nl", "u_str", "u_dgr", "u_seq", "p_raw", "p_dgr",
		"v_str", "v_dgr", "ti_st", "ti_dg", "ti_sq", "ti_rd", "xdp", "udpl", "???":
		return true
	}
	return false
}
