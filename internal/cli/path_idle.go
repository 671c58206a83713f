package cli

import (
	"net/netip"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// pathLimit reads a value of --path-idle: 350s, 10.0.3.7=350s or 10.0.0.0/8=4m.
func pathLimit(word string) (tcpvet.PathLimit, error) {
	var l tcpvet.PathLimit
	peers, idle, narrowed := strings.Cut(word, "=")
	if !narrowed {
		idle = word
	}
	var err error
	if l.Idle, err = time.ParseDuration(idle); err != nil || l.Idle <= 0 {
		return l, usage("--path-idle %q: %q is no duration above 0, such as 350s or 4m", word, idle)
	}
	if !narrowed {
		return l, nil
	}
	if strings.Contains(peers, "/") {
		l.Remote, err = netip.ParsePrefix(peers)
	} else {
		var peer netip.Addr
		if peer, err = netip.ParseAddr(peers); err == nil {
			peer = peer.Unmap().WithZone("")
			l.Remote = netip.PrefixFrom(peer, peer.BitLen())
		}
	}
	// A prefix of mapped addresses contains none: peers are told as IPv4.
	if err != nil || l.Remote.Addr().Is4In6() {
		return l, usage("--path-idle %q: %q is neither an address nor a prefix, such as 10.0.3.7 or 10.0.0.0/8", word, peers)
	}
	l.Remote = l.Remote.Masked()
	return l, nil
}
