package dump

import (
	"bytes"
	"fmt"

	"github.com/tcpvet/tcpvet"
)

// extra reads what stands behind the addresses: processes (-p), timer (-o, -e),
// inode, user and cookie (-e), tcp_info (-i). Words that it does not know are
// passed over: every version of ss has new ones.
func (p *ss) extra(r *record, b []byte) error {
	for {
		for len(b) > 0 && blank(b[0]) {
			b = b[1:]
		}
		if len(b) == 0 {
			return nil
		}
		if bytes.HasPrefix(b, []byte("users:(")) {
			n, err := p.users(r, b)
			if err != nil {
				return err
			}
			b = b[n:]
			continue
		}
		end := 0
		for end < len(b) && !blank(b[end]) {
			end++
		}
		word := b[:end]
		b = b[end:]
		var err error
		if colon := bytes.IndexByte(word, ':'); colon >= 0 {
			err = p.pair(r, word[:colon], word[colon+1:])
		} else {
			b, err = p.bareWord(r, word, b)
		}
		if err != nil {
			return err
		}
	}
}

// bareWord reads a word without a colon. Some are followed by their value.
func (p *ss) bareWord(r *record, word, rest []byte) ([]byte, error) {
	switch string(word) {
	case "ts":
		// Only with -o or -e (show_options in tcp_show_info), as are the timers.
		p.options = true
		p.info(r).Timestamps = true
	case "sack":
		p.options = true
		p.info(r).SACK = true
	case "delivery_rate":
		w := words{rest: rest}
		rate, ok := bitRate(w.next())
		if !ok {
			return nil, damaged("delivery_rate")
		}
		p.info(r).DeliveryRateBytesS = rate
		return w.rest, nil
	}
	return rest, nil
}

// pair reads KEY:VALUE. ss leaves out what is 0 (tcp_stats_print).
func (p *ss) pair(r *record, key, v []byte) error {
	var ok bool
	switch string(key) {
	case "timer":
		var t tcpvet.Timer
		if t, ok = ssTimer(v); ok {
			p.options = true
			d := p.detailOf(r)
			d.timer, d.expires, d.retransmits = t.Kind, t.Expires, t.Retransmits
			r.known |= tcpvet.FactTimer
		}
	case "ino":
		p.options = true // -e is -o and more
		d := p.detailOf(r)
		if d.inode, ok = number(v, 64); ok {
			r.known |= tcpvet.FactInode
			if d.inode != 0 {
				r.known |= tcpvet.FactUID // left out for root
			}
		}
	case "uid":
		d := p.detailOf(r)
		if ok = u32(v, &d.uid); ok {
			r.known |= tcpvet.FactUID
		}
	case "sk":
		d := p.detailOf(r)
		if d.cookie, ok = hex(v); ok && d.cookie != 0 {
			r.known |= tcpvet.FactCookie
		}
	case "cwnd":
		ok = u32(v, &p.info(r).SndCwnd)
	case "mss":
		ok = u32(v, &p.info(r).SndMSS)
	case "rcvmss":
		ok = u32(v, &p.info(r).RcvMSS)
	case "unacked":
		ok = u32(v, &p.info(r).Unacked)
	case "lost":
		ok = u32(v, &p.info(r).Lost)
	case "notsent":
		ok = u32(v, &p.info(r).NotSent)
	case "backoff":
		var n uint64
		n, ok = number(v, 8)
		p.info(r).Backoff = uint8(n)
	case "retrans":
		i := p.info(r)
		now, total, two := bytes.Cut(v, []byte{'/'})
		ok = two && u32(now, &i.Retrans) && u32(total, &i.TotalRetrans)
	case "wscale":
		i := p.info(r)
		snd, rcv, two := bytes.Cut(v, []byte{','})
		s, ok1 := number(snd, 4)
		n, ok2 := number(rcv, 4)
		i.SndWScale, i.RcvWScale, ok = uint8(s), uint8(n), two && ok1 && ok2
	case "rtt":
		i := p.info(r)
		mean, deviation, two := bytes.Cut(v, []byte{'/'})
		ok = two && milliseconds(mean, &i.RTT) && milliseconds(deviation, &i.RTTVar)
	case "rto":
		ok = milliseconds(v, &p.info(r).RTO)
	case "minrtt":
		ok = milliseconds(v, &p.info(r).MinRTT)
	case "lastsnd":
		ok = wholeMilliseconds(v, 32, &p.info(r).LastDataSent)
	case "lastrcv":
		ok = wholeMilliseconds(v, 32, &p.info(r).LastDataRecv)
	case "lastack":
		ok = wholeMilliseconds(v, 32, &p.info(r).LastAckRecv)
	case "busy":
		ok = limited(v, &p.info(r).BusyTime)
	case "rwnd_limited":
		ok = limited(v, &p.info(r).RwndLimited)
	case "sndbuf_limited":
		ok = limited(v, &p.info(r).SndBufLimited)
	case "bytes_sent":
		p.info(r).BytesSent, ok = number(v, 64)
	case "bytes_acked":
		p.info(r).BytesAcked, ok = number(v, 64)
	case "bytes_received":
		p.info(r).BytesReceived, ok = number(v, 64)
	default:
		return nil
	}
	if !ok {
		return damaged(string(key))
	}
	return nil
}

// info gives the place for the socket's tcp_info and marks it as known. That of
// a listener is thrown away: the kernel puts its accept queue there, into fields
// of other meaning (tcp_get_info in net/ipv4/tcp.c).
func (p *ss) info(r *record) *tcpvet.TCPInfo {
	if tcpvet.State(r.state) == tcpvet.Listen {
		return &p.listening
	}
	r.known |= tcpvet.FactInfo
	return p.infoOf(r)
}

func damaged(what string) error { return fmt.Errorf("%s is damaged", what) }

// users reads users:(("comm",pid=1,fd=3),("comm",pid=2,fd=3)), which iproute2
// before 4.0 wrote without "pid=" and "fd=". It tells how long it is. A name may
// hold any character, so that its end shows only in what follows.
func (p *ss) users(r *record, b []byte) (n int, err error) {
	p.members = p.members[:0]
	i := len("users:(")
	for {
		if i+2 > len(b) || b[i] != '(' || b[i+1] != '"' {
			return 0, damaged("users")
		}
		i += 2
		quote, pid, after := ssUser(b[i:])
		if quote < 0 {
			return 0, damaged("users")
		}
		p.members = append(p.members, p.process(pid, b[i:i+quote]))
		i += after
		end := bytes.IndexByte(b[i:], ')')
		if end < 0 {
			return 0, damaged("users")
		}
		i += end + 1
		if i < len(b) && b[i] == ',' {
			i++
			continue
		}
		if i == len(b) || b[i] != ')' {
			return 0, damaged("users")
		}
		r.holder = p.hold(p.members)
		return i + 1, nil
	}
}

// ssUser finds the quote that ends a name, the PID behind it, and where that
// ends; quote is -1 where there is none.
func ssUser(b []byte) (quote int, pid int32, after int) {
	for at := 0; ; at = quote + 1 {
		i := bytes.Index(b[at:], []byte(`",`))
		if i < 0 {
			return -1, 0, 0
		}
		quote = at + i
		after = quote + 2
		if bytes.HasPrefix(b[after:], []byte("pid=")) {
			after += len("pid=")
		}
		start := after
		for after < len(b) && '0' <= b[after] && b[after] <= '9' {
			after++
		}
		v, ok := number(b[start:after], 31)
		if ok && v > 0 && after < len(b) && b[after] == ',' {
			return quote, int32(v), after
		}
	}
}
