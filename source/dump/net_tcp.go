package dump

import (
	"bytes"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// netTCP reads copies of /proc/net/tcp and /proc/net/tcp6, one or both.
type netTCP struct {
	*table
	four, six  bool // which tables the headers say are there
	has4, has6 bool // which families were seen
	sock       tcpvet.Socket
}

func (p *netTCP) read(in *lines) (verdict, error) {
	b := in.text
	if procfs.IsNetTCPHeader(b) {
		return p.header(b)
	}
	w := words{rest: b}
	if sl := w.next(); len(sl) < 2 || sl[len(sl)-1] != ':' || !digits(sl[:len(sl)-1]) {
		return foreign, nil
	}
	s := &p.sock
	if err := procfs.DecodeNetTCP(b, s); err != nil {
		return ours, err
	}
	r := record{
		recvQ: s.RecvQ, sendQ: s.SendQ,
		known: s.Known,
		lport: s.Local.Port(), rport: s.Remote.Port(),
		state: uint8(s.State),
	}
	if s.Mini {
		r.bits |= mini
	}
	if s.Local.Addr().Is4() {
		p.has4 = true
		r.bits |= local4 | remote4
		l, m := s.Local.Addr().As4(), s.Remote.Addr().As4()
		copy(r.local[:], l[:])
		copy(r.remote[:], m[:])
	} else {
		p.has6 = true
		r.local, r.remote = s.Local.Addr().As16(), s.Remote.Addr().As16()
	}
	d := p.detailOf(p.records.add(r))
	d.inode, d.uid = s.Inode, s.UID
	d.timer, d.expires, d.retransmits = s.Timer.Kind, s.Timer.Expires, s.Timer.Retransmits
	return socket, nil
}

// misses tells whether a line, header or socket, is of the file that has not come
// yet: tcp or tcp6.
func (p *netTCP) misses(b []byte) bool {
	if procfs.IsNetTCPHeader(b) {
		return !*p.headed(b)
	}
	w := words{rest: b}
	w.next()
	if len(w.next()) == 8+5 {
		return !p.four && !p.has4
	}
	return !p.six && !p.has6
}

// headed gives where it is noted that a header such as b has come.
func (p *netTCP) headed(b []byte) *bool {
	w := words{rest: b}
	w.next()
	w.next()
	if string(w.next()) == "remote_address" { // tcp calls it rem_address
		return &p.six
	}
	return &p.four
}

func (p *netTCP) header(b []byte) (verdict, error) {
	if bytes.HasSuffix(trim(b), []byte("drops")) {
		return ours, errUDP // /proc/net/udp has the same first columns
	}
	seen := p.headed(b)
	if *seen {
		return again, nil
	}
	*seen = true
	return ours, nil
}

// finish says what the text as a whole tells: with a header it is a whole table.
func (p *netTCP) finish(d *Dump) tcpvet.Facts {
	missing := ""
	switch {
	case !p.four && !p.has4:
		missing = "/proc/net/tcp"
	case !p.six && !p.has6:
		missing = "/proc/net/tcp6"
	}
	if missing != "" {
		d.gaps = append(d.gaps, tcpvet.Gap{
			What: "sockets", Where: missing,
			Err: "the text holds the table of one address family; paste cat /proc/net/tcp /proc/net/tcp6",
		})
	}
	f := tcpvet.FactMini
	if p.four || p.six {
		f |= tcpvet.FactTimeWait | tcpvet.FactListeners
	}
	return f
}
