package filter

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"pgregory.net/rapid"
)

// machine runs a program by the rules of the kernel's inet_diag_bc_run after it
// has checked it by those of inet_diag_bc_audit. TestRootBytecode shows that
// the kernel itself agrees.
type machine []byte

func (m machine) op(at int) (code byte, yes, no int) {
	return m[at], int(m[at+1]), int(binary.NativeEndian.Uint16(m[at+2:]))
}

func (m machine) audit() error {
	starts := map[int]bool{len(m): true, len(m) + 4: true}
	for at := 0; at < len(m); {
		starts[at] = true
		_, yes, _ := m.op(at)
		if yes < 4 || yes%4 != 0 || at+yes > len(m) {
			return fmt.Errorf("operation at %d: length %d", at, yes)
		}
		at += yes
	}
	for at := 0; at < len(m); {
		code, yes, no := m.op(at)
		least := 4
		switch code {
		case bcJmp:
		case bcSGe, bcSLe, bcDGe, bcDLe:
			least = 8
		case bcSCond, bcDCond:
			least = map[byte]int{afUnspec: 12, afInet: 16, afInet6: 28}[m[at+4]]
			if least == 0 || int(m[at+5]) > 8*(least-12) {
				return fmt.Errorf("operation at %d: family %d, prefix length %d", at, m[at+4], m[at+5])
			}
		default:
			return fmt.Errorf("operation at %d: code %d", at, code)
		}
		if yes != least || no < least || no%4 != 0 || !starts[at+no] {
			return fmt.Errorf("operation at %d: code %d, yes %d, no %d", at, code, yes, no)
		}
		at += yes
	}
	return nil
}

func (m machine) run(s *tcpvet.Socket) bool {
	at := 0
	for at < len(m) {
		code, yes, no := m.op(at)
		ap := s.Local
		if code == bcDGe || code == bcDLe || code == bcDCond {
			ap = s.Remote
		}
		holds := false
		switch code {
		case bcSGe, bcDGe:
			holds = ap.Port() >= binary.NativeEndian.Uint16(m[at+6:])
		case bcSLe, bcDLe:
			holds = ap.Port() <= binary.NativeEndian.Uint16(m[at+6:])
		case bcSCond, bcDCond:
			holds = m.host(at+4, ap)
		}
		if holds {
			at += yes
		} else {
			at += no
		}
	}
	return at == len(m)
}

func (m machine) host(at int, ap netip.AddrPort) bool {
	family, bits := m[at], int(m[at+1])
	if port := int32(binary.NativeEndian.Uint32(m[at+4:])); port != -1 && port != int32(ap.Port()) {
		return false
	}
	have := ap.Addr().AsSlice()
	switch {
	case family == afUnspec:
		return true
	case family == afInet && len(have) == 16:
		if string(have[:12]) != "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff" {
			return false
		}
		have = have[12:]
	case family == afInet6 && len(have) != 16:
		return false
	}
	for i := range bits {
		if (have[i/8]^m[at+8+i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

// valid is what the kernel can have: no address is absent there.
func valid(s *tcpvet.Socket) bool { return s.Local.Addr().IsValid() && s.Remote.Addr().IsValid() }

// A program leaves out no socket that matches.
func TestBytecodeHoldsEveryMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New(small.draw(t, 4, false))
		program := machine(f.Bytecode())
		if program == nil {
			return
		}
		if err := program.audit(); err != nil {
			t.Fatalf("%q: %v in %x", f, err, program)
		}
		for range 20 {
			s := small.drawSocket(t)
			if valid(s) && f.Match(s) && !program.run(s) {
				t.Errorf("%q matches %+v, its program leaves it out: %x", f, s, program)
			}
		}
	})
}

// A program of what the kernel can judge takes no socket that does not match.
func TestBytecodeExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New(small.draw(t, 4, true))
		program := machine(f.Bytecode())
		for range 20 {
			s := small.drawSocket(t)
			if valid(s) && f.Match(s) != program.run(s) {
				t.Errorf("%q: Match %v for %+v, program %x", f, f.Match(s), s, program)
			}
		}
	})
}

// Programs worked out by hand from include/uapi/linux/inet_diag.h, for a
// machine whose least byte comes first.
func TestBytecode(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the programs below are for little-endian machines")
	}
	for _, row := range []struct{ text, want string }{
		{"dst 10.0.3.7:8080", "08 10 1400 02 20 0000 901f0000 0a000307"},
		{"state close-wait dst 10.0.3.7:8080", "08 10 1400 02 20 0000 901f0000 0a000307"},
		{"src 10.0.0.0/8", "07 10 1400 02 08 0000 ffffffff 0a000000"},
		{"src [::1]", "07 1c 2000 0a 80 0000 ffffffff 00000000000000000000000000000001"},
		{"sport = 80", "07 0c 1000 00 00 0000 50000000"},
		{"sport >= 80", "02 08 0c00 00 00 5000"},
		{"dport <= 80", "05 08 0c00 00 00 5000"},
		// Where >= 80 does not hold, the jump behind it is left out.
		{"sport < 80", "02 08 0c00 00 00 5000 01 04 0800"},
		{"not sport < 80", "02 08 0c00 00 00 5000"},
		{"sport >= 80 and dport <= 80", "02 08 1400 00 00 5000 05 08 0c00 00 00 5000"},
		{"sport >= 80 or dport <= 80", "02 08 0c00 00 00 5000 01 04 0c00 05 08 0c00 00 00 5000"},
		{"sport >= 80 and uid = 0", "02 08 0c00 00 00 5000"},
		{"not src *", "01 04 0800"},
		{"sport >= 80 or uid = 0", ""},
		{"not (sport >= 80 and uid = 0)", ""},
		{"not uid = 0", ""},
		{"state close-wait", ""},
		{"src *", ""},
	} {
		got := fmt.Sprintf("%x", mustParse(t, row.text).Bytecode())
		if want := strings.ReplaceAll(row.want, " ", ""); got != want {
			t.Errorf("%q: program %s, want %s", row.text, got, want)
		}
	}
}

// A filter too long for the kernel is not pushed down, one that just fits is:
// an IPv6 condition takes 28 bytes, and the jump between two takes 4.
func TestBytecodeBounded(t *testing.T) {
	const most = 1024
	for _, row := range []struct{ terms, bytes int }{{most, most*32 - 4}, {most + 1, 0}} {
		terms := make(Or, row.terms)
		for i := range terms {
			terms[i] = Host{Prefix: netip.MustParsePrefix("::1/128"), Port: 80, HasPort: true}
		}
		if got := len(New(terms).Bytecode()); got != row.bytes {
			t.Errorf("%d terms: a program of %d bytes, want %d", row.terms, got, row.bytes)
		}
	}
}
