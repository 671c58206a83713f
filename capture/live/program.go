package live

import "github.com/tcpvet/tcpvet/filter"

// What the program of a socket may ask of a packet beside its bytes
// (include/uapi/linux/filter.h), and the answers that matter here
// (if_packet.h, if_arp.h).
const (
	ancillary      = 1<<32 - 0x1000 // SKF_AD_OFF
	askPacketType  = ancillary + 4
	askLinkType    = ancillary + 28
	typeOutgoing   = 4
	hardwareLoop   = 772
	loadWord       = 0x20
	jumpEqual      = 0x15
	returnConstant = 0x06
)

// program gives what the kernel runs on each packet: f, with two additions. A
// packet over loopback passes the interface twice, on its way out and on its way
// in; it is taken on its way in, as libpcap does. And of what is taken snapLen
// bytes are kept.
func program(f *filter.PacketFilter, start filter.Start, snapLen uint32) []filter.Instr {
	judge, _ := f.Classic(start)
	p := append([]filter.Instr{
		{Code: loadWord, K: askPacketType},
		{Code: jumpEqual, Jf: 3, K: typeOutgoing},
		{Code: loadWord, K: askLinkType},
		{Code: jumpEqual, Jf: 1, K: hardwareLoop},
		{Code: returnConstant},
	}, judge...)
	for i := range p {
		if p[i].Code == returnConstant {
			p[i].K = min(p[i].K, snapLen)
		}
	}
	return p
}

// nothing takes no packet.
var nothing = []filter.Instr{{Code: returnConstant}}
