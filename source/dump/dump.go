package dump

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// Options say how to read a dump. The zero value is strict and knows no ports.
type Options struct {
	// Lenient leaves out a line that is damaged and reports all of them as
	// one Gap, where otherwise the first ends the reading.
	Lenient bool

	// Ports is the local port range of the machine that the text came from,
	// nil where it is not known. It is passed on, and adds FactPortRange.
	Ports *tcpvet.Ports
}

// Dump is the text of one command, read. It lies in memory in a compact form:
// 64 bytes a socket, 104 where the text tells of its owner or its timer, and
// under 300 with the fields of tcp_info.
type Dump struct {
	table
	kind   kind
	facts  tcpvet.Facts
	ports  *tcpvet.Ports
	others int
	gaps   []tcpvet.Gap

	oldStars bool // an asterisk stands for 0.0.0.0
	timers   bool // the text shows every timer that runs: without one, none does
	infos    bool // the text shows tcp_info where the kernel has it
	cutLost  bool // sockets whose address may have been cut are left out
	cut      bool // the reader could not give all of the text
}

// ErrCut is the cause where the reader could not give the text to its end, as of a
// compressed file that was cut or damaged. A reader says so by wrapping it in its
// error; any other error ends the reading, leniently too.
var ErrCut = errors.New("the text is not whole")

// Name is the word for what the text came from: "ss", "netstat", "lsof" or
// "/proc/net/tcp".
func (d *Dump) Name() string { return d.kind.String() }

// Facts are what the text tells, of at least one socket or of the host.
// FactTimeWait and FactListeners are in it where a socket in that state was
// seen, or where the text or the command above it says that it shows them.
func (d *Dump) Facts() tcpvet.Facts { return d.facts }

// Cut tells that the text goes on where it could not be read (ErrCut). A gap names
// the line.
func (d *Dump) Cut() bool { return d.cut }

// Others is the number of lines about sockets that are not TCP.
func (d *Dump) Others() int { return d.others }

// Each tells o what the text holds, as Observer wants it: an empty host, one
// namespace with the number 0, the gaps, then the sockets in one of the states
// (0 for all), listeners first and otherwise as they stand in the text.
//
// Start is 0 in every Process: no dump tells it. Of several holders the one
// with the lowest PID, most likely the oldest, is the Holder. Where nobody is
// named, Holder is Nobody if the socket can have no descriptor and Unseen if it
// may have one; Known then says whether that is certain. A name of an interface
// becomes a number only where the name gives it (lo is 1). An error of o ends it
// and is returned as it is.
func (d *Dump) Each(o tcpvet.Observer, states tcpvet.StateSet) error {
	if states == 0 {
		states = tcpvet.AllStates
	}
	o.Host(tcpvet.Host{})
	o.Netns(tcpvet.Netns{Ports: d.ports})
	for _, g := range d.gaps {
		o.Gap(g)
	}
	e := emitter{dump: d, to: o, told: make([]bool, len(d.procs))}
	if states.Has(tcpvet.Listen) {
		if err := e.all(tcpvet.SetOf(tcpvet.Listen)); err != nil {
			return err
		}
	}
	return e.all(states &^ tcpvet.SetOf(tcpvet.Listen))
}

// emitter turns records into Sockets.
type emitter struct {
	dump   *Dump
	to     tcpvet.Observer
	told   []bool // by index into procs
	sock   tcpvet.Socket
	shared []tcpvet.Process
	one    [1]uint32
}

func (e *emitter) all(states tcpvet.StateSet) error {
	d := e.dump
	for i := range d.records.len() {
		r := d.records.at(i)
		if !states.Has(tcpvet.State(r.state)) || d.cutLost && r.is(maybeCut) {
			continue
		}
		e.fill(r)
		if err := e.to.Socket(&e.sock); err != nil {
			return err
		}
	}
	return nil
}

func (e *emitter) fill(r *record) {
	d, s := e.dump, &e.sock
	*s = tcpvet.Socket{
		Known: r.known,
		State: tcpvet.State(r.state),
		Mini:  tcpvet.State(r.state) == tcpvet.TimeWait || r.is(mini),
		RecvQ: r.recvQ, SendQ: r.sendQ,
		Interface: r.iface,
	}
	s.Local, s.Remote = r.endpoints(d.oldStars)
	if r.detail != 0 {
		dt := d.details.at(int(r.detail - 1))
		s.Inode, s.UID, s.Cookie = dt.inode, dt.uid, dt.cookie
		s.Timer = tcpvet.Timer{Kind: dt.timer, Expires: dt.expires, Retransmits: dt.retransmits}
		if dt.info != 0 {
			s.Info = *d.infosOf.at(int(dt.info - 1))
			if dt.timer == tcpvet.TimerKeepalive || dt.timer == tcpvet.TimerPersist {
				s.Info.Probes = dt.retransmits // both print icsk_probes_out
			}
		}
	}
	if d.timers && s.State != tcpvet.TimeWait {
		s.Known |= tcpvet.FactTimer
	}
	e.mini(r)
	e.holders(r)
}

