package opened

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// states are those of include/net/tcp_states.h, as ss prints them.
var states = [...]string{
	1: "ESTAB", 2: "SYN-SENT", 3: "SYN-RECV", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT",
	7: "UNCONN", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: "LISTEN", 11: "CLOSING",
}

// State gives the word of a state by the kernel's number; "" where it has none.
func State(n uint8) string {
	if int(n) >= len(states) {
		return ""
	}
	return states[n]
}

// lookAt reads the state, the first byte of struct tcp_info, and of a CLOSE-WAIT
// tcpi_last_ack_recv and tcpi_bytes_acked (include/uapi/linux/tcp.h) and SIOCINQ (tcp(7)).
func lookAt(fd uintptr) Look {
	word, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return Look{}
	}
	var raw [4]byte
	binary.NativeEndian.PutUint32(raw[:], uint32(word))
	l := Look{State: State(raw[0])}
	if l.State != "CLOSE-WAIT" {
		return l
	}
	if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		l.Since = time.Duration(info.Last_ack_recv) * time.Millisecond
		l.Acked = info.Bytes_acked
	}
	if n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil {
		l.Unread = n
	}
	return l
}
