package procfs

import (
	"bytes"
	"fmt"
)

// ParseNetstat reads /proc/net/netstat or /proc/net/snmp into counters: pairs
// of lines, the names and the values of one protocol. A counter is called as in
// nstat(8): TcpExtListenOverflows, TcpCurrEstab. Values below 0 (Tcp MaxConn is
// -1) are limits that do not exist, and are left out.
func ParseNetstat(b []byte, counters map[string]uint64) error {
	lines := lineReader{rest: b}
	for names := lines.next(); names != nil; names = lines.next() {
		n := columns{rest: names}
		proto := n.next()
		if proto == nil {
			continue
		}
		v := columns{rest: lines.next()}
		if proto[len(proto)-1] != ':' || !bytes.Equal(proto, v.next()) {
			return fmt.Errorf("parse counters: line %d: no values for the names of %.20q", lines.n, proto)
		}
		prefix := string(proto[:len(proto)-1])
		for name := n.next(); name != nil; name = n.next() {
			value := v.next()
			if value == nil {
				return fmt.Errorf("parse counters: line %d: no value for %s%.40s", lines.n, prefix, name)
			}
			if value[0] == '-' && digits(value[1:]) {
				continue
			}
			count, ok := decimal(value)
			if !ok {
				return fmt.Errorf("parse counters: line %d: %s%.40s is %.20q, no number", lines.n, prefix, name, value)
			}
			counters[prefix+string(name)] = count
		}
	}
	return nil
}

// ParseSockstat reads /proc/net/sockstat or sockstat6 into counters: a line
// "TCP: inuse 5 orphan 0" becomes FILE.TCP.inuse and FILE.TCP.orphan, file
// being what the names begin with.
func ParseSockstat(file string, b []byte, counters map[string]uint64) error {
	lines := lineReader{rest: b}
	for line := lines.next(); line != nil; line = lines.next() {
		c := columns{rest: line}
		proto, ok := bytes.CutSuffix(c.next(), []byte{':'})
		if !ok {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			return fmt.Errorf("parse %s: line %d: no protocol", file, lines.n)
		}
		prefix := file + "." + string(proto) + "."
		for name := c.next(); name != nil; name = c.next() {
			value := c.next()
			count, ok := decimal(value)
			if !ok {
				return fmt.Errorf("parse %s: line %d: %.40s is %.20q, no number", file, lines.n, name, value)
			}
			counters[prefix+string(name)] = count
		}
	}
	return nil
}

// NoTCP tells that a namespace has no TCP socket that a dump would show, by the
// counters that FS.Counters gave: none in use, none in TIME-WAIT. It is false
// where that is not known. A handshake that is not completed is not counted, but
// its listener is. A socket that is merely bound is not counted either: where
// those are asked for (BOUND-INACTIVE), no namespace may be skipped.
func NoTCP(counters map[string]uint64) bool {
	inuse, ok1 := counters["sockstat.TCP.inuse"]
	tw, ok2 := counters["sockstat.TCP.tw"]
	return ok1 && ok2 && inuse == 0 && tw == 0 && counters["sockstat6.TCP6.inuse"] == 0
}

// lineReader gives the lines of a text.
type lineReader struct {
	rest []byte
	n    int // of the last line, from 1
}

// next gives the next line without its end, nil after the last.
func (l *lineReader) next() []byte {
	if len(l.rest) == 0 {
		return nil
	}
	l.n++
	line, rest, _ := bytes.Cut(l.rest, []byte{'\n'})
	l.rest = rest
	if line == nil {
		line = []byte{}
	}
	return line
}
