package recording_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// fields are what tshark is asked for, in the order of line.
var fields = []string{
	"frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "tcp.srcport", "tcp.dstport",
	"tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.len", "tcp.window_size_value", "tcp.urgent_pointer", "tcp.checksum", "tcp.checksum.status",
	"ip.ttl", "ipv6.hlim", "ip.dsfield", "ipv6.tclass", "ip.id", "ieee8021ad.id", "vlan.id", "sll.ifindex", "frame.interface_id",
	"tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.options.timestamp.tsval", "tcp.options.timestamp.tsecr",
	"tcp.options.sack_le", "tcp.options.sack_re", "tcp.option_kind",
}

// fieldVLAN is the index of vlan.id, between two that are looked at with it.
const fieldVLAN = 22

// tshark gives what it tells of each TCP segment of a file.
// interfaces is false where their numbers are not to be compared: of pcap files
// tshark may tell none, and of pcapng it numbers those of each section anew.
func tshark(t *testing.T, file []byte, interfaces bool) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", name, "-Y", "tcp.seq_raw && tcp.flags && !icmp", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,", "-E", "separator=|",
		"-o", "tcp.relative_sequence_numbers:FALSE", "-o", "tcp.check_checksum:TRUE", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	c := exec.Command(kerneltest.Tool(t, "tshark"), args...)
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, complaints.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	for i, l := range lines {
		f := strings.Split(l, "|")
		if len(f) != len(fields) {
			t.Fatalf("tshark printed %d fields of %d: %q", len(f), len(fields), l)
		}
		// The tags of both standards are VLANs, and interfaces are numbered in
		// the packet where its link header does that.
		f[fieldVLAN-1] = strings.Trim(f[fieldVLAN-1]+","+f[fieldVLAN], ",")
		if f[fieldVLAN+1] == "" {
			f[fieldVLAN+1] = f[fieldVLAN+2]
		}
		if !interfaces {
			f[fieldVLAN+1] = "0"
		}
		lines[i] = strings.Join(slices.Concat(f[:fieldVLAN], f[fieldVLAN+1:fieldVLAN+2], f[fieldVLAN+3:]), "|")
	}
	return lines
}

// line writes a segment as tshark gives the fields.
func line(s *capture.Segment) string {
	four := func(a netip.Addr) string {
		if a.Is4() {
			return a.String() + "|"
		}
		return "|" + a.String()
	}
	numbers := func(n int, of func(int) uint64) string {
		var all []string
		for i := range n {
			all = append(all, strconv.FormatUint(of(i), 10))
		}
		return strings.Join(all, ",")
	}
	one := func(has capture.OptionSet, v uint64) string {
		if s.Options.Has&has == 0 {
			return ""
		}
		return strconv.FormatUint(v, 10)
	}
	status := [...]string{capture.NotCheckable: "2", capture.Right: "1", capture.Wrong: "0"}[s.Checksum]
	ttl, tos, id := fmt.Sprintf("%d|", s.TTL), fmt.Sprintf("0x%02x|", s.TOS), fmt.Sprintf("0x%04x", s.IPID)
	if !s.Src.Addr().Is4() {
		ttl, tos, id = fmt.Sprintf("|%d", s.TTL), fmt.Sprintf("|0x%08x", s.TOS), ""
	}
	var kinds []string
	for raw := s.Options.Raw; len(raw) > 0; {
		kinds = append(kinds, strconv.Itoa(int(raw[0])))
		size := 1
		if raw[0] > 1 {
			if len(raw) < 2 || int(raw[1]) < 2 || int(raw[1]) > len(raw) {
				break
			}
			size = int(raw[1])
		}
		raw = raw[size:]
	}
	return strings.Join([]string{
		strconv.FormatUint(s.Frame, 10), fmt.Sprintf("%d.%09d", s.At/1e9, s.At%1e9), four(s.Src.Addr()), four(s.Dst.Addr()),
		strconv.Itoa(int(s.Src.Port())), strconv.Itoa(int(s.Dst.Port())), strconv.FormatUint(uint64(s.Seq), 10), strconv.FormatUint(uint64(s.Ack), 10),
		fmt.Sprintf("0x%04x", uint16(s.Flags)), strconv.Itoa(s.Len), strconv.Itoa(int(s.Window)), strconv.Itoa(int(s.Urgent)), fmt.Sprintf("0x%04x", s.Sum), status,
		ttl, tos, id, numbers(s.NumVLANs, func(i int) uint64 { return uint64(s.VLANs[i]) }), strconv.Itoa(s.Interface),
		one(capture.HasMSS, uint64(s.Options.MSS)), one(capture.HasWScale, uint64(s.Options.WScale)),
		one(capture.HasTimestamps, uint64(s.Options.TSVal)), one(capture.HasTimestamps, uint64(s.Options.TSEcr)),
		numbers(s.Options.NumSACK, func(i int) uint64 { return uint64(s.Options.SACK[i].Left) }),
		numbers(s.Options.NumSACK, func(i int) uint64 { return uint64(s.Options.SACK[i].Right) }),
		strings.Join(kinds, ","),
	}, "|")
}

