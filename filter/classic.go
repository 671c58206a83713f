package filter

import "encoding/binary"

// Instr is an instruction of the classic packet filter, laid out as the
// kernel's struct sock_filter (include/uapi/linux/filter.h). Jt and Jf are how
// many instructions a jump passes over.
type Instr struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Start is where the bytes begin that a socket hands to its program.
type Start uint8

// The starts. A packet socket of type SOCK_RAW on a link of Ethernet hands over
// the frame, one of type SOCK_DGRAM what follows the link's header, whose
// protocol only the kernel knows (packet(7)).
const (
	AtEthernet Start = iota
	AtNetwork
)

// The instructions that are used, each an operation with its size and mode
// (include/uapi/linux/bpf_common.h). "ld" fills the accumulator, "ldx" the
// index register; an "ind" adds the index to K.
const (
	ldWordInd  = 0x40
	ldHalfInd  = 0x48
	ldByteInd  = 0x50
	ldHalfAbs  = 0x28
	ldMem      = 0x60
	ldxImm     = 0x01
	store      = 0x02
	andImm     = 0x54
	lshImm     = 0x64
	addIndex   = 0x0c
	tax        = 0x07
	jumpAlways = 0x05
	jumpEq     = 0x15
	jumpGt     = 0x25
	jumpGe     = 0x35
	jumpSet    = 0x45
	giveBack   = 0x06
)

// protocolOf is the offset at which the kernel gives the EtherType of a packet
// without its link header: SKF_AD_OFF + SKF_AD_PROTOCOL of the same file.
const protocolOf = 1<<32 - 0x1000

// maxInstructions is the kernel's bound (BPF_MAXINSNS), less some for what the
// owner of the socket puts in front.
const maxInstructions = 4096 - 16

// wholePacket is how much of a packet is asked for.
const wholePacket = 1<<32 - 1

// What the program keeps of a packet while it judges: addresses in words, the
// most significant first, and ports. An IPv4 address is the last word of its
// four.
const (
	slotSrc  = 0
	slotDst  = 4
	slotPort = 8 // that of the source, then that of the destination
)

// Classic gives a program with which the kernel leaves out packets that Match
// does not select, and all that are no TCP segments. It takes every segment that
// Match selects. Beyond these it takes what it cannot look into: packets whose
// TCP header comes after an extension header of IPv6 or an authentication
// header, whatever they carry; those with more than two VLAN tags; and, where
// the bytes begin at the network header, those whose protocol is a VLAN tag. A
// later fragment, which has no ports, is left out.
//
// exact is false where the filter would be too long for the kernel: then the
// program takes all TCP segments.
func (f *PacketFilter) Classic(start Start) (program []Instr, exact bool) {
	var e Expr = And{}
	if !f.All() {
		e = f.expr
	}
	if p := classic(e, start); len(p) <= maxInstructions {
		return p, true
	}
	return classic(And{}, start), false
}

// Numbers on the wire: EtherTypes (IEEE 802) and IP protocols (IANA).
const (
	protoTCP = 6
	protoAH  = 51
)

var (
	etherIPs   = []uint32{0x0800, 0x86dd}
	etherVLANs = []uint32{0x8100, 0x88a8, 0x9100}
	// The headers that IPv6 may have before TCP (RFC 8200 section 4.1, RFC
	// 4302, 6275, 7401, 5533).
	extensions = []uint32{0, 43, 44, protoAH, 60, 135, 139, 140}
)

func classic(e Expr, start Start) []Instr {
	var a assembler
	no := a.put(Instr{Code: giveBack})
	yes := a.put(Instr{Code: giveBack, K: wholePacket})
	v6 := a.ipv6(e, yes, no)
	v4 := a.ipv4(e, yes, no)
	// The version decides, as it does for who reads the packet later.
	a.test(jumpEq, 0x60, v6, no)
	a.test(jumpEq, 0x40, v4, a.here())
	a.put(Instr{Code: andImm, K: 0xf0})
	version := a.put(Instr{Code: ldByteInd})
	if start == AtNetwork {
		network := a.put(Instr{Code: ldxImm})
		a.oneOf(etherVLANs, yes, no)
		a.oneOf(etherIPs, network, a.here())
		a.put(Instr{Code: ldHalfAbs, K: protocolOf})
		return a.program()
	}
	const ethernet, tag = 14, 4
	next := yes // of a packet with more tags than are looked through
	for header := uint32(ethernet + 2*tag); header >= ethernet; header -= tag {
		a.goTo(version)
		network := a.put(Instr{Code: ldxImm, K: header})
		a.oneOf(etherVLANs, next, no)
		a.oneOf(etherIPs, network, a.here())
		next = a.put(Instr{Code: ldHalfAbs, K: header - 2})
	}
	return a.program()
}

