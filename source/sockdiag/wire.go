package sockdiag

import (
	"encoding/binary"

	"github.com/tcpvet/tcpvet"
)

// Numbers of include/uapi/linux/netlink.h, sock_diag.h and inet_diag.h.
const (
	typeNoop        = 1  // NLMSG_NOOP
	typeError       = 2  // NLMSG_ERROR
	typeDone        = 3  // NLMSG_DONE
	typeOverrun     = 4  // NLMSG_OVERRUN
	typeTCP         = 18 // TCPDIAG_GETSOCK
	typeByFamily    = 20 // SOCK_DIAG_BY_FAMILY
	flagRequest     = 0x001
	flagDump        = 0x300 // NLM_F_ROOT | NLM_F_MATCH
	flagDumpIntr    = 0x010
	flagCapped      = 0x100 // NLM_F_CAPPED, in NLMSG_ERROR
	flagTLVs        = 0x200 // NLM_F_ACK_TLVS, in NLMSG_ERROR and NLMSG_DONE
	errAttrMsg      = 1     // NLMSGERR_ATTR_MSG
	reqAttrBytecode = 1     // INET_DIAG_REQ_BYTECODE

	headerLen  = 16 // struct nlmsghdr
	attrLen    = 4  // struct nlattr
	oldReqLen  = 60 // struct inet_diag_req
	newReqLen  = 56 // struct inet_diag_req_v2
	replyLen   = 72 // struct inet_diag_msg
	familyIPv4 = 2
	familyIPv6 = 10 // Linux's AF_INET6
	protoTCP   = 6
)

// Attributes of a reply.
const (
	attrInfo     = 2
	attrShutdown = 8
	attrCgroup   = 21
)

// MaxFilter is the longest Filter that fits a request, in bytes: the length of
// an attribute has 16 bits and its own header is in it.
const MaxFilter = 1<<16 - 1 - attrLen

// Request says which sockets to dump, and how much of each. The zero value
// asks for every TCP socket, IPv4 and IPv6, and for no tcp_info.
type Request struct {
	// States selects by state; 0 is AllStates. Kernels before 6.8 do not
	// know merely bound sockets and ignore that bit. SYN-RECV covers
	// requests and the sockets they become.
	States tcpvet.StateSet

	// Info asks for tcp_info, of the states that have it: not TIME-WAIT,
	// SYN-RECV, merely bound sockets.
	Info bool

	// Filter is a program of struct inet_diag_bc_op that the kernel runs on
	// each socket (INET_DIAG_REQ_BYTECODE); empty selects all. One that the
	// kernel refuses gives EINVAL. It is not longer than MaxFilter.
	Filter []byte
}

// states gives the states asked for, AllStates for 0.
func (r Request) states() tcpvet.StateSet {
	if r.States == 0 {
		return tcpvet.AllStates
	}
	return r.States
}

func (r Request) ext() uint8 {
	if r.Info {
		return 1 << (attrInfo - 1)
	}
	return 0
}

// AppendTo appends the netlink message that asks for both address families in
// one walk of the kernel's tables: TCPDIAG_GETSOCK, the request of before
// Linux 3.3, whose family the kernel ignores in a dump
// (inet_diag_dump_compat). Its sequence number and port ID are 0.
func (r Request) AppendTo(b []byte) []byte { return r.appendTo(b, 0, 0) }

// appendTo is AppendTo with a sequence number and, where family is not 0, the
// newer request SOCK_DIAG_BY_FAMILY for that family only.
func (r Request) appendTo(b []byte, family uint8, seq uint32) []byte {
	start := len(b)
	kind := uint16(typeTCP)
	if family != 0 {
		kind = typeByFamily
	}
	b = binary.NativeEndian.AppendUint32(b, 0) // the length, set at the end
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flagRequest|flagDump)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)

	// The socket's identity stays 0: any ports. A dump ignores the rest of it.
	const identity = 48
	if family == 0 {
		b = append(b, familyIPv4, 0, 0, r.ext())
		b = append(b, make([]byte, identity)...)
		b = binary.NativeEndian.AppendUint32(b, uint32(r.states()))
		b = binary.NativeEndian.AppendUint32(b, 0)
	} else {
		b = append(b, family, protoTCP, r.ext(), 0)
		b = binary.NativeEndian.AppendUint32(b, uint32(r.states()))
		b = append(b, make([]byte, identity)...)
	}
	if len(r.Filter) > 0 {
		b = binary.NativeEndian.AppendUint16(b, uint16(attrLen+len(r.Filter)))
		b = binary.NativeEndian.AppendUint16(b, reqAttrBytecode)
		b = append(b, r.Filter...)
		b = append(b, make([]byte, align(len(r.Filter))-len(r.Filter))...)
	}
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// align rounds up to the 4 bytes that netlink messages and attributes begin at.
func align(n int) int { return (n + 3) &^ 3 }
