package filter

import (
	"encoding/binary"
	"net/netip"
)

// The operations of a program (include/uapi/linux/inet_diag.h, struct
// inet_diag_bc_op). All but JMP, which needs none, are conditions: one that
// holds goes on behind itself, one that does not goes forward by its "no".
// A program that ends exactly at its length takes the socket, one that ends
// four bytes beyond it leaves the socket out (net/ipv4/inet_diag.c,
// inet_diag_bc_run). INET_DIAG_BC_S_EQ and D_EQ do the same as S_COND and
// D_COND with a port alone and are younger: they are not used.
const (
	bcJmp   = 1
	bcSGe   = 2
	bcSLe   = 3
	bcDGe   = 4
	bcDLe   = 5
	bcSCond = 7
	bcDCond = 8
)

// Lengths of the operations in bytes.
const (
	opSize   = 4 // struct inet_diag_bc_op
	portSize = opSize + opSize
	hostSize = opSize + 8 // and struct inet_diag_hostcond, without its address
)

// maxProgram bounds a program, in bytes. The attribute that carries it ends at
// 64 KB, and the kernel's audit (inet_diag_bc_audit) takes time by the square
// of the length.
const maxProgram = 32 << 10

// Address families as Linux numbers them.
const (
	afUnspec = 0
	afInet   = 2
	afInet6  = 10
)

// compile gives a program that takes at least the sockets for which e is True;
// nil where the kernel could leave out none.
func compile(e Expr) []byte {
	c := condition(e, true)
	if c.always() || c.size() > maxProgram {
		return nil
	}
	program := make([]byte, 0, c.size())
	return c.emit(program, c.size()+opSize)
}

// cond is a condition that the kernel can judge: it goes on behind itself
// where it holds and to the byte "no" of the program where it does not.
type cond interface {
	size() int
	emit(program []byte, no int) []byte
	always() bool
}

// condition gives what the kernel can know of e being True, or False where
// want is false: a condition that holds wherever e is that, and maybe
// elsewhere.
func condition(e Expr, want bool) cond {
	switch e := e.(type) {
	case And:
		return conditions(e, want, want)
	case Or:
		return conditions(e, want, !want)
	case Not:
		return condition(e.X, !want)
	case Host:
		return hostCondition(e, want)
	case Port:
		return portCondition(e, want)
	}
	return every{} // not for the kernel to judge: every socket may be meant
}

// conditions joins those of the parts, by "and" if all have to hold.
func conditions(parts []Expr, want, all bool) cond {
	joined := make([]cond, 0, len(parts))
	for _, e := range parts {
		c := condition(e, want)
		switch {
		case !c.always():
			joined = append(joined, c)
		case !all:
			return every{}
		}
	}
	switch {
	case len(joined) == 1:
		return joined[0]
	case all:
		return every(joined)
	}
	return some(joined)
}

// every holds where all of its parts do; without parts it always holds.
type every []cond

func (c every) always() bool { return len(c) == 0 }
func (c every) size() int    { return sum(c) }

func (c every) emit(program []byte, no int) []byte {
	for _, x := range c {
		program = x.emit(program, no)
	}
	return program
}

// some holds where one of its parts does; without parts it never holds.
type some []cond

func (some) always() bool { return false }

func (c some) size() int {
	if len(c) == 0 {
		return opSize
	}
	return sum(c) + opSize*(len(c)-1)
}

func (c some) emit(program []byte, no int) []byte {
	if len(c) == 0 {
		return jump(program, no)
	}
	yes := len(program) + c.size()
	last := len(c) - 1
	for _, x := range c[:last] {
		program = x.emit(program, len(program)+x.size()+opSize)
		program = jump(program, yes)
	}
	return c[last].emit(program, no)
}

func sum(parts []cond) int {
	n := 0
	for _, x := range parts {
		n += x.size()
	}
	return n
}

// unlike holds where a single operation does not.
type unlike struct{ cond }

func (c unlike) size() int { return c.cond.size() + opSize }

func (c unlike) emit(program []byte, no int) []byte {
	program = c.cond.emit(program, len(program)+c.size())
	return jump(program, no)
}

// operation appends the head of an operation of so many bytes.
func operation(program []byte, code byte, size, no int) []byte {
	distance := uint16(no - len(program))
	return binary.NativeEndian.AppendUint16(append(program, code, byte(size)), distance)
}

func jump(program []byte, to int) []byte { return operation(program, bcJmp, opSize, to) }

// portBound compares a port by >= or <=. The number stands in the "no" of a
// second operation that is never run.
type portBound struct {
	code byte
	port uint16
}

func (portBound) always() bool { return false }
func (portBound) size() int    { return portSize }

func (c portBound) emit(program []byte, no int) []byte {
	program = operation(program, c.code, portSize, no)
	return binary.NativeEndian.AppendUint16(append(program, 0, 0), c.port)
}

// hostCond compares an address with a prefix, a port with a number, or both.
// An IPv4 prefix takes IPv4-mapped addresses too, and the prefix of length 0
// all of its family.
type hostCond struct {
	code   byte
	prefix netip.Prefix // the zero Prefix for any address
	port   int32        // -1 for any
}

func (hostCond) always() bool { return false }

func (c hostCond) size() int { return hostSize + max(c.prefix.Addr().BitLen()/8, 0) }

func (c hostCond) emit(program []byte, no int) []byte {
	family, bits := byte(afUnspec), byte(0)
	if c.prefix.IsValid() {
		family, bits = afInet6, byte(c.prefix.Bits())
		if c.prefix.Addr().Is4() {
			family = afInet
		}
	}
	program = operation(program, c.code, c.size(), no)
	program = append(program, family, bits, 0, 0)
	program = binary.NativeEndian.AppendUint32(program, uint32(c.port))
	return append(program, c.prefix.Addr().AsSlice()...)
}

func hostCondition(e Host, want bool) cond {
	if e.any() {
		return constant(want)
	}
	if e.Link != 0 && !want {
		return every{} // the same address on another link is meant
	}
	c := hostCond{code: bcSCond, prefix: e.Prefix, port: -1}
	if e.End == Remote {
		c.code = bcDCond
	}
	if e.HasPort {
		c.port = int32(e.Port)
	}
	return either(c, want)
}

func portCondition(e Port, want bool) cond {
	ge, le, eq := byte(bcSGe), byte(bcSLe), byte(bcSCond)
	if e.End == Remote {
		ge, le, eq = bcDGe, bcDLe, bcDCond
	}
	switch e.Op {
	case Ge:
		return either(portBound{ge, e.Port}, want)
	case Lt:
		return either(portBound{ge, e.Port}, !want)
	case Le:
		return either(portBound{le, e.Port}, want)
	case Gt:
		return either(portBound{le, e.Port}, !want)
	case Ne:
		want = !want
	}
	return either(hostCond{code: eq, port: int32(e.Port)}, want)
}

// either gives c, or its opposite where want is false.
func either(c cond, want bool) cond {
	if want {
		return c
	}
	return unlike{c}
}

// constant gives what always holds, or never.
func constant(holds bool) cond {
	if holds {
		return every{}
	}
	return some{}
}
