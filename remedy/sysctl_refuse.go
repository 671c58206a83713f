package remedy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// space is what is known of a network namespace whose settings are to be changed.
type space struct {
	id       tcpvet.NetnsID
	now      map[string]string // settings by dotted name; missing where the kernel has none of the name
	wanted   map[string]string // what the plan sets
	findings []tcpvet.Finding  // about this namespace
	census   *tcpvet.Census    // nil where nobody has looked
}

// Documentation/networking/ip-sysctl.rst, and the kernel functions named.
const (
	recycleWhy = "it is gone since Linux 4.12, for it broke clients behind NAT, and sysctl -p fails with it; tcp_tw_reuse is the one for clients"
	finWhy     = "it ends FIN-WAIT-2 that no process holds; TIME-WAIT lasts 60 s, which is compiled in (TCP_TIMEWAIT_LEN)"
	trackWhy   = "it is about the table of connection tracking; the TIME-WAITs of the TCP stack, which take the ports, are not in it"
)

// refusal says why a setting is not to be set so, "" where nothing speaks against it.
func (s *space) refusal(name, value string) string {
	switch name {
	case "net.ipv4.tcp_tw_recycle":
		if value != "0" {
			return recycleWhy
		}
	case "net.ipv4.tcp_fin_timeout":
		if !s.found("fin-wait-2-pileup") && !s.found("orphan-pressure") {
			return finWhy + "; no pile of FIN-WAIT-2 was found here"
		}
	case "net.netfilter.nf_conntrack_tcp_timeout_time_wait", "net.netfilter.nf_conntrack_tcp_timeout_fin_wait",
		"net.netfilter.nf_conntrack_tcp_timeout_close_wait", "net.netfilter.nf_conntrack_tcp_timeout_close":
		if !s.found("conntrack-pressure") {
			return trackWhy + "; that table was not found to be full"
		}
	case reuseSetting:
		stamps, known := s.after(stampsSetting)
		if value != "0" && known && stamps == "0" {
			return "without timestamps no TIME-WAIT is reused: set " + stampsSetting + "=1 as well, at both ends"
		}
	case stampsSetting:
		if reuse, _ := s.after(reuseSetting); value == "0" && (reuse == "1" || s.found("time-wait-pressure") || s.found("port-exhaustion")) {
			return "without timestamps no TIME-WAIT is reused, and old segments are not told from new ones (PAWS, RFC 7323)"
		}
	case bucketsSetting:
		return s.refuseBuckets(value)
	case rangeSetting, reservedSetting:
		return s.refusePorts()
	}
	return ""
}

// found tells whether a rule has found something in the namespace.
func (s *space) found(rule string) bool {
	return slices.ContainsFunc(s.findings, func(f tcpvet.Finding) bool { return f.Rule == rule })
}

// after gives what a setting will be.
func (s *space) after(name string) (string, bool) {
	if v, ok := s.wanted[name]; ok {
		return v, true
	}
	v, ok := s.now[name]
	return v, ok
}

func (s *space) refuseBuckets(value string) string {
	now, err1 := strconv.Atoi(s.now[bucketsSetting])
	to, err2 := strconv.Atoi(value)
	if err1 == nil && err2 == nil && to < now {
		return fmt.Sprintf("a limit under %d ends TIME-WAITs early (TCPTimeWaitOverflow): a late segment can then reach a new connection", now)
	}
	return ""
}

// refusePorts judges the range and the reserved ports as they will be together.
func (s *space) refusePorts() string {
	for _, setting := range [...]string{rangeSetting, reservedSetting} {
		if _, ok := s.after(setting); !ok {
			return "" // the kernel is asked
		}
	}
	before, room, err := s.room()
	if err != nil {
		return err.Error()
	}
	if room <= 0 {
		return "no port is left to choose: the reserved ports cover the range, and every connect() would fail with EADDRNOTAVAIL"
	}
	if before < 0 {
		return ""
	}
	if room > before {
		if f := s.feeds(); f != nil {
			return fmt.Sprintf("%s speaks against it (%s; %.0f of %.0f ports): more ports only delay the end; cure the leak first: tcpvet explain %s",
				leakRule, oneBlank(f.Title), number(f, leakTakes), number(f, leakOf), leakRule)
		}
	}
	if room < before {
		if tuple, taken := s.fullest(); taken >= uint64(room) {
			return fmt.Sprintf("%d ports are taken toward %s, and %d would be left to choose from: new connections would fail with EADDRNOTAVAIL", taken, tuple.Remote, room)
		}
	}
	return ""
}

// room gives how many ports there are to choose from, -1 where that cannot be told, and
// how many there will be.
func (s *space) room() (before, after int, err error) {
	portRange, _ := s.after(rangeSetting)
	reserved, _ := s.after(reservedSetting)
	to, err := procfs.ParsePorts(portRange, reserved)
	if err != nil {
		return -1, 0, err
	}
	before = -1
	if now, err := procfs.ParsePorts(s.now[rangeSetting], s.now[reservedSetting]); err == nil {
		before = now.Size() - now.ReservedInside()
	}
	return before, to.Size() - to.ReservedInside(), nil
}

