package live

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
)

// entry is a packet of a block that a test makes.
type entry struct {
	seconds, nanos, wire, status uint32
	start                        uint16 // of the data, from the header on; 0 for where the kernel puts it
	tci                          uint32
	tpid, protocol               uint16
	index                        uint32
	data                         []byte
}

func blockOf(entries ...entry) []byte {
	b := make([]byte, blockHeader)
	binary.NativeEndian.PutUint32(b[blockStatus:], 1)
	binary.NativeEndian.PutUint32(b[blockCount:], uint32(len(entries)))
	binary.NativeEndian.PutUint32(b[blockFirst:], blockHeader)
	for _, e := range entries {
		start := e.start
		if start == 0 {
			start = 112
		}
		h := make([]byte, start)
		binary.NativeEndian.PutUint32(h[packetSeconds:], e.seconds)
		binary.NativeEndian.PutUint32(h[packetNanos:], e.nanos)
		binary.NativeEndian.PutUint32(h[packetKept:], uint32(len(e.data)))
		binary.NativeEndian.PutUint32(h[packetWire:], e.wire)
		binary.NativeEndian.PutUint32(h[packetStatus:], e.status)
		binary.NativeEndian.PutUint16(h[packetStart:], start)
		binary.NativeEndian.PutUint32(h[packetTCI:], e.tci)
		binary.NativeEndian.PutUint16(h[packetTPID:], e.tpid)
		binary.BigEndian.PutUint16(h[addressKind:], e.protocol)
		binary.NativeEndian.PutUint32(h[addressIndex:], e.index)
		binary.NativeEndian.PutUint16(h[addressLink:], 1)
		h[addressPacket], h[addressLength] = 4, 6
		copy(h[addressBytes:], "\xaa\xbb\xcc\xdd\xee\xff")
		h = append(h, e.data...)
		for len(h)%8 != 0 {
			h = append(h, 0)
		}
		binary.NativeEndian.PutUint32(h[packetNext:], uint32(len(h)))
		b = append(b, h...)
	}
	return b
}

func TestBlock(t *testing.T) {
	data := blockOf(
		entry{seconds: 7, nanos: 9, wire: 1000, protocol: 0x0800, index: 3, data: []byte("first")},
		entry{seconds: 1<<32 - 1, nanos: 999999999, wire: 2, protocol: 0x86dd, index: 4, data: []byte("second")},
	)
	var b block
	var f frame
	if err := b.open(data); err != nil {
		t.Fatal(err)
	}
	if ok, err := b.next(&f); !ok || err != nil || string(f.bytes()) != "first" || f.wire != 1000 || f.at != 7e9+9 || f.protocol != 0x0800 || f.index != 3 {
		t.Errorf("%v, %v: %+v", ok, err, f)
	}
	// A packet is as long as what was kept of it, whatever its length says.
	if ok, err := b.next(&f); !ok || err != nil || string(f.bytes()) != "second" || f.wire != 6 || f.at != (1<<32-1)*1e9+999999999 || f.index != 4 {
		t.Errorf("%v, %v: %+v", ok, err, f)
	}
	for range 2 {
		if ok, err := b.next(&f); ok || err != nil {
			t.Errorf("after the last one: %v, %v", ok, err)
		}
	}
	if err := b.open(blockOf()); err != nil {
		t.Error(err)
	} else if ok, err := b.next(&f); ok || err != nil {
		t.Errorf("an empty block: %v, %v", ok, err)
	}
}

