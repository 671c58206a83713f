package recording_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// Names of hosts and ports as tcpdump prints them without -n: of both ends, whose
// host is this one, so that no server is asked for its name.
func TestNames(t *testing.T) {
	link, packets := recorded(t, "teardown_lo.pcap")
	services := func(name string) (uint16, bool) {
		port, err := net.LookupPort("tcp", name)
		return uint16(port), err == nil
	}
	lines := tcpdump(t, pcapFile(binary.LittleEndian, 0xa1b2c3d4, link, packets))
	got, r := read(t, lines, recording.Options{Services: services})
	if len(got) != len(packets) || r.Stats().Trouble != "" {
		t.Fatalf("%d segments of %d, %+v\n%s", len(got), len(packets), r.Stats(), lines)
	}
	for _, s := range got {
		name, ok := tcpvet.HostName(s.Src.Addr())
		if ok != bytes.Contains(lines, []byte(" IP "+name+".")) || !ok && !s.Src.Addr().IsLoopback() {
			t.Errorf("host %q of %v", name, s.Src)
		}
		if s.Src.Port() != 8088 && s.Dst.Port() != 8088 {
			t.Errorf("ports of %v > %v", s.Src, s.Dst)
		}
	}
}

// Fragments, cut packets and others are the same in text as in the file.
func TestTextVerdicts(t *testing.T) {
	good := segment(4, 1, false, capture.ACK|capture.PSH, 1000000, 2000000, 100, []byte{1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6})
	ip := func(change func(b []byte)) []byte {
		return ether(0x0800, edit(good[14:], func(b []byte) []byte { change(b); return b }))
	}
	var packets []packet
	for _, data := range [][]byte{
		good,
		ip(func(b []byte) { b[6], b[7] = 0x20, 0 }), // the first fragment
		ip(func(b []byte) { b[6], b[7] = 0, 20 }),   // the last
		ip(func(b []byte) { b[9] = 17 }),
		good[:14+20+20], good[:14+20+24], good[:14+20+19],
		ether(0x0806, []byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2}),
	} {
		packets = append(packets, packet{1795528532e9, data, max(len(data), len(good))})
	}
	file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, 1, packets)
	want, r := read(t, file, recording.Options{})
	stats := r.Stats()
	if stats.TCP != 4 || stats.Fragments != 1 || stats.Short != 1 || stats.Other != 2 {
		t.Fatalf("%+v", stats)
	}
	for _, args := range []string{"-nS", "-nSv", "-nSe", "-nSvt"} {
		got, r := read(t, tcpdump(t, file, args), recording.Options{})
		s := r.Stats()
		s.Lines = 0
		if s != stats {
			t.Errorf("%s: %+v, want %+v\n%s", args, s, stats, tcpdump(t, file, args))
			continue
		}
		for i := range got {
			if got[i].Seq != want[i].Seq || got[i].Len != want[i].Len || got[i].Cut != want[i].Cut || got[i].Options.Has != want[i].Options.Has {
				t.Errorf("%s: segment %d: %+v, want %+v", args, i+1, got[i], want[i])
			}
			if strings.Contains(args, "v") && got[i].Fragment != want[i].Fragment {
				t.Errorf("%s: segment %d: fragment %v", args, i+1, got[i].Fragment)
			}
		}
	}
}
