package sockdiag

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/tcpvet/tcpvet"
)

const (
	// infoMin is the length of struct tcp_info in Linux 2.6, the shortest.
	infoMin = 104
	// infoUsed is the part of struct tcp_info that decodeInfo reads.
	infoUsed = 208

	optTimestamps = 1 // TCPI_OPT_TIMESTAMPS
	optSACK       = 2 // TCPI_OPT_SACK
)

// littleEndian says how the two window scales share their byte: C lays bit
// fields out from the low end on a little-endian machine, else from the high.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// decodeInfo reads struct tcp_info. Older kernels send less of it: what they
// lack is 0.
func decodeInfo(b []byte, i *tcpvet.TCPInfo) error {
	if len(b) < infoMin {
		return fmt.Errorf("decode tcp_info: %d bytes where the shortest has %d: %w", len(b), infoMin, ErrTruncated)
	}
	var padded [infoUsed]byte
	if len(b) < infoUsed {
		copy(padded[:], b)
		b = padded[:]
	}
	b = b[:infoUsed]
	u32 := func(off int) uint32 { return binary.NativeEndian.Uint32(b[off:]) }
	u64 := func(off int) uint64 { return binary.NativeEndian.Uint64(b[off:]) }
	ms := func(off int) time.Duration { return time.Duration(u32(off)) * time.Millisecond }
	us := func(off int) time.Duration { return time.Duration(u32(off)) * time.Microsecond }

	i.Probes = b[3]
	i.Backoff = b[4]
	i.Timestamps = b[5]&optTimestamps != 0
	i.SACK = b[5]&optSACK != 0
	i.SndWScale, i.RcvWScale = b[6]&0xf, b[6]>>4
	if !littleEndian {
		i.SndWScale, i.RcvWScale = i.RcvWScale, i.SndWScale
	}
	i.RTO = us(8)
	i.SndMSS = u32(16)
	i.RcvMSS = u32(20)
	i.Unacked = u32(24)
	i.Lost = u32(32)
	i.Retrans = u32(36)
	i.LastDataSent = ms(44)
	i.LastDataRecv = ms(52)
	i.LastAckRecv = ms(56)
	i.RTT = us(68)
	i.RTTVar = us(72)
	i.SndCwnd = u32(80)
	i.TotalRetrans = u32(100)
	i.BytesAcked = u64(120)
	i.BytesReceived = u64(128)
	i.NotSent = u32(144)
	if u32(148) != math.MaxUint32 { // the kernel's "no sample yet"
		i.MinRTT = us(148)
	}
	i.DeliveryRateBytesS = u64(160)
	i.BusyTime = longMicroseconds(u64(168))
	i.RwndLimited = longMicroseconds(u64(176))
	i.SndBufLimited = longMicroseconds(u64(184))
	i.BytesSent = u64(200)
	return nil
}

// longMicroseconds turns a 64-bit count into a Duration, which ends at 292
// years.
func longMicroseconds(n uint64) time.Duration {
	const most = uint64(math.MaxInt64 / int64(time.Microsecond))
	return time.Duration(min(n, most)) * time.Microsecond
}
