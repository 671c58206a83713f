package capture

import "fmt"

// LinkType says what stands before the IP header of a captured packet, by its
// number in the registry of LINKTYPE_ values that pcap and pcapng share
// (draft-ietf-opsawg-pcaplinktype).
type LinkType uint32

// The link types that Decode reads.
const (
	Null      LinkType = 0 // BSD loopback: the address family, in the byte order of the machine that captured
	Ethernet  LinkType = 1
	RawBSD    LinkType = 12 // Raw, as most systems number DLT_RAW
	RawBSDI   LinkType = 14 // Raw, as OpenBSD numbers DLT_RAW
	Raw       LinkType = 101
	Loop      LinkType = 108 // OpenBSD loopback: the address family, in network byte order
	LinuxSLL  LinkType = 113 // Linux "any" interface, first version
	IPv4      LinkType = 228
	IPv6      LinkType = 229
	LinuxSLL2 LinkType = 276 // Linux "any" interface, with interface indexes
)

// Known tells whether Decode reads packets of this type.
func (l LinkType) Known() bool {
	switch l {
	case Null, Ethernet, RawBSD, RawBSDI, Raw, Loop, LinuxSLL, IPv4, IPv6, LinuxSLL2:
		return true
	}
	return false
}

// String gives the registry's name without LINKTYPE_, in small letters, or the
// number.
func (l LinkType) String() string {
	switch l {
	case Null:
		return "null"
	case Ethernet:
		return "ethernet"
	case RawBSD, RawBSDI, Raw:
		return "raw"
	case Loop:
		return "loop"
	case LinuxSLL:
		return "linux_sll"
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	case LinuxSLL2:
		return "linux_sll2"
	}
	return fmt.Sprintf("link type %d", uint32(l))
}
