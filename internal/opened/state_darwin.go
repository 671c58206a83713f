package opened

import "golang.org/x/sys/unix"

// states are those of netinet/tcp_fsm.h, as ss prints them.
var states = [...]string{
	"UNCONN", "LISTEN", "SYN-SENT", "SYN-RECV", "ESTAB", "CLOSE-WAIT",
	"FIN-WAIT-1", "CLOSING", "LAST-ACK", "FIN-WAIT-2", "TIME-WAIT",
}

// State gives the word of a state by the kernel's number; "" where it has none.
func State(n uint8) string {
	if int(n) >= len(states) {
		return ""
	}
	return states[n]
}

// lookAt reads tcpi_state of struct tcp_connection_info (netinet/tcp.h), which has no
// time of the last segment.
func lookAt(fd uintptr) Look {
	info, err := unix.GetsockoptTCPConnectionInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_CONNECTION_INFO)
	if err != nil {
		return Look{}
	}
	return Look{State: State(info.State)}
}