// mini tells a mini-socket in FIN-WAIT-2 from a held one. It has its own timer
// and no tcp_info. That tcp_info is missing proves it only where the text shows
// that of others and went on behind this socket: else it may have been cut off.
func (e *emitter) mini(r *record) {
	d, s := e.dump, &e.sock
	known := d.facts & tcpvet.FactMini
	if s.State == tcpvet.FinWait2 && !s.Mini {
		switch {
		case s.Knows(tcpvet.FactTimer):
			s.Mini = s.Timer.Kind == tcpvet.TimerTimeWait
		case s.Knows(tcpvet.FactInfo), r.holder != 0:
		case d.infos && r.is(noInfo):
			s.Mini = true
		default:
			known &= r.known // lsof and /proc/net/tcp know of each socket
		}
	}
	s.Known |= known
}

// holders sets who holds the socket, and tells of them.
func (e *emitter) holders(r *record) {
	d, s := e.dump, &e.sock
	certain := d.facts & tcpvet.FactHolders
	switch members := d.holdersOf(r.holder, &e.one); {
	case len(members) > 0:
		e.shared = e.shared[:0]
		for _, m := range members {
			p := &d.procs[m]
			if !e.told[m] {
				e.told[m] = true
				e.to.Process(p.id(), tcpvet.ProcessInfo{Comm: p.comm})
			}
			e.shared = append(e.shared, p.id())
		}
		s.Holder, s.Known = e.shared[0], s.Known|certain
		if len(e.shared) > 1 {
			s.SharedWith = e.shared[1:]
		}
	case s.Mini, s.State == tcpvet.SynRecv, s.Knows(tcpvet.FactInode) && s.Inode == 0:
		s.Known |= certain
	case s.Knows(tcpvet.FactInode):
		s.Holder, s.Known = tcpvet.Unseen, s.Known|certain
	default:
		s.Holder = tcpvet.Unseen
	}
}

// endpoints gives both ends. Where ss means any address of either family it
// prints an asterisk: since iproute2 4.14 for an IPv6 socket that takes IPv4
// too, before that for IPv4 alone.
func (r *record) endpoints(oldStars bool) (local, remote netip.AddrPort) {
	l4 := r.is(local4) || r.is(localStar) && oldStars
	r4 := r.is(remote4) || r.is(remoteStar) && l4
	return netip.AddrPortFrom(addrOf(&r.local, l4), r.lport), netip.AddrPortFrom(addrOf(&r.remote, r4), r.rport)
}

func addrOf(b *[16]byte, v4 bool) netip.Addr {
	if v4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(*b)
}

// Parse reads one dump to its end. Lines before it that say something else (a
// prompt, the command, a sentence), blank lines, fences of code, colours and what the
// commands print to their standard error are passed over, and after it a prompt
// with what another command printed. Where the dump is quoted as in mail, each of
// its lines has to be.
//
// The error is ErrEmpty or ErrUnrecognised where there is nothing to read, or
// says that the text is not, or need not be, about TCP; a *LineError where a line
// cannot be read; one of ErrCut, or of UTF-16; and otherwise that of r. A second dump in the
// same text is such a line, since it would count the sockets twice.
func Parse(r io.Reader, opt Options) (*Dump, error) {
	p := parser{opt: opt, dump: &Dump{ports: opt.Ports}}
	in := newLines(r)
	for in.next() {
		if err := p.line(in); err != nil {
			return nil, err
		}
	}
	if in.err != nil {
		p.cut = &LineError{Line: in.n + 1, Err: in.err}
		switch {
		case !errors.Is(in.err, ErrCut):
			return nil, fmt.Errorf("read line %d: %w", p.cut.Line, in.err)
		case !opt.Lenient:
			return nil, fmt.Errorf("read line %d: %w; read what there is with --lenient", p.cut.Line, in.err)
		}
	}
	return p.finish()
}
