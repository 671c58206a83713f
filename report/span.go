package report

import (
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet/vet"
)

// appendSpan appends a time between two segments with four digits, cut and not
// rounded: "63 us", "2.578 ms", "491.7 ms", "2.315 s"; from a minute on as
// elsewhere: "2 h 13 min".
func appendSpan(b []byte, d time.Duration) []byte {
	switch {
	case d < 0:
		return appendSpan(append(b, '-'), -max(d, -1<<63+1))
	case d >= time.Minute:
		return vet.AppendDuration(b, d)
	case d >= time.Second:
		return append(appendDecimal(b, d, time.Second), " s"...)
	case d >= time.Millisecond:
		return append(appendDecimal(b, d, time.Millisecond), " ms"...)
	case d >= time.Microsecond || d == 0:
		return append(strconv.AppendInt(b, d.Microseconds(), 10), " us"...)
	}
	return append(strconv.AppendInt(b, d.Nanoseconds(), 10), " ns"...)
}

func maybeSpan(b []byte, d *time.Duration) []byte {
	if d == nil {
		return append(b, '-')
	}
	return appendSpan(b, *d)
}

// appendDecimal appends d in units, of which it has fewer than 1000, with at
// most four digits.
func appendDecimal(b []byte, d, unit time.Duration) []byte {
	whole := d / unit
	b = strconv.AppendInt(b, int64(whole), 10)
	thousandths := d % unit / (unit / 1000)
	switch { // only as many as make four digits
	case whole >= 100:
		thousandths -= thousandths % 100
	case whole >= 10:
		thousandths -= thousandths % 10
	}
	if thousandths == 0 {
		return b
	}
	b = append(b, '.')
	for place := time.Duration(100); thousandths > 0; place /= 10 {
		b = append(b, byte('0'+thousandths/place))
		thousandths %= place
	}
	return b
}

// appendMillis appends milliseconds for a machine, nothing for nil.
func appendMillis(b []byte, d *time.Duration) []byte {
	if d == nil {
		return b
	}
	return strconv.AppendFloat(b, float64(d.Nanoseconds())/1e6, 'f', -1, 64)
}
