package procfs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

// tick is the unit of the column tm->when: 1/USER_HZ (jiffies_delta_to_clock_t
// in kernel/time/time.c; USER_HZ is 100 on every architecture that Go knows).
const tick = 10 * time.Millisecond

// maxLine bounds a line of /proc/net/tcp, which the kernel pads to 149 bytes
// and to 179 in tcp6. The rest is for what a mail program may have added.
const maxLine = 4096

// ReadNetTCP reads a file in the format of /proc/net/tcp or /proc/net/tcp6 and
// calls yield for each socket, in the order of the file: the kernel puts
// listeners first. The family follows from the width of the addresses, so both
// files may stand in one stream. The Socket is used again for the next line.
//
// An error of yield ends the reading and is returned as it is. A line that is
// not understood ends it with an error that gives its number.
func ReadNetTCP(r io.Reader, yield func(*tcpvet.Socket) error) error {
	lines := newNetTCP(r)
	for lines.next() {
		if err := yield(&lines.sock); err != nil {
			return err
		}
	}
	return lines.err
}

// netTCP steps through the lines of one file.
type netTCP struct {
	lines *bufio.Scanner
	n     int // number of the current line, from 1
	sock  tcpvet.Socket
	err   error
}

func newNetTCP(r io.Reader) *netTCP {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4*maxLine), maxLine)
	return &netTCP{lines: lines}
}

// next decodes the next socket into sock. It is false at the end and after an
// error.
func (f *netTCP) next() bool {
	if f.err != nil {
		return false
	}
	for f.lines.Scan() {
		f.n++
		line := f.lines.Bytes()
		if IsNetTCPHeader(line) || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := DecodeNetTCP(line, &f.sock); err != nil {
			f.err = fmt.Errorf("line %d: %w", f.n, err)
			return false
		}
		return true
	}
	if err := f.lines.Err(); err != nil {
		f.err = fmt.Errorf("read line %d: %w", f.n+1, err)
	}
	return false
}

// IsNetTCPHeader tells whether the line is the one that names the columns of
// /proc/net/tcp and tcp6.
func IsNetTCPHeader(line []byte) bool {
	c := columns{rest: line}
	if string(c.next()) != "sl" {
		return false
	}
	return string(c.next()) == "local_address"
}

// DecodeNetTCP reads one line of /proc/net/tcp or /proc/net/tcp6 (not the
// header) into s, all of which it overwrites. It allocates nothing unless it
// fails. Columns after the inode are ignored, and white space may have been
// changed. The error names the column.
//
// The columns are those of get_tcp4_sock, get_openreq4 and get_timewait4_sock
// in net/ipv4/tcp_ipv4.c. An address is printed as 32-bit words in the byte
// order of the machine, which is taken to be that of this one. Known says what
// the line tells: a listener's tx_queue is always 0, so the limit of its
// accept queue is not known; the 0 in the uid column of a socket that has no
// owner any more is not a user.
func DecodeNetTCP(line []byte, s *tcpvet.Socket) error {
	*s = tcpvet.Socket{}
	c := columns{rest: line}

	if sl := c.next(); len(sl) < 2 || sl[len(sl)-1] != ':' || !digits(sl[:len(sl)-1]) {
		return wrong("sl", sl, "a number and a colon")
	}
	local := c.next()
	if !endpoint(local, &s.Local) {
		return wrong("local_address", local, "8 or 32 hexadecimal digits, a colon and 4 more")
	}
	remote := c.next()
	if !endpoint(remote, &s.Remote) || len(remote) != len(local) {
		return wrong("rem_address", remote, "as many hexadecimal digits as in local_address")
	}

	st := c.next()
	state, ok := hex(st, 2)
	if !ok || state < uint64(tcpvet.Established) || state > uint64(tcpvet.Closing) {
		return wrong("st", st, "a state from 01 to 0B")
	}
	s.State = tcpvet.State(state)

	queues := c.next()
	tx, rx, ok := hexPair(queues, 8, 8)
	if !ok {
		return wrong("tx_queue:rx_queue", queues, "two hexadecimal numbers of up to 8 digits")
	}
	s.SendQ, s.RecvQ = uint32(tx), uint32(rx)

	timer := c.next()
	kind, when, ok := hexPair(timer, 2, 16)
	if !ok {
		return wrong("tr:tm->when", timer, "two hexadecimal numbers of up to 2 and 16 digits")
	}
	resent := c.next()
	retransmits, ok := hex(resent, 8)
	if !ok {
		return wrong("retrnsmt", resent, "a hexadecimal number of up to 8 digits")
	}
	owner := c.next()
	uid, ok := decimal(owner)
	if !ok || uid > 1<<32-1 {
		return wrong("uid", owner, "a number of 32 bits")
	}
	unanswered := c.next()
	probes, ok := decimal(unanswered)
	if !ok {
		return wrong("timeout", unanswered, "a number")
	}
	node := c.next()
	if s.Inode, ok = decimal(node); !ok {
		return wrong("inode", node, "a number")
	}

	s.Known = tcpvet.FactInode | tcpvet.FactMini
	if s.State == tcpvet.Listen {
		s.Known |= tcpvet.FactBacklog
	} else {
		s.Known |= tcpvet.FactQueues
	}
	if kind <= uint64(tcpvet.TimerPersist) {
		s.Known |= tcpvet.FactTimer
		s.Timer = timerOf(tcpvet.TimerKind(kind), when, retransmits, probes)
	}
	s.Mini = tcpvet.TimerKind(kind) == tcpvet.TimerTimeWait &&
		(s.State == tcpvet.TimeWait || s.State == tcpvet.FinWait2)
	// A request socket has no inode, but shows the user of its listener.
	if uid != 0 || s.Inode != 0 || s.State == tcpvet.SynRecv {
		s.Known |= tcpvet.FactUID
		s.UID = uint32(uid)
	}
	return nil
}

