package filter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// packet is what a random frame was made of.
type packet struct {
	src, dst netip.AddrPort
	protocol byte
	offset   uint16 // of the fragment, in units of 8 bytes
	more     bool   // fragments follow
	options  int    // words
	tags     int    // VLAN tags within the frame
	version  byte   // of IP; another one than the EtherType's for a packet that lies
	other    bool   // than IP
}

func (p pool) drawPacket(t *rapid.T) packet {
	var families [2][]netip.Addr
	for _, a := range p.addrs {
		switch {
		case a.Is4():
			families[0] = append(families[0], a)
		case a.Is6():
			families[1] = append(families[1], a)
		}
	}
	v6 := rapid.IntRange(0, 1).Draw(t, "v6")
	at := func(name string) netip.AddrPort {
		return netip.AddrPortFrom(from(t, name, families[v6]...), from(t, name+" port", p.ports...))
	}
	made := packet{src: at("src"), dst: at("dst"), protocol: 6, tags: rapid.IntRange(-2, 3).Draw(t, "tags")}
	made.tags = max(made.tags, 0)
	made.options = rapid.IntRange(0, 10).Draw(t, "options")
	made.more = rapid.Bool().Draw(t, "more")
	switch rapid.IntRange(0, 9).Draw(t, "oddity") {
	case 0:
		made.protocol = from(t, "protocol", byte(0), 1, 17, 41, 43, 44, 50, 51, 58, 59, 60, 132, 135, 139, 140, 255)
	case 1:
		made.offset = uint16(rapid.IntRange(1, 0x1fff).Draw(t, "offset"))
	case 2:
		made.other = true
	case 3:
		made.version = byte(rapid.IntRange(0, 15).Draw(t, "version"))
	}
	return made
}

// network gives the packet from its IP header on.
func (p packet) network() []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, p.src.Port())
	binary.BigEndian.PutUint16(tcp[2:], p.dst.Port())
	tcp[12] = 5 << 4
	var b []byte
	if p.src.Addr().Is4() {
		b = make([]byte, 20+4*p.options)
		for i := range b[20:] {
			b[20+i] = 1 // no operation
		}
		b[0] = 4<<4 | byte(5+p.options)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(tcp)))
		binary.BigEndian.PutUint16(b[6:], p.offset)
		if p.more {
			b[6] |= 0x20
		}
		b[8], b[9] = 64, p.protocol
		copy(b[12:], p.src.Addr().AsSlice())
		copy(b[16:], p.dst.Addr().AsSlice())
	} else {
		b = make([]byte, 40)
		b[0] = 6 << 4
		binary.BigEndian.PutUint16(b[4:], uint16(len(tcp)))
		b[6], b[7] = p.protocol, 64
		copy(b[8:], p.src.Addr().AsSlice())
		copy(b[24:], p.dst.Addr().AsSlice())
	}
	if p.version != 0 {
		b[0] = b[0]&0x0f | p.version<<4
	}
	return append(b, tcp...)
}

func (p packet) etherType() uint16 {
	switch {
	case p.other:
		return 0x88cc // LLDP
	case p.src.Addr().Is4():
		return 0x0800
	}
	return 0x86dd
}

var tpids = [...]uint16{0x8100, 0x88a8, 0x9100}

func (p packet) frame(start Start) frame {
	kinds := append([]uint16(nil), tpids[:p.tags]...)
	kinds = append(kinds, p.etherType())
	var b []byte
	if start == AtEthernet {
		b = make([]byte, 12)
		b = binary.BigEndian.AppendUint16(b, kinds[0])
	}
	for _, kind := range kinds[1:] {
		b = append(b, 0x20, 7)
		b = binary.BigEndian.AppendUint16(b, kind)
	}
	return frame{append(b, p.network()...), kinds[0]}
}

// verdict tells what a program has to do with the packet, by what Classic
// promises: take it, leave it out, or do as Match does.
func (p packet) verdict(start Start) Truth {
	extension := strings.Contains(" 0 43 44 51 60 135 139 140 ", " "+strconv.Itoa(int(p.protocol))+" ")
	v4 := p.src.Addr().Is4()
	switch {
	case start == AtNetwork && p.tags > 0, p.tags > 2:
		return True
	case p.other, p.version != 0 && (p.version == 4) != v4 && p.version != 4 && p.version != 6:
		return False
	case p.version != 0 && p.version != 4 && p.version != 6:
		return False
	case v4 && p.offset != 0:
		return False
	case p.protocol == 6:
		return Unknown
	case !v4 && extension, v4 && p.protocol == 51:
		return True
	}
	return False
}

