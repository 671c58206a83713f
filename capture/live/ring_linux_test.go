package live

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// A ring that nobody reads fills up, and what it had no room for is counted.
func TestRootDrops(t *testing.T) {
	stage(t)
	const many = 2000
	l := begin(t, Options{Interface: "v1", Buffer: 2 * os.Getpagesize()})
	send := newSender(t, "v1")
	for range many {
		send.send(made{src: "10.7.0.1:1", dst: "10.7.0.2:2", payload: 100})
	}
	s, err := l.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.Received != many || s.Drops < many/2 || s.Drops >= many || s.Packets != 0 || s.Freezes == 0 {
		t.Errorf("%+v of %d packets", s, many)
	}
	// Reading makes room again.
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var seg capture.Segment
	for range many - s.Drops {
		if err := l.Next(ctx, &seg); err != nil {
			t.Fatal(err)
		}
	}
	send.send(made{src: last, dst: last})
	if rest := takeAll(t, l); len(rest) != 0 {
		t.Errorf("%d segments too many", len(rest))
	}
	if after := balanced(t, l); after.Received != many+1 || after.Drops != s.Drops {
		t.Errorf("%+v, and before that %+v", after, s)
	}
}

func TestRootSnapLen(t *testing.T) {
	stage(t)
	one := begin(t, Options{Interface: "v0", SnapLen: 60})
	all := begin(t, Options{SnapLen: 60})
	newSender(t, "v1").send(made{src: "10.7.0.1:1", dst: "10.7.0.2:2", payload: 1000}, made{src: last, dst: last})
	got := takeAll(t, one)
	if len(got) != 1 || len(got[0].packet) != 60 || got[0].wire != 14+20+20+1000 || got[0].Len != 1000 || len(got[0].Payload) != 60-14-20-20 {
		t.Errorf("on v0: %+v", got)
	}
	if got = takeAll(t, all); len(got) != 2 || len(got[0].packet) != 20+60 || got[0].wire != 20+20+20+1000 || len(got[0].Payload) != 60-20-20 {
		t.Errorf("on any: %+v", got)
	}
	if one.SnapLen() < 60 || all.SnapLen() < 80 || one.SnapLen() > recording.MaxPacket {
		t.Errorf("at most %d and %d bytes", one.SnapLen(), all.SnapLen())
	}
}

// What is written to a file tcpdump reads, and so do we.
func TestRootWrite(t *testing.T) {
	for _, name := range []string{"v0", Any} {
		t.Run(name, func(t *testing.T) {
			stage(t)
			l := begin(t, Options{Interface: name})
			newSender(t, "v1").send(sendable(name)...)
			var file bytes.Buffer
			w, err := recording.NewWriter(&file, l.Link(), l.SnapLen())
			if err != nil {
				t.Fatal(err)
			}
			got := takeAll(t, l)
			for _, s := range got {
				if err := w.Write(s.At, s.packet, s.wire); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(kerneltest.Tool(t, "tcpdump"), "-n", "-r", "-")
			cmd.Stdin = bytes.NewReader(file.Bytes())
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(out, []byte("Flags [.]")); n != len(got) {
				t.Errorf("tcpdump reads %d segments of %d:\n%s", n, len(got), out)
			}
			r, err := recording.Open(&file, recording.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var s capture.Segment
			for i, want := range got {
				if err := r.Next(&s); err != nil {
					t.Fatal(err)
				}
				if s.At != want.At || s.Src != want.Src || s.Dst != want.Dst || s.Len != want.Len || s.VLANs != want.VLANs || s.NumVLANs != want.NumVLANs {
					t.Errorf("segment %d is %+v, was %+v", i, s, want)
				}
			}
			if err := r.Next(&s); err != io.EOF {
				t.Errorf("after the last one: %v", err)
			}
		})
	}
}

func TestRootNextAllocatesNothing(t *testing.T) {
	stage(t)
	f, err := filter.ParsePackets([]string{"src 10.7.0.0/16 and not dport 81"})
	if err != nil {
		t.Fatal(err)
	}
	l := begin(t, Options{Interface: "v1", Filter: f, Checksums: true})
	send := newSender(t, "v1")
	const runs = 3000
	for range runs + 1 {
		send.send(made{src: "10.7.0.1:1", dst: "10.7.0.2:2", tags: []uint16{7}})
	}
	ctx := context.Background()
	var s capture.Segment
	if n := testing.AllocsPerRun(runs, func() {
		if err := l.Next(ctx, &s); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Next allocates %v times", n)
	}
}

// The layouts are the kernel's, as x/sys has them.
func TestLayout(t *testing.T) {
	var b unix.TpacketHdrV1
	var p unix.Tpacket3Hdr
	var a unix.RawSockaddrLinklayer
	base := unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr)
	for _, row := range []struct{ number, got, want uintptr }{
		{0, blockStatus, base + unsafe.Offsetof(b.Block_status)},
		{1, blockCount, base + unsafe.Offsetof(b.Num_pkts)},
		{2, blockFirst, base + unsafe.Offsetof(b.Offset_to_first_pkt)},
		{3, blockHeader, unsafe.Sizeof(unix.TpacketBlockDesc{})},
		{4, packetNext, unsafe.Offsetof(p.Next_offset)},
		{5, packetSeconds, unsafe.Offsetof(p.Sec)},
		{6, packetNanos, unsafe.Offsetof(p.Nsec)},
		{7, packetKept, unsafe.Offsetof(p.Snaplen)},
		{8, packetWire, unsafe.Offsetof(p.Len)},
		{9, packetStatus, unsafe.Offsetof(p.Status)},
		{10, packetStart, unsafe.Offsetof(p.Mac)},
		{11, packetTCI, unsafe.Offsetof(p.Hv1) + unsafe.Offsetof(p.Hv1.Vlan_tci)},
		{12, packetTPID, unsafe.Offsetof(p.Hv1) + unsafe.Offsetof(p.Hv1.Vlan_tpid)},
		{13, packetAddress, unsafe.Sizeof(p)},
		{14, addressKind, unsafe.Sizeof(p) + unsafe.Offsetof(a.Protocol)},
		{15, addressIndex, unsafe.Sizeof(p) + unsafe.Offsetof(a.Ifindex)},
		{16, addressLink, unsafe.Sizeof(p) + unsafe.Offsetof(a.Hatype)},
		{17, addressPacket, unsafe.Sizeof(p) + unsafe.Offsetof(a.Pkttype)},
		{18, addressLength, unsafe.Sizeof(p) + unsafe.Offsetof(a.Halen)},
		{19, addressBytes, unsafe.Sizeof(p) + unsafe.Offsetof(a.Addr)},
		{20, packetHeader, unsafe.Sizeof(p) + unsafe.Sizeof(a)},
		{21, sumNotReady, unix.TP_STATUS_CSUMNOTREADY},
		{22, tagPresent, unix.TP_STATUS_VLAN_VALID},
		{23, tagKindPresent, unix.TP_STATUS_VLAN_TPID_VALID},
		{24, typeOutgoing, unix.PACKET_OUTGOING},
		{25, hardwareLoop, unix.ARPHRD_LOOPBACK},
		{26, usualBlock / 2, MaxSnapLen + room},
	} {
		if row.got != row.want {
			t.Errorf("row %d: %d, want %d", row.number, row.got, row.want)
		}
	}
}