// timerOf joins what the line says of a timer in the way of sock_diag
// (inet_sk_diag_fill): segments count for a retransmission, probes for the
// others.
func timerOf(kind tcpvet.TimerKind, when, retransmits, probes uint64) tcpvet.Timer {
	t := tcpvet.Timer{Kind: kind}
	const longest = uint64(1<<63-1) / uint64(tick)
	switch kind {
	case tcpvet.TimerNone:
		return t
	case tcpvet.TimerOn:
		t.Retransmits = uint8(min(retransmits, 255))
	case tcpvet.TimerKeepalive, tcpvet.TimerPersist:
		t.Retransmits = uint8(min(probes, 255))
	}
	t.Expires = time.Duration(min(when, longest)) * tick
	return t
}

func wrong(column string, got []byte, want string) error {
	if got == nil {
		return fmt.Errorf("decode /proc/net/tcp: column %s is missing; expected %s", column, want)
	}
	const shown = 48
	if len(got) > shown {
		got = got[:shown]
	}
	return fmt.Errorf("decode /proc/net/tcp: column %s is %q; expected %s", column, got, want)
}

// endpoint reads ADDRESS:PORT. The port is a plain number, the address is made
// of words in the machine's byte order.
func endpoint(b []byte, ap *netip.AddrPort) bool {
	const v4, v6 = 8, 32
	if len(b) < v4+1 {
		return false
	}
	digits := len(b) - len(":0000")
	if digits != v4 && digits != v6 || b[digits] != ':' {
		return false
	}
	port, ok := hex(b[digits+1:], 4)
	if !ok {
		return false
	}
	var raw [16]byte
	for i := 0; i < digits/8; i++ {
		word, ok := hex(b[8*i:8*i+8], 8)
		if !ok {
			return false
		}
		binary.NativeEndian.PutUint32(raw[4*i:], uint32(word))
	}
	addr := netip.AddrFrom16(raw)
	if digits == v4 {
		addr = netip.AddrFrom4([4]byte(raw[:4]))
	}
	*ap = netip.AddrPortFrom(addr, uint16(port))
	return true
}

// hexPair reads A:B of at most so many digits each.
func hexPair(b []byte, maxA, maxB int) (a, c uint64, ok bool) {
	i := bytes.IndexByte(b, ':')
	if i < 0 {
		return 0, 0, false
	}
	a, okA := hex(b[:i], maxA)
	c, okC := hex(b[i+1:], maxB)
	return a, c, okA && okC
}