// The program of a filter and Match agree on every packet into which a program
// can look, and it takes what it cannot look into.
func TestClassicAgreesWithMatch(t *testing.T) {
	taken, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		f, err := Packets(small.draw(t, 4, true))
		if err != nil {
			t.Fatal(err)
		}
		start := from(t, "start", AtEthernet, AtNetwork)
		program, exact := f.Classic(start)
		if !exact {
			t.Fatalf("%q: %d instructions are too many", f, len(program))
		}
		for range 20 {
			p := small.drawPacket(t)
			if p.version == 4 && !p.src.Addr().Is4() || p.version == 6 && p.src.Addr().Is4() {
				continue // reads as something else: TestVersionDecides
			}
			got, err := run(program, p.frame(start))
			if err != nil {
				t.Fatalf("%q: %v", f, err)
			}
			want := p.verdict(start)
			if want == Unknown {
				want = truth(f.Match(p.src, p.dst))
			}
			if (got != 0) != (want == True) {
				t.Fatalf("%q: the program says %d of %+v at %d, want %v: %v", f, got, p, start, want, program)
			}
			if got != 0 {
				taken++
			} else {
				left++
			}
		}
	})
	if taken == 0 || left == 0 {
		t.Errorf("%d packets taken, %d left: nothing was told apart", taken, left)
	}
}

// Who reads a packet goes by the version in its header, not by its EtherType;
// so does the program.
func TestVersionDecides(t *testing.T) {
	f, err := ParsePackets([]string{"sport", "8080"})
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{"10.0.0.1:8080", "[::1]:8080"} {
		p := packet{src: netip.MustParseAddrPort(src), dst: netip.MustParseAddrPort(src), protocol: 6}
		for start := range AtNetwork + 1 {
			for _, kind := range []uint16{0x0800, 0x86dd} {
				frame := p.frame(start)
				if frame.protocol = kind; start == AtEthernet {
					binary.BigEndian.PutUint16(frame.bytes[12:], kind)
				}
				program, _ := f.Classic(start)
				if got, err := run(program, frame); err != nil || got == 0 {
					t.Errorf("%s as %#x: %d, %v", src, kind, got, err)
				}
			}
		}
	}
}

// A program that jumps farther than 8 bits reach is right, and one that the
// kernel would refuse for its length becomes that of all TCP.
func TestClassicLong(t *testing.T) {
	ports := func(n int) *PacketFilter {
		terms := make(Or, n)
		for i := range terms {
			terms[i] = Port{Remote, Eq, uint16(1000 + i)}
		}
		f, err := Packets(And{Not{terms}, Host{Prefix: netip.MustParsePrefix("10.0.0.1/32")}})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	// Two instructions a port, of two directions and two families.
	for _, n := range []int{1, 100, 127, 128, 129, 130, 300, 450} {
		f := ports(n)
		program, exact := f.Classic(AtEthernet)
		if !exact || len(program) > 4096 {
			t.Fatalf("%d ports: %d instructions, exact %v", n, len(program), exact)
		}
		for _, port := range []int{0, 1, 999, 1000, 1001, 999 + n/2, 999 + n, 1000 + n, 1001 + n} {
			p := packet{src: netip.MustParseAddrPort("10.0.0.1:7"), protocol: 6,
				dst: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(port))}
			got, err := run(program, p.frame(AtEthernet))
			if want := port < 1000 || port >= 1000+n; err != nil || (got != 0) != want {
				t.Errorf("%d ports: %d, %v for port %d", n, got, err, port)
			}
		}
	}
	for _, start := range []Start{AtEthernet, AtNetwork} {
		program, exact := ports(600).Classic(start)
		all, _ := (*PacketFilter)(nil).Classic(start)
		if exact || len(program) != len(all) {
			t.Errorf("600 ports: %d instructions, exact %v; all TCP takes %d", len(program), exact, len(all))
		}
	}
}

// A jump reaches its targets from every distance.
func TestJumpDistance(t *testing.T) {
	for apart := range 4 {
		for between := range 600 {
			var a assembler
			no := a.put(Instr{Code: giveBack})
			for range apart {
				a.put(Instr{Code: giveBack, K: 2})
			}
			yes := a.put(Instr{Code: giveBack, K: 1})
			for range between {
				a.put(Instr{Code: giveBack, K: 2})
			}
			a.test(jumpEq, 5, yes, no)
			a.put(Instr{Code: ldHalfAbs, K: protocolOf})
			program := a.program()
			for protocol, want := range map[uint16]uint32{5: 1, 6: 0} {
				if got, err := run(program, frame{protocol: protocol}); err != nil || got != want {
					t.Fatalf("over %d and %d instructions: %d, %v for %d", between, apart, got, err, protocol)
				}
			}
			if extra := len(program) - apart - between - 4; extra > 2 {
				t.Errorf("over %d instructions: %d detours", between, extra)
			}
		}
	}
}
