package procfs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// settings are the names below /proc/sys that a look reads, with slashes
// (Documentation/networking/ip-sysctl.rst). Some exist only in the first
// network namespace, some only in newer kernels. Those of one folder stand
// together.
var portSettings = []string{"net/ipv4/ip_local_port_range", "net/ipv4/ip_local_reserved_ports"}

var settings = []string{
	"net/ipv4/ip_local_port_range",
	"net/ipv4/ip_local_reserved_ports",
	"net/ipv4/ip_nonlocal_bind",
	"net/ipv4/tcp_abort_on_overflow",
	"net/ipv4/tcp_autocorking",
	"net/ipv4/tcp_ecn",
	"net/ipv4/tcp_fin_timeout",
	"net/ipv4/tcp_keepalive_intvl",
	"net/ipv4/tcp_keepalive_probes",
	"net/ipv4/tcp_keepalive_time",
	"net/ipv4/tcp_max_orphans",
	"net/ipv4/tcp_max_syn_backlog",
	"net/ipv4/tcp_max_tw_buckets",
	"net/ipv4/tcp_mem",
	"net/ipv4/tcp_orphan_retries",
	"net/ipv4/tcp_retries1",
	"net/ipv4/tcp_retries2",
	"net/ipv4/tcp_rto_max_ms",
	"net/ipv4/tcp_rfc1337",
	"net/ipv4/tcp_syn_linear_timeouts",
	"net/ipv4/tcp_syn_retries",
	"net/ipv4/tcp_synack_retries",
	"net/ipv4/tcp_syncookies",
	"net/ipv4/tcp_timestamps",
	"net/ipv4/tcp_tw_recycle",
	"net/ipv4/tcp_tw_reuse",
	"net/ipv4/tcp_tw_reuse_delay",
	"net/ipv6/bindv6only",
	"net/ipv6/ip_nonlocal_bind",
	"net/ipv6/conf/all/disable_ipv6",
	"net/ipv6/conf/default/disable_ipv6",
	"net/ipv6/conf/lo/disable_ipv6",
	"net/core/somaxconn",
}

// ParsePorts reads the settings net.ipv4.ip_local_port_range (two ports) and
// net.ipv4.ip_local_reserved_ports (ports and runs of ports, "8080,9148-9150",
// or nothing).
func ParsePorts(portRange, reserved string) (*tcpvet.Ports, error) {
	low, high, ok := portPair(strings.Fields(portRange))
	if !ok {
		return nil, fmt.Errorf("parse port range %.40q: expected two ports, the lower one first", portRange)
	}
	p := &tcpvet.Ports{Low: low, High: high}
	reserved = strings.TrimSpace(reserved)
	if reserved == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(reserved, ",") {
		from, to, isRun := strings.Cut(part, "-")
		if !isRun {
			to = from
		}
		low, high, ok := portPair([]string{from, to})
		if !ok {
			return nil, fmt.Errorf("parse reserved ports: %.40q is neither a port nor a run of ports", part)
		}
		p.Reserved.Add(low, high)
	}
	return p, nil
}

func portPair(fields []string) (low, high uint16, ok bool) {
	if len(fields) != 2 {
		return 0, 0, false
	}
	a, okA := decimal([]byte(fields[0]))
	b, okB := decimal([]byte(fields[1]))
	if !okA || !okB || b > 1<<16-1 || a > b {
		return 0, 0, false
	}
	return uint16(a), uint16(b), true
}

// PortsOf reads the ports from settings by dotted name, as Sysctls gives them.
// It is nil where the range is not among them.
func PortsOf(sysctls map[string]string) (*tcpvet.Ports, error) {
	portRange, ok := sysctls["net.ipv4.ip_local_port_range"]
	if !ok {
		return nil, nil
	}
	reserved, ok := sysctls["net.ipv4.ip_local_reserved_ports"]
	if !ok {
		return nil, errors.New("parse reserved ports: net.ipv4.ip_local_reserved_ports is not known")
	}
	return ParsePorts(portRange, reserved)
}
