package sysctlantipattern

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const (
	reuseSetting    = "net.ipv4.tcp_tw_reuse"
	stampsSetting   = "net.ipv4.tcp_timestamps"
	rangeSetting    = "net.ipv4.ip_local_port_range"
	reservedSetting = "net.ipv4.ip_local_reserved_ports"
	bucketsSetting  = "net.ipv4.tcp_max_tw_buckets"
	recycleSetting  = "net.ipv4.tcp_tw_recycle"

	overflowCounter = "TcpExtTCPTimeWaitOverflow"
	restingCounter  = "sockstat.TCP.tw"
)

// reuse finds a reuse that reuses nothing. The default, 2, nobody has set.
func (s *space) reuse() *tcpvet.Finding {
	mode, ok1 := s.SysctlInt(reuseSetting)
	stamps, ok2 := s.SysctlInt(stampsSetting)
	if !ok1 || !ok2 || mode != 1 || stamps != 0 {
		return nil
	}
	f := s.finding("reuse-without-timestamps", tcpvet.Warning, "tcp_tw_reuse does nothing without timestamps", reuseSetting, stampsSetting)
	f.Detail = []string{
		"tcp_tw_reuse is 1 and tcp_timestamps is 0.",
		"The kernel reuses a TIME-WAIT only if its connection had timestamps: for what is opened now, ports come back after 60 s as without the setting.",
	}
	f.Remedies = append(s.set(stampsSetting, "1", "the kernel's default; the peer must have them too"),
		tcpvet.Advise{Text: "see what timestamps do: they also tell old segments from new ones", Run: "tcpvet explain tcp_timestamps"})
	return f
}

// ports finds a range that leaves few ports.
func (s *space) ports() *tcpvet.Finding {
	p := s.Ports
	if p == nil {
		return nil
	}
	size, reserved := p.Size(), p.ReservedInside()
	usable := size - reserved
	if usable <= 0 {
		return nil // port-exhaustion tells of it
	}
	bear := fmt.Sprintf("To one endpoint %s / 60 s = %s when this side closes first.", vet.Counted(usable, "port"), vet.PerSecond(vet.Sustainable(usable)))
	var f *tcpvet.Finding
	switch {
	case size < few:
		f = s.finding("range-tiny", tcpvet.Warning, "the local port range holds "+vet.Counted(size, "port")+" only")
		f.Detail = []string{
			fmt.Sprintf("connect() chooses from %d-%d: %s, of which %s reserved. The kernel's default range has 28,232.",
				p.Low, p.High, vet.Counted(size, "port"), vet.Count(reserved)),
			bear,
		}
		f.Remedies = s.set(rangeSetting, "32768 60999", "the kernel's default; it cures no leak, which would fill that too")
	case float64(reserved) >= most*float64(size):
		f = s.finding("reserved-most", tcpvet.Warning, "most of the local port range is reserved", reservedSetting)
		f.Detail = []string{
			fmt.Sprintf("Of the %s of %d-%d, %s are reserved (%s): connect() leaves them out.",
				vet.Counted(size, "port"), p.Low, p.High, vet.Count(reserved), vet.Percent(float64(reserved)/float64(size))),
			bear,
		}
	default:
		return nil
	}
	f.Numbers[0].Value = 1
	if s.way {
		f.Evidence = append(f.Evidence, vet.PortRangeEvidence(p, s.enter))
	}
	f.Numbers = append(f.Numbers, tcpvet.Number{Name: "usable_ports", Value: float64(usable)}, tcpvet.Number{Name: "reserved_ports", Value: float64(reserved)})
	f.Remedies = append(f.Remedies, tcpvet.Advise{Text: "reserve single ports of your own services, not runs of the range", Run: "tcpvet explain ports"})
	return f
}

// buckets finds TIME-WAITs that had no room.
func (s *space) buckets() *tcpvet.Finding {
	limit, ok := s.SysctlInt(bucketsSetting)
	if !ok {
		return nil
	}
	resting, known := s.Counters[restingCounter]
	dropped, more := s.Counters[overflowCounter], s.rose(overflowCounter)
	atLimit := known && int64(resting) >= limit
	if !atLimit && dropped == 0 {
		return nil
	}
	severity := tcpvet.Info
	if atLimit || more > 0 {
		severity = tcpvet.Warning
	}
	f := s.finding("tw-buckets", severity, "more TIME-WAITs than tcp_max_tw_buckets lets be", bucketsSetting)
	f.Numbers = append(f.Numbers, tcpvet.Number{Name: "dropped_sockets", Value: float64(dropped)})
	if known {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "time_wait_sockets", Value: float64(resting)})
		f.Detail = append(f.Detail, fmt.Sprintf("%s of at most %s are there now.", vet.Counted(resting, "TIME-WAIT"), vet.Count(limit)))
	}
	if dropped > 0 {
		since := "since the namespace began"
		if s.before != nil {
			since += ", " + vet.Count(more) + " of them between the looks"
		}
		f.Detail = append(f.Detail, fmt.Sprintf("%s had no room (TCPTimeWaitOverflow), %s.", vet.Counted(dropped, "connection"), since))
		f.Evidence = append(f.Evidence, s.counterEvidence("connections that got no TIME-WAIT", overflowCounter)...)
	}
	f.Detail = append(f.Detail, "A connection without its TIME-WAIT answers a FIN that the peer sends again by RST, and lets old segments into a new connection.")
	f.Remedies = []tcpvet.Remedy{
		tcpvet.Advise{Text: "let the limit be as the kernel set it at boot, or higher: a TIME-WAIT takes some 250 bytes", Run: "tcpvet explain tcp_max_tw_buckets", May: tcpvet.ChangesKernel},
		tcpvet.Advise{Code: true, Text: "keep connections open and use them again", Run: "tcpvet explain time-wait"},
	}
	return f
}

// recycle finds the setting on a kernel that still has it.
func (s *space) recycle() *tcpvet.Finding {
	if on, ok := s.SysctlInt(recycleSetting); !ok || on == 0 {
		return nil
	}
	f := s.finding("tw-recycle", tcpvet.Warning, "tcp_tw_recycle drops clients that share an address", recycleSetting)
	f.Detail = []string{"With tcp_tw_recycle this kernel drops SYNs whose timestamp is older than the last one from the same address: those of other hosts behind one NAT."}
	f.Remedies = append(s.set(recycleSetting, "0", "the kernel's default; the setting is gone since Linux 4.12"),
		tcpvet.Advise{Text: "see what is safe in its place", Run: "tcpvet explain tcp_tw_reuse"})
	return f
}
