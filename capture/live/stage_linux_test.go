package live

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// patience is far more than anything here takes.
const patience = time.Minute

// stage puts the test into a network namespace of its own, with a cable from
// v0 to v1.
func stage(t *testing.T) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, ring)
	kerneltest.Netns(t)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err) // the cable is to carry nothing of its own
	}
	pair := netlink.NewLinkAttrs()
	pair.Name = "v0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: pair, PeerName: "v1"}); err != nil {
		t.Fatalf("make a veth pair: %v", err)
	}
	for _, name := range []string{"v0", "v1"} {
		if err := netlink.LinkSetUp(link(t, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sender sends frames out of an interface.
type sender struct {
	t  *testing.T
	fd int
	to *unix.SockaddrLinklayer
}

func newSender(t *testing.T, name string) *sender {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &sender{t, fd, &unix.SockaddrLinklayer{Ifindex: link(t, name).Attrs().Index}}
}

func (s *sender) send(packets ...made) {
	s.t.Helper()
	for _, m := range packets {
		if err := unix.Sendto(s.fd, m.frame(), 0, s.to); err != nil {
			s.t.Fatal(err)
		}
	}
}

func begin(t *testing.T, o Options) *Live {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// taken is a segment and its packet, which outlive the ring.
type taken struct {
	capture.Segment
	packet []byte
	wire   int
}

func copied(s *capture.Segment, packet []byte, wire int) taken {
	c := taken{*s, bytes.Clone(packet), wire}
	c.Payload, c.Options.Raw = bytes.Clone(s.Payload), bytes.Clone(s.Options.Raw)
	return c
}

// closes tells whether a segment is the one that closes a test.
func closes(s *capture.Segment) bool { return s.Src.Port() == 9 }

// takeAll reads segments up to the one that closes the test, stops the capture
// and reads what was still in the ring. The closing one is left out.
func takeAll(t *testing.T, l *Live) []taken {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var all []taken
	var s capture.Segment
	seen := false
	for {
		err := l.Next(ctx, &s)
		if err != nil {
			if !seen || !errors.Is(err, context.Canceled) {
				t.Fatalf("after %d segments: %v", len(all), err)
			}
			return all
		}
		if closes(&s) {
			seen = true
			stop()
			continue
		}
		p := l.Packet()
		if p.At != s.At {
			t.Errorf("the packet's time is %d, its segment's %d", p.At, s.At)
		}
		all = append(all, copied(&s, p.Bytes, p.WireLen))
	}
}

// dumping is a tcpdump that runs beside the test.
type dumping struct {
	t      *testing.T
	cmd    *exec.Cmd
	path   string
	stderr *bufio.Scanner
}

func tcpdump(t *testing.T, args ...string) *dumping {
	t.Helper()
	d := &dumping{t: t, path: filepath.Join(t.TempDir(), "dump.pcap")}
	// In immediate mode its ring has a slot of the snaplen's size for each
	// packet: of the usual 256 KiB it has eight.
	d.cmd = exec.Command(kerneltest.Tool(t, "tcpdump"),
		append([]string{"-n", "-U", "--immediate-mode", "-s", "4096", "-B", "16384", "--nano", "-Z", "root", "-w", d.path}, args...)...)
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			d.cmd.Process.Kill()
			d.cmd.Wait()
		}
	})
	d.stderr = bufio.NewScanner(stderr)
	for d.stderr.Scan() {
		if strings.Contains(d.stderr.Text(), "listening on") {
			return d
		}
	}
	t.Fatalf("tcpdump %q ended before it began", args)
	return nil
}

// stop waits until tcpdump has written the segment that closes the test, ends
// it and gives the TCP segments before.
func (d *dumping) stop() (all []taken, link capture.LinkType) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var seen bool
		if _, _, seen = readDump(d.t, d.path); seen {
			break
		}
		if time.Now().After(deadline) {
			d.t.Fatal("tcpdump has not seen the last packet")
		}
	}
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		d.t.Fatal(err)
	}
	whole := false
	for d.stderr.Scan() {
		whole = whole || d.stderr.Text() == "0 packets dropped by kernel"
	}
	if err := d.cmd.Wait(); err != nil || !whole {
		d.t.Fatalf("tcpdump: %v; without loss: %v", err, whole)
	}
	all, link, _ = readDump(d.t, d.path)
	return all, link
}

// readDump reads a file of tcpdump's, which may still be written to.
func readDump(t *testing.T, path string) (all []taken, link capture.LinkType, seen bool) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 24 {
		return nil, 0, false
	}
	if magic := binary.LittleEndian.Uint32(b); magic != 0xa1b23c4d {
		t.Fatalf("tcpdump wrote a file with magic %#x", magic)
	}
	link = capture.LinkType(binary.LittleEndian.Uint32(b[20:]))
	var d capture.Decoder
	for b = b[24:]; len(b) >= 16; {
		kept, wire := int(binary.LittleEndian.Uint32(b[8:])), int(binary.LittleEndian.Uint32(b[12:]))
		at := int64(binary.LittleEndian.Uint32(b))*1e9 + int64(binary.LittleEndian.Uint32(b[4:]))
		if len(b) < 16+kept {
			break
		}
		packet := b[16 : 16+kept]
		b = b[16+kept:]
		s := capture.Segment{At: at}
		if d.Decode(link, packet, wire, &s) != capture.IsTCP {
			continue
		}
		if closes(&s) {
			seen = true
			continue
		}
		all = append(all, copied(&s, packet, wire))
	}
	return all, link, seen
}

// sameAsTCPDump compares byte by byte.
func sameAsTCPDump(t *testing.T, got, want []taken) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%d segments, tcpdump has %d", len(got), len(want))
		for i := range min(len(got), 40) {
			t.Logf("ours    %d: %v > %v %d bytes", i, got[i].Src, got[i].Dst, got[i].Len)
		}
		for i := range min(len(want), 40) {
			t.Logf("tcpdump %d: %v > %v %d bytes", i, want[i].Src, want[i].Dst, want[i].Len)
		}
		return
	}
	for i := range got {
		if !bytes.Equal(got[i].packet, want[i].packet) || got[i].wire != want[i].wire {
			t.Errorf("packet %d: %d of %d bytes\n%x\ntcpdump has %d of %d\n%x", i,
				len(got[i].packet), got[i].wire, got[i].packet, len(want[i].packet), want[i].wire, want[i].packet)
		}
		if d := time.Duration(got[i].At - want[i].At).Abs(); d > 5*time.Second {
			t.Errorf("packet %d: the times are %v apart", i, d)
		}
	}
}

// balanced checks that every packet of a capture that was read to its end is
// accounted for, and gives the account.
func balanced(t *testing.T, l *Live) Stats {
	t.Helper()
	s, err := l.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if sum := s.TCP + s.Passed + s.Other + s.Fragments + s.Short + s.Malformed; sum != s.Packets || s.Packets+s.Drops != s.Received {
		t.Errorf("the account does not add up: %+v", s)
	}
	return s
}

func addr(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
