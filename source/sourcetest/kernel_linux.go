package sourcetest

import (
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
)

// told is what the kernel tells the owner of a descriptor.
type told struct {
	info     tcpvet.TCPInfo
	in, out  uint32 // bytes, by SIOCINQ and SIOCOUTQ
	segments uint64 // sent and received since it was made
}

// ask asks about every socket that has a descriptor, by its key.
func (st *stage) ask() map[string]told {
	st.Helper()
	all := make(map[string]told)
	for _, s := range st.all {
		if !s.held() {
			continue
		}
		k, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		st.must(err)
		t := told{info: named(k), segments: uint64(k.Segs_out) + uint64(k.Segs_in)}
		if s.asked && s.state != tcpvet.BoundInactive {
			in, err := unix.IoctlGetInt(s.fd, unix.SIOCINQ)
			st.must(err)
			out, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
			st.must(err)
			t.in, t.out = uint32(in), uint32(out)
		}
		all[key(s.local, s.remote)] = t
	}
	return all
}

// named gives the fields of struct tcp_info (include/uapi/linux/tcp.h) the names
// and units of the vocabulary.
func named(k *unix.TCPInfo) tcpvet.TCPInfo {
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	us := func(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
	const (
		timestamps = 1 // TCPI_OPT_TIMESTAMPS
		sack       = 2 // TCPI_OPT_SACK
		none       = 1<<32 - 1
	)
	// Two bit fields of four bits, which x/sys leaves out.
	scales := (*[8]byte)(unsafe.Pointer(k))[6]
	i := tcpvet.TCPInfo{
		LastDataSent: ms(k.Last_data_sent), LastDataRecv: ms(k.Last_data_recv), LastAckRecv: ms(k.Last_ack_recv),
		RTT: us(uint64(k.Rtt)), RTTVar: us(uint64(k.Rttvar)), RTO: us(uint64(k.Rto)),
		Unacked: k.Unacked, Lost: k.Lost, Retrans: k.Retrans, TotalRetrans: k.Total_retrans,
		Backoff: k.Backoff, Probes: k.Probes, SndCwnd: k.Snd_cwnd,
		BytesSent: k.Bytes_sent, BytesAcked: k.Bytes_acked, BytesReceived: k.Bytes_received,
		Timestamps: k.Options&timestamps != 0, SACK: k.Options&sack != 0,
		SndWScale: scales & 0xf, RcvWScale: scales >> 4, // little-endian, as every machine that tests run on
		SndMSS: k.Snd_mss, RcvMSS: k.Rcv_mss, NotSent: k.Notsent_bytes,
		BusyTime: us(k.Busy_time), RwndLimited: us(k.Rwnd_limited), SndBufLimited: us(k.Sndbuf_limited),
		DeliveryRateBytesS: k.Delivery_rate,
	}
	if k.Min_rtt != none {
		i.MinRTT = us(uint64(k.Min_rtt))
	}
	return i
}

// ownCgroup gives the ID of this process's cgroup 2: the inode of its folder
// (cgroup_id in include/linux/cgroup.h). ok is false where none is mounted.
func (st *stage) ownCgroup() (id uint64, ok bool) {
	st.Helper()
	mount, err := kernel.CgroupV2Mount()
	if err != nil {
		return 0, false
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	st.must(err)
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			var stat unix.Stat_t
			st.must(unix.Stat(filepath.Join(mount, path), &stat))
			return stat.Ino, true
		}
	}
	return 0, false
}