// ipv4 judges the packet whose IPv4 header the index register points at.
func (a *assembler) ipv4(e Expr, yes, no label) label {
	a.goTo(a.ends(e, false, yes, no))
	a.keep(ldHalfInd, 2, slotPort+1)
	a.keep(ldHalfInd, 0, slotPort)
	a.put(Instr{Code: tax}) // the header is as long as it says
	a.put(Instr{Code: addIndex})
	a.put(Instr{Code: lshImm, K: 2})
	a.put(Instr{Code: andImm, K: 0x0f})
	a.put(Instr{Code: ldByteInd})
	a.keep(ldWordInd, 16, slotDst+3)
	tcp := a.keep(ldWordInd, 12, slotSrc+3)
	a.test(jumpEq, protoAH, yes, no)
	a.test(jumpEq, protoTCP, tcp, a.here())
	protocol := a.put(Instr{Code: ldByteInd, K: 9})
	const offset = 0x1fff
	a.test(jumpSet, offset, no, protocol)
	return a.put(Instr{Code: ldHalfInd, K: 6})
}

// ipv6 judges the packet whose IPv6 header the index register points at.
func (a *assembler) ipv6(e Expr, yes, no label) label {
	a.goTo(a.ends(e, true, yes, no))
	a.keep(ldHalfInd, 42, slotPort+1)
	tcp := a.keep(ldHalfInd, 40, slotPort)
	for i := range uint32(8) {
		tcp = a.keep(ldWordInd, 8+4*i, slotSrc+i)
	}
	a.oneOf(extensions, yes, no)
	a.test(jumpEq, protoTCP, tcp, a.here())
	return a.put(Instr{Code: ldByteInd, K: 6})
}

// ends judges the sender as the local end, then the receiver.
func (a *assembler) ends(e Expr, v6 bool, yes, no label) label {
	src, dst := side{slotSrc, slotPort}, side{slotDst, slotPort + 1}
	back := a.condition(e, pair{dst, src, v6}, yes, no)
	return a.condition(e, pair{src, dst, v6}, yes, back)
}

// side is where the address and the port of an end are kept.
type side struct{ addr, port uint32 }

type pair struct {
	local, remote side
	v6            bool
}

func (p *pair) at(e End) side {
	if e == Local {
		return p.local
	}
	return p.remote
}

// condition goes to yes where e holds, else to no.
func (a *assembler) condition(e Expr, p pair, yes, no label) label {
	switch e := e.(type) {
	case And:
		for i := len(e) - 1; i >= 0; i-- {
			yes = a.condition(e[i], p, yes, no)
		}
		return yes
	case Or:
		for i := len(e) - 1; i >= 0; i-- {
			no = a.condition(e[i], p, yes, no)
		}
		return no
	case Not:
		return a.condition(e.X, p, no, yes)
	case Host:
		return a.host(e, p, yes, no)
	case Port:
		return a.port(e.Op, p.at(e.End), e.Port, yes, no)
	}
	return yes // no such term is let in: Packets
}

func (a *assembler) host(e Host, p pair, yes, no label) label {
	at := p.at(e.End)
	if addr := e.Prefix.Addr(); e.Prefix.IsValid() && (p.v6 || addr.Is4()) {
		as16, bits := addr.As16(), e.Prefix.Bits()
		first := 0
		if addr.Is4() {
			bits += 96 // an IPv4-mapped address of IPv6, or only its last word
			if !p.v6 {
				first = 3
			}
		}
		for i := 3; i >= first; i-- {
			if n := min(bits-32*i, 32); n > 0 {
				yes = a.word(at.addr+uint32(i), binary.BigEndian.Uint32(as16[4*i:]), n, yes, no)
			}
		}
	} else if e.Prefix.IsValid() {
		yes = no
	}
	if e.HasPort {
		return a.port(Eq, at, e.Port, yes, no)
	}
	return yes
}

// word compares the first bits of a word that is kept.
func (a *assembler) word(slot, value uint32, bits int, yes, no label) label {
	a.test(jumpEq, value, yes, no)
	if bits < 32 {
		a.put(Instr{Code: andImm, K: ^uint32(0) << (32 - bits)})
	}
	return a.put(Instr{Code: ldMem, K: slot})
}

func (a *assembler) port(o Op, at side, port uint16, yes, no label) label {
	code := uint16(jumpEq)
	switch o {
	case Ne:
		yes, no = no, yes
	case Gt:
		code = jumpGt
	case Le:
		code, yes, no = jumpGt, no, yes
	case Ge:
		code = jumpGe
	case Lt:
		code, yes, no = jumpGe, no, yes
	}
	a.test(code, uint32(port), yes, no)
	return a.put(Instr{Code: ldMem, K: at.port})
}
