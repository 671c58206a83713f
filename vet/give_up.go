package vet

import (
	"math/bits"
	"time"

	"github.com/tcpvet/tcpvet"
)

// How the kernel counts its waiting (include/net/tcp.h and net/ipv4/tcp_timer.c).
const (
	minRTO = 200 * time.Millisecond // TCP_RTO_MIN
	maxRTO = 2 * time.Minute        // TCP_RTO_MAX, net.ipv4.tcp_rto_max_ms where it exists
	synRTO = time.Second            // TCP_TIMEOUT_INIT

	// orphanRetries is what tcp_orphan_retries 0 means (tcp_orphan_retries()).
	orphanRetries = 8
)

// LongestRTO is the most that lies between two retransmissions in the namespace.
func LongestRTO(n *tcpvet.Netns) time.Duration {
	if ms, ok := n.SysctlInt("net.ipv4.tcp_rto_max_ms"); ok && ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return maxRTO
}

// Late is d with what a timer of the kernel can be late: an eighth (LVL_CLK_DIV in
// kernel/time/timer.c).
func Late(d time.Duration) time.Duration { return d + d/8 }

// DataGivesUp is for how long after its first retransmission the kernel goes on with
// data that nobody acknowledges. It ends the connection when the next retransmission
// is due after that. ok is false where the setting is not known.
func DataGivesUp(n *tcpvet.Netns) (after time.Duration, ok bool) {
	retries, ok := n.SysctlInt("net.ipv4.tcp_retries2")
	if !ok || retries < 0 {
		return 0, false
	}
	return modelTimeout(n, retries), true
}

// OrphanGivesUp is DataGivesUp for what no process holds any more, such as LAST-ACK,
// while its retransmissions have not come to lie LongestRTO apart.
func OrphanGivesUp(n *tcpvet.Netns) (after time.Duration, ok bool) {
	retries, ok := n.SysctlInt("net.ipv4.tcp_orphan_retries")
	if !ok || retries < 0 {
		return 0, false
	}
	if retries == 0 {
		retries = orphanRetries
	}
	return modelTimeout(n, retries), true
}

// modelTimeout is how long so many retransmissions take if the first comes after
// minRTO: kernel function tcp_model_timeout.
func modelTimeout(n *tcpvet.Netns, retries int64) time.Duration {
	longest := LongestRTO(n)
	doublings := int64(bits.Len64(uint64(max(longest/minRTO, 1))) - 1)
	if retries <= doublings {
		return (2<<retries - 1) * minRTO
	}
	return (2<<doublings-1)*minRTO + time.Duration(retries-doublings)*longest
}

// ConnectGivesUp is how long connect() takes until it fails with ETIMEDOUT where
// nothing answers; timers may be Late. ok is false where the settings are not known.
func ConnectGivesUp(n *tcpvet.Netns) (after time.Duration, ok bool) {
	retries, ok := n.SysctlInt("net.ipv4.tcp_syn_retries")
	if !ok || retries < 0 {
		return 0, false
	}
	linear, _ := n.SysctlInt("net.ipv4.tcp_syn_linear_timeouts") // 0 before Linux 6.5
	return time.Duration(max(linear, 0))*synRTO + doubled(n, retries), true
}

// HandshakeGivesUp is the most that a listener's kernel waits for the ACK that
// completes a handshake: less where half of the queue is taken.
func HandshakeGivesUp(n *tcpvet.Netns) (after time.Duration, ok bool) {
	retries, ok := n.SysctlInt("net.ipv4.tcp_synack_retries")
	if !ok || retries < 0 {
		return 0, false
	}
	return doubled(n, retries), true
}

// doubled sums the waits of a SYN or SYN-ACK that is sent again so often.
func doubled(n *tcpvet.Netns, retries int64) time.Duration {
	longest := LongestRTO(n)
	var sum time.Duration
	wait := synRTO
	for range retries + 1 {
		sum += wait
		wait = min(2*wait, longest)
	}
	return sum
}
