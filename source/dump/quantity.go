package dump

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
)

// ssTimer reads (keepalive,1min3sec,0).
func ssTimer(b []byte) (t tcpvet.Timer, ok bool) {
	if len(b) < 2 || b[0] != '(' || b[len(b)-1] != ')' {
		return t, false
	}
	b = b[1 : len(b)-1]
	first, last := bytes.IndexByte(b, ','), lastByte(b, ',')
	if first == last {
		return t, false
	}
	if t.Kind, ok = timerKind(b[:first]); !ok {
		return t, false
	}
	if t.Expires, ok = ssInterval(b[first+1 : last]); !ok {
		return t, false
	}
	retransmits, ok := number(b[last+1:], 32)
	t.Retransmits = uint8(min(retransmits, math.MaxUint8))
	return t, ok
}

// timerKind knows the words of ss and netstat.
func timerKind(b []byte) (tcpvet.TimerKind, bool) {
	switch string(b) {
	case "off":
		return tcpvet.TimerNone, true
	case "on":
		return tcpvet.TimerOn, true
	case "keepalive":
		return tcpvet.TimerKeepalive, true
	case "timewait":
		return tcpvet.TimerTimeWait, true
	case "persist", "probe": // netstat's word is probe
		return tcpvet.TimerPersist, true
	}
	return 0, false
}

// ssInterval reads what print_ms_timer in misc/ss.c writes: 119min, 1min3sec,
// 59sec, 200ms, and 3.048ms, which is 3 s and 48 ms. Nothing stands for 0. It
// leaves out less than 1 ms, from 10 s on less than 1 s, from 10 min on less
// than 1 min.
func ssInterval(b []byte) (time.Duration, bool) {
	const (
		start = iota
		minutes
		point
		end
	)
	// Old kernels let a timer that is due wrap below zero.
	const longest = math.MaxInt32 * time.Millisecond
	var d time.Duration
	for at := start; len(b) > 0; {
		n := 0
		for n < len(b) && '0' <= b[n] && b[n] <= '9' {
			n++
		}
		v, ok := number(b[:n], 32)
		if !ok {
			return 0, false
		}
		b = b[n:]
		scale := time.Second
		switch {
		case at == start && bytes.HasPrefix(b, []byte("min")):
			scale, at, b = time.Minute, minutes, b[3:]
		case at < point && string(b) == "sec":
			at, b = end, nil
		case at < point && len(b) == len(".048ms") && b[0] == '.':
			at, b = point, b[1:]
		case string(b) == "ms" && v < 1000:
			scale, at, b = time.Millisecond, end, nil
		default:
			return 0, false
		}
		d += time.Duration(v) * scale
	}
	if d > longest {
		return 0, true
	}
	return d, true
}

func u32(b []byte, to *uint32) bool {
	v, ok := number(b, 32)
	*to = uint32(v)
	return ok
}

func wholeMilliseconds(b []byte, bits int, to *time.Duration) bool {
	v, ok := number(b, bits)
	*to = time.Duration(min(v, uint64(math.MaxInt64/time.Millisecond))) * time.Millisecond
	return ok
}

// limited reads 4ms and 4ms(1.2%).
func limited(b []byte, to *time.Duration) bool {
	b, _, _ = bytes.Cut(b, []byte{'('})
	b, ok := bytes.CutSuffix(b, []byte("ms"))
	return ok && wholeMilliseconds(b, 64, to)
}

// milliseconds reads what C prints with %g: 0.018, 204, 1.2e+05. ss divides
// microseconds by 1000, and %g leaves six digits of them.
func milliseconds(b []byte, to *time.Duration) bool {
	v, ok := float(b)
	if !ok || v > 1e10 {
		return false
	}
	*to = time.Duration(math.Round(v*1000)) * time.Microsecond
	return true
}

// bitRate reads 32768000000bps (ss -n) or 32.8Gbps, into bytes per second.
func bitRate(b []byte) (uint64, bool) {
	b, ok := bytes.CutSuffix(b, []byte("bps"))
	if !ok || len(b) == 0 {
		return 0, false
	}
	scale := 1.0
	switch b[len(b)-1] {
	case 'k', 'K':
		scale = 1e3
	case 'M':
		scale = 1e6
	case 'G':
		scale = 1e9
	case 'T':
		scale = 1e12
	}
	if scale > 1 {
		b = b[:len(b)-1]
	}
	v, ok := float(b)
	if v = v * scale / 8; !ok || v >= 1<<63 {
		return 0, false
	}
	return uint64(math.Round(v)), true
}

// float reads a number that is not below 0.
func float(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 24 || b[0] < '0' || b[0] > '9' {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

// hex reads a hexadecimal number of 64 bits.
func hex(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	for _, c := range b {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		v = v<<4 | uint64(d)
	}
	return v, true
}
