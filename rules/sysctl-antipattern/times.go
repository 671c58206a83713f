package sysctlantipattern

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const (
	abortSetting    = "net.ipv4.tcp_abort_on_overflow"
	retriesSetting  = "net.ipv4.tcp_retries2"
	synSetting      = "net.ipv4.tcp_syn_retries"
	probesSetting   = "net.ipv4.tcp_keepalive_probes"
	intervalSetting = "net.ipv4.tcp_keepalive_intvl"

	listenCounter = "TcpExtListenOverflows"
)

// The bounds of the kernel's timer of retransmission (include/net/tcp.h).
const (
	leastRTO  = 200 * time.Millisecond // TCP_RTO_MIN
	firstRTO  = time.Second            // TCP_TIMEOUT_INIT
	longestRT = 120 * time.Second      // TCP_RTO_MAX
)

// patience is how long the kernel waits at the least when it sends again so many
// times, each time after twice as long, as kernel function tcp_model_timeout has
// it; past a day it no longer matters.
func patience(first time.Duration, retries int64) time.Duration {
	var sum time.Duration
	for wait := first; retries >= 0 && sum < vet.Day; retries-- {
		sum += wait
		wait = min(2*wait, longestRT)
	}
	return sum
}

// abort finds resets for clients that come in a burst.
func (s *space) abort() *tcpvet.Finding {
	if on, ok := s.SysctlInt(abortSetting); !ok || on == 0 {
		return nil
	}
	f := s.finding("abort-on-overflow", tcpvet.Info, "a full accept queue resets clients", abortSetting)
	f.Detail = []string{"tcp_abort_on_overflow is 1: a client whose handshake ends while the accept queue is full gets an RST, where it would have got in a moment later."}
	if more := s.rose(listenCounter); more > 0 {
		f.Severity = tcpvet.Warning
		f.Detail = append(f.Detail, "ListenOverflows rose by "+vet.Count(more)+" between the looks: so often a queue was full.")
		f.Evidence = append(f.Evidence, s.counterEvidence("ListenOverflows", listenCounter)...)
	}
	f.Remedies = append(s.set(abortSetting, "0", "the kernel's default: clients try again by themselves"),
		tcpvet.Advise{Code: true, Text: "find why the process does not accept in time", Run: "tcpvet explain accept-queue-full"})
	return f
}

// retries finds connections that end in a short outage.
func (s *space) retries() *tcpvet.Finding {
	n, ok := s.SysctlInt(retriesSetting)
	if !ok || n < 0 || patience(leastRTO, n) >= brief {
		return nil
	}
	wait := patience(leastRTO, n)
	f := s.finding("retries-brief", tcpvet.Info, "an outage of seconds ends connections with data on the way", retriesSetting)
	f.Detail = []string{
		fmt.Sprintf("tcp_retries2 is %d: on a fast path data is sent again for no longer than %s, then the connection ends with ETIMEDOUT.", n, vet.Duration(wait)),
		"RFC 1122 asks for 100 s at the least, which is 8; the kernel's default is 15, some 15 min.",
	}
	f.Numbers = append(f.Numbers, tcpvet.Number{Name: "patience_s", Value: wait.Seconds()})
	f.Remedies = append(s.set(retriesSetting, "8", "what RFC 1122 asks for, 102 s; the kernel's default is 15"),
		tcpvet.Advise{Code: true, Text: "where one program must notice sooner, let it set TCP_USER_TIMEOUT on its own sockets", Run: "tcpvet explain keepalive"})
	return f
}

// keepalive finds probes that give up in a short outage.
func (s *space) keepalive() *tcpvet.Finding {
	probes, ok1 := s.SysctlInt(probesSetting)
	interval, ok2 := s.SysctlInt(intervalSetting)
	if !ok1 || !ok2 || probes <= 0 || interval <= 0 {
		return nil
	}
	if probes > 1 && (probes >= int64(hasty/time.Second) || probes*interval >= int64(hasty/time.Second)) {
		return nil
	}
	borne := min(time.Duration(probes*interval), 24*3600) * time.Second
	f := s.finding("keepalive-hasty", tcpvet.Info, "keepalive ends connections in a short outage", probesSetting, intervalSetting)
	if probes == 1 {
		f.Detail = []string{"tcp_keepalive_probes is 1: one lost probe, or one lost answer, ends an idle connection that is well."}
	} else {
		f.Detail = []string{fmt.Sprintf("%d probes at %d s each: an outage of %s ends idle connections that are well.", probes, interval, vet.Duration(borne))}
	}
	f.Detail = append(f.Detail, "It concerns sockets with SO_KEEPALIVE that set no times of their own.")
	f.Numbers = append(f.Numbers, tcpvet.Number{Name: "borne_outage_s", Value: borne.Seconds()})
	f.Remedies = append(s.set(probesSetting, "9", "the kernel's default: a lost probe is no matter"),
		tcpvet.Advise{Text: "keep an entry of a middlebox alive by tcp_keepalive_time, and leave the probes many", Run: "tcpvet explain keepalive"})
	return f
}

// connect finds a connect() that waits for ever so long.
func (s *space) connect() *tcpvet.Finding {
	n, ok := s.SysctlInt(synSetting)
	if !ok || n < 0 || n > 255 || patience(firstRTO, n) <= endless {
		return nil
	}
	wait := patience(firstRTO, n)
	f := s.finding("connect-endless", tcpvet.Info, "connect() to a host that does not answer takes "+vet.Duration(wait), synSetting)
	f.Detail = []string{
		fmt.Sprintf("tcp_syn_retries is %d: a SYN is sent again for at least %s before connect() fails with ETIMEDOUT, and takes a local port all that time.", n, vet.Duration(wait)),
		"The kernel's default is 6, some two minutes.",
	}
	f.Numbers = append(f.Numbers, tcpvet.Number{Name: "patience_s", Value: wait.Seconds()})
	f.Remedies = append(s.set(synSetting, "6", "the kernel's default"),
		tcpvet.Advise{Code: true, Text: "let the program set a limit of its own for connect()", Run: "tcpvet explain tcp_syn_retries"})
	return f
}