// What the kernel never writes is refused at its place.
func TestBlockDamaged(t *testing.T) {
	two := func(at int, v uint32) []byte {
		data := blockOf(entry{data: []byte("first")}, entry{data: []byte("second")})
		binary.NativeEndian.PutUint32(data[at:], v)
		return data
	}
	const first = blockHeader
	for _, test := range []struct {
		name, says string
		data       []byte
		good       int // packets before
	}{
		{"no header", "no room for its header", make([]byte, blockHeader-1), 0},
		{"first before the header's end", "begins at byte 47", two(blockFirst, 47), 0},
		{"first outside", "begins at byte 4294967295", two(blockFirst, 1<<32-1), 0},
		{"first at the end", "0 bytes before the end", two(blockFirst, uint32(len(two(0, 0)))), 0},
		{"too long", "packet 1 of 2 in a block: its 4294967295 bytes at 112", two(first+packetKept, 1<<32-1), 0},
		{"data within the header", "at 67 do not fit", two(first+packetStart, 67), 0},
		{"data outside", "at 65535 do not fit", two(first+packetStart, 65535), 0},
		{"next before the header's end", "packet 2 of 2 in a block: the next one is said to be 67", two(first+packetNext, 67), 0},
		{"next outside", "4294967295 bytes further", two(first+packetNext, 1<<32-1), 0},
		{"more than there are", "packet 3 of 3 in a block", two(blockCount, 3), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b block
			var f frame
			err := b.open(test.data)
			good := 0
			for ok := err == nil; ok; good++ {
				if ok, err = b.next(&f); !ok {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || good != test.good {
				t.Errorf("%d packets, then %v", good, err)
			}
			if ok, err := b.next(&f); ok || err != nil {
				t.Errorf("it goes on: %v, %v", ok, err)
			}
		})
	}
}

func TestDress(t *testing.T) {
	const macs = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01"
	const cooked = "\x00\x00\x00\x00\x00\x03\x00\x01\x04\x06\xaa\xbb\xcc\xdd\xee\xff\x00\x00"
	ip4 := "\x45" + strings.Repeat("\x00", 19)
	tagged := entry{status: tagPresent | tagKindPresent, tci: 0x2007, tpid: 0x88a8, protocol: 0x0800, index: 3}
	with := func(e entry, data string) entry {
		e.data, e.wire = []byte(data), uint32(len(data))
		return e
	}
	untagged := entry{protocol: 0x86dd, index: 3}
	short := tagged
	short.start = packetHeader + 3
	for _, test := range []struct {
		name string
		link capture.LinkType
		in   entry
		want string
	}{
		{"Ethernet", capture.Ethernet, with(untagged, macs+"\x86\xdd..."), macs + "\x86\xdd..."},
		{"Ethernet with a tag", capture.Ethernet, with(tagged, macs+"\x08\x00..."), macs + "\x88\xa8\x20\x07\x08\x00..."},
		{"a tag of the usual kind", capture.Ethernet, with(entry{status: tagPresent, tci: 5}, macs+"\x08\x00"), macs + "\x81\x00\x00\x05\x08\x00"},
		{"a frame cut within its addresses", capture.Ethernet, with(tagged, macs[:11]), macs[:11]},
		{"raw", capture.Raw, with(untagged, "..."), "..."},
		{"cooked", capture.LinuxSLL2, with(untagged, "..."), "\x86\xdd" + cooked + "..."},
		{"cooked with a tag", capture.LinuxSLL2, with(tagged, ip4), "\x88\xa8" + cooked + "\x20\x07\x08\x00" + ip4},
		{"cooked with a tag within", capture.LinuxSLL2, with(tagged, "\x00\x08\x08\x00"+ip4), "\x88\xa8" + cooked + "\x20\x07\x81\x00\x00\x08\x08\x00" + ip4},
		{"no room", capture.Ethernet, with(short, macs+"\x08\x00"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := blockOf(test.in)
			var b block
			var f frame
			if err := b.open(data); err != nil {
				t.Fatal(err)
			}
			if ok, err := b.next(&f); !ok || err != nil {
				t.Fatal(ok, err)
			}
			err := f.dress(test.link)
			if test.want == "" {
				if err == nil {
					t.Error("the header was overwritten")
				}
				return
			}
			if err != nil || string(f.bytes()) != test.want || f.wire != len(test.want) {
				t.Errorf("%v, %d bytes:\n%x, want\n%x", err, f.wire, f.bytes(), test.want)
			}
		})
	}
}

// A packet whose length is that of its own header has no tag in front, however
// it begins.
func TestTagInside(t *testing.T) {
	long := make([]byte, 0x0800)
	copy(long, "\x45\x00\x08\x00\x45\x00") // as long as an EtherType's number, with an ID like a header
	v6 := make([]byte, 40+0x6000)
	copy(v6, "\x60\x00\x86\xdd\x60\x00")
	tag := func(pcp byte, kind string, version byte) []byte {
		b := make([]byte, 64)
		b[0] = pcp << 5
		copy(b[2:], kind)
		b[4] = version << 4
		return b
	}
	for _, test := range []struct {
		name     string
		protocol uint16
		data     []byte
		want     bool
	}{
		{"IPv4", etherIPv4, long, false},
		{"IPv6", etherIPv6, v6, false},
		{"tag before IPv4", etherIPv4, tag(0, "\x08\x00", 4), true},
		{"tag that looks like IPv4", etherIPv4, tag(2, "\x08\x00", 4), true},
		{"tag that looks like IPv6", etherIPv6, tag(3, "\x86\xdd", 6), true},
		{"tag before another protocol", etherIPv4, tag(0, "\x86\xdd", 6), false},
		{"tag before another version", etherIPv4, tag(0, "\x08\x00", 6), false},
		{"ARP", 0x0806, tag(0, "\x08\x06", 4), false},
		{"short", etherIPv4, tag(0, "\x08\x00", 4)[:9], false},
	} {
		f := frame{ring: test.data, end: len(test.data), wire: len(test.data), protocol: test.protocol}
		if got := f.tagInside(); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func FuzzBlock(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, link := range []capture.LinkType{capture.Ethernet, capture.Raw, capture.LinuxSLL2} {
			ring := bytes.Clone(data)
			var b block
			var p frame
			var d capture.Decoder
			var s capture.Segment
			var stats Stats
			if err := b.open(ring); err != nil {
				return
			}
			n := 0
			for {
				ok, err := b.next(&p)
				if err != nil {
					if ok, err := b.next(&p); ok || err != nil {
						t.Fatalf("a damaged block goes on: %v, %v", ok, err)
					}
					break
				}
				if !ok {
					break
				}
				if n++; n > len(data)/packetHeader {
					t.Fatalf("%d packets in %d bytes", n, len(data))
				}
				before, wire := bytes.Clone(p.bytes()), p.wire
				if err := p.dress(link); err != nil {
					if !bytes.Equal(p.bytes(), before) {
						t.Fatal("a packet without room was changed")
					}
					continue
				}
				added := len(p.bytes()) - len(before)
				if p.wire != wire+added || p.wire < len(p.bytes()) || p.start < packetHeader {
					t.Fatalf("%d bytes of %d became %d of %d", len(before), wire, len(p.bytes()), p.wire)
				}
				if link != capture.Ethernet && !bytes.HasSuffix(p.bytes(), before) {
					t.Fatal("what follows the link header was changed")
				}
				if link == capture.Ethernet && added == tagBytes && !bytes.Equal(append(p.bytes()[:macsBytes:macsBytes], p.bytes()[macsBytes+tagBytes:]...), before) {
					t.Fatal("a tag was not put between addresses and protocol")
				}
				stats.count(d.Decode(link, p.bytes(), p.wire, &s), false)
			}
			if stats.Packets != stats.Passed+stats.Other+stats.Fragments+stats.Short+stats.Malformed {
				t.Fatalf("the account does not add up: %+v", stats)
			}
		}
	})
}