// fullest gives the tuple of the namespace that has most ports taken.
func (s *space) fullest() (most tcpvet.Tuple, taken uint64) {
	if s.census == nil {
		return most, 0
	}
	for t, b := range s.census.Tuples {
		if n := b.Total(); t.Netns == s.id && (n > taken || n == taken && t.Compare(most) < 0) {
			most, taken = t, n
		}
	}
	return most, taken
}

// listening gives ports on which something listens, inside the range as it will be
// and not before, and not reserved: connect() could take them while their service
// restarts.
func (s *space) listening() []netip.AddrPort {
	portRange, _ := s.after(rangeSetting)
	reserved, _ := s.after(reservedSetting)
	to, err1 := procfs.ParsePorts(portRange, reserved)
	now, err2 := procfs.ParsePorts(s.now[rangeSetting], s.now[reservedSetting])
	if s.census == nil || err1 != nil || err2 != nil {
		return nil
	}
	var all []netip.AddrPort
	for l := range s.census.Listeners {
		if p := l.Local.Port(); l.Netns == s.id && to.Contains(p) && !to.Reserved.Has(p) && !now.Contains(p) {
			all = append(all, l.Local)
		}
	}
	slices.SortFunc(all, func(a, b netip.AddrPort) int { return int(a.Port()) - int(b.Port()) })
	return slices.CompactFunc(all, func(a, b netip.AddrPort) bool { return a.Port() == b.Port() })
}

// notes says what the settings of the plan do not do, and what to mind.
func (s *space) notes(name, value string) []string {
	var out []string
	if text := limits[name]; text != "" {
		out = append(out, name+": "+text+".")
	}
	if s.morePorts() {
		for _, f := range s.findings {
			if takesPorts(&f) {
				out = append(out, fmt.Sprintf("%s: %s: the leak fills any range in the end, and is to be cured in any case.", leakRule, oneBlank(f.Title)))
			}
		}
	}
	if name != rangeSetting {
		return out
	}
	if p, err := procfs.ParsePorts(value, ""); err == nil && p.Low%2 == p.High%2 {
		out = append(out, name+": the kernel wants one end even and the other odd, and warns in its log otherwise.")
	}
	if s.census == nil {
		out = append(out, name+": nobody has looked which ports are taken and which are listened on.")
	}
	if all := s.listening(); len(all) > 0 {
		const shown = 5
		var words []string
		for _, l := range all[:min(shown, len(all))] {
			words = append(words, l.String())
		}
		if n := len(all) - shown; n > 0 {
			words = append(words, fmt.Sprintf("%d more", n))
		}
		out = append(out, fmt.Sprintf("%s: connect() may take the ports of services while they restart: reserve those of %s first, by %s.", name, strings.Join(words, ", "), reservedSetting))
	}
	return out
}

// limits says of settings what they do not do.
var limits = map[string]string{
	rangeSetting:                         "connections that are open keep their ports; a leak fills any range; each namespace has a range of its own",
	reservedSetting:                      "it keeps ports from automatic choice alone: a program that names one in bind() still gets it",
	reuseSetting:                         "it helps the end that connects, where both ends use timestamps; it does nothing for CLOSE-WAIT, for FIN-WAIT-2, for bind(), or for a server's TIME-WAITs",
	"net.ipv4.tcp_tw_reuse_delay":        "it is for connections that tcp_tw_reuse covers",
	stampsSetting:                        "it is agreed upon as a connection opens: those that are open stay as they are, and the other end must have it too",
	"net.ipv4.tcp_fin_timeout":           "it does not shorten TIME-WAIT, nor FIN-WAIT-2 that a process still holds",
	bucketsSetting:                       "it is a limit, no cure: TIME-WAITs take ports and a little memory whatever it is",
	"net.ipv4.tcp_keepalive_time":        "it does nothing for sockets without SO_KEEPALIVE, nor for those that set TCP_KEEPIDLE",
	"net.ipv4.tcp_keepalive_intvl":       "it does nothing for sockets without SO_KEEPALIVE, nor for those that set TCP_KEEPINTVL",
	"net.ipv4.tcp_keepalive_probes":      "it does nothing for sockets without SO_KEEPALIVE, nor for those that set TCP_KEEPCNT",
	"net.ipv4.tcp_retries2":              "it ends connections with data in flight alone: an idle one sends nothing that could be retried",
	"net.core.somaxconn":                 "it is read by listen(): a service takes it when it listens anew, and not beyond the backlog that it asks for",
	"net.ipv4.tcp_max_syn_backlog":       "the accept queue, which net.core.somaxconn and listen() bound, is another one",
	"net.netfilter.nf_conntrack_max":     "it is one limit for the whole host, and more entries take more memory of the kernel",
	"net.ipv6.conf.all.disable_ipv6":     "it changes every interface of the namespace; static addresses that go with it do not come back",
	"net.ipv6.conf.lo.disable_ipv6":      "lo must be up to have ::1",
	"net.ipv6.conf.default.disable_ipv6": "it is for interfaces that are made from now on",
}