// agree compares what was read of a file with what tshark reads.
func agree(t *testing.T, file []byte, interfaces bool) {
	t.Helper()
	segments, r := read(t, file, recording.Options{Checksums: true})
	theirs := tshark(t, file, interfaces)
	if len(segments) != len(theirs) {
		t.Errorf("%d segments, tshark has %d", len(segments), len(theirs))
	}
	wrong := 0
	for i := range min(len(segments), len(theirs)) {
		if !interfaces {
			segments[i].Interface = 0
		}
		ours := line(&segments[i])
		if ours != theirs[i] {
			t.Errorf("\n  ours %s\ntshark %s", ours, theirs[i])
			if wrong++; wrong > 5 {
				t.Fatal("and more")
			}
		}
	}
	if s := r.Stats(); !accounted(s) || s.TCP != uint64(len(segments)) {
		t.Errorf("counted %+v", s)
	}
}

// Every capture of testdata reads as tshark reads it.
func TestAgreesWithTshark(t *testing.T) {
	var all [][]byte
	le := binary.LittleEndian
	all = append(all, section(le))
	number := uint32(0)
	for _, name := range captures(t) {
		link, packets := recorded(t, name)
		all = append(all, description(le, uint16(link), 262144))
		for _, p := range packets {
			all = append(all, enhanced(le, number, uint64(p.at/1000), p))
		}
		number++
	}
	agree(t, bytes.Join(all, nil), true)
}

// The same packets behind every link header, in IPv4 and IPv6, with extension
// headers and VLAN tags, fragmented and cut, read as tshark reads them.
func TestEveryLinkAgreesWithTshark(t *testing.T) {
	le := binary.LittleEndian
	variants := variants()
	all := [][]byte{section(le)}
	for _, v := range variants {
		all = append(all, description(le, uint16(v.link), 262144))
	}
	for _, name := range []string{"teardown_4pkt.pcap", "zero_window.pcap", "syn_refused.pcap", "rst_unread_data.pcap"} {
		_, packets := recorded(t, name)
		for i, v := range variants {
			for _, p := range packets {
				data := v.dress(datagram(t, p.data))
				all = append(all, enhanced(le, uint32(i), uint64(p.at/1000), packet{p.at, data, len(data) + p.wire - len(p.data)}))
			}
		}
	}
	agree(t, bytes.Join(all, nil), true)
}

// Every container reads as tshark reads it.
func TestEveryFileAgreesWithTshark(t *testing.T) {
	link, packets := recorded(t, "close_wait_leak.pcap")
	for i := range packets {
		packets[i].at += int64(i % 1000) // nanoseconds that a file of microseconds loses
	}
	le, be := binary.LittleEndian, binary.BigEndian
	mixed := func(first, second binary.AppendByteOrder) []byte {
		b := bytes.Join([][]byte{
			section(first),
			block(first, 4, make([]byte, 4)), // names of hosts: none
			description(first, uint16(link), 0, option(first, 2, []byte("eth0")), option(first, 9, []byte{9})),
			description(first, uint16(link), 0, option(first, 14, first.AppendUint64(nil, 1000))),
			description(first, uint16(link), 0, option(first, 9, []byte{0x80 | 20})),
		}, nil)
		for i, p := range packets[:60] {
			switch i % 4 {
			case 3: // the obsolete block: 16 bits for the interface, and as many for drops
				b = append(b, block(first, 2, slices.Concat(first.AppendUint16(nil, 0), []byte{0xff, 0xff}, enhanced(first, 0, uint64(p.at), p)[12:][:16+len(p.data)]))...)
			case 0:
				b = append(b, enhanced(first, 0, uint64(p.at), p, option(first, 1, []byte("a comment")), option(first, 0, nil))...)
			case 1:
				b = append(b, enhanced(first, 1, uint64(p.at/1000-1000*1e6), p)...)
			default:
				b = append(b, enhanced(first, 2, uint64(p.at/1e9)<<20|uint64(i), p)...)
			}
		}
		b = append(b, section(second)...)
		b = append(b, description(second, uint16(link), 0)...)
		for _, p := range packets[60:] {
			b = append(b, enhanced(second, 0, uint64(p.at/1000), p)...)
		}
		return b
	}
	for _, test := range []struct {
		name string
		file []byte
	}{
		{"little-endian microseconds", pcapFile(le, 0xa1b2c3d4, link, packets)},
		{"big-endian microseconds", pcapFile(be, 0xa1b2c3d4, link, packets)},
		{"little-endian nanoseconds", pcapFile(le, 0xa1b23c4d, link, packets)},
		{"big-endian nanoseconds", pcapFile(be, 0xa1b23c4d, link, packets)},
		{"modified", pcapFile(le, 0xa1b2cd34, link, packets)},
		{"pcapng, little-endian then big-endian", mixed(le, be)},
		{"pcapng, big-endian then little-endian", mixed(be, le)},
	} {
		t.Run(test.name, func(t *testing.T) { agree(t, test.file, false) })
	}
}
