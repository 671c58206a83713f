package live

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// converse holds conversations over loopback, each with a request and an
// answer, and gives the server's address.
func converse(t *testing.T, listen string, times int) string {
	t.Helper()
	server, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for range times {
		client, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		peer, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(client, "a request")
		if _, err := io.ReadFull(peer, make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
		peer.Write(make([]byte, 3000))
		if _, err := io.ReadFull(client, make([]byte, 3000)); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
		peer.Close()
	}
	return server.Addr().String()
}

// refused ends a test on loopback: the RST comes from port 9.
func refused(t *testing.T) {
	t.Helper()
	if c, err := net.Dial("tcp", "127.0.0.1:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			c.Close()
		}
		t.Fatalf("connect to a port that nobody listens on: %v", err)
	}
}

// withoutClosing leaves out the SYN that the closing RST answers.
func withoutClosing(all []taken) []taken {
	return slices.DeleteFunc(all, func(s taken) bool { return s.Dst.Port() == 9 })
}

// On lo, and on any, a packet of loopback counts once, as tcpdump counts it.
func TestRootLoopback(t *testing.T) {
	for _, name := range []string{"lo", Any} {
		t.Run(name, func(t *testing.T) {
			stage(t)
			kerneltest.Need(t, kernel.IPv6)
			dump := tcpdump(t, "-i", name)
			l := begin(t, Options{Interface: name, Checksums: true})
			converse(t, "127.0.0.1:0", 20)
			converse(t, "[::1]:0", 20)
			refused(t)
			got := takeAll(t, l)
			want, link := dump.stop()
			if l.Link() != link {
				t.Errorf("link type %v, tcpdump has %v", l.Link(), link)
			}
			sameAsTCPDump(t, got, want)
			got = withoutClosing(got)
			// Three segments open, at least two carry data, at least
			// three close.
			if len(got) < 40*8 {
				t.Errorf("%d segments of 40 conversations", len(got))
			}
			for _, s := range got {
				if s.Checksum != capture.NotCheckable {
					t.Errorf("the checksum that loopback leaves out is %v", s.Checksum)
				}
				if s.Interface != 1 {
					t.Errorf("captured on interface %d", s.Interface)
				}
			}
			if s := balanced(t, l); s.TCP != s.Packets || s.Drops != 0 {
				t.Errorf("%+v: with lo alone nothing but TCP is to be let through", s)
			}
			if n, ok := l.InterfaceName(1); !ok || n != "lo" {
				t.Errorf("interface 1 is %q, %v", n, ok)
			}
			if n, ok := l.InterfaceName(1 << 20); ok {
				t.Errorf("interface 1048576 is %q", n)
			}
		})
	}
}

// At both ends of a cable, and of both at once: what the kernel has in the
// frame, what it has taken out of it, and what is not TCP.
func TestRootCable(t *testing.T) {
	for _, name := range []string{"v0", "v1", Any} {
		t.Run(name, func(t *testing.T) {
			stage(t)
			dump := tcpdump(t, "-i", name)
			l := begin(t, Options{Interface: name, Checksums: true, Promiscuous: true})
			newSender(t, "v1").send(sendable(name)...)
			got := takeAll(t, l)
			want, link := dump.stop()
			if l.Link() != link {
				t.Errorf("link type %v, tcpdump has %v", l.Link(), link)
			}
			plain := got
			if name == Any {
				plain = withoutTags(t, got)
			}
			sameAsTCPDump(t, plain, want)
			balanced(t, l)
			for _, s := range got {
				want := capture.Right
				switch {
				case s.Fragment:
					want = capture.NotCheckable
				case s.Dst == addr("10.7.0.3:22"):
					want = capture.Wrong
				}
				if s.Checksum != want {
					t.Errorf("%v > %v, %d bytes: checksum %v, want %v", s.Src, s.Dst, s.Len, s.Checksum, want)
				}
				if v, ok := l.InterfaceName(s.Interface); !ok || name != Any && v != name {
					t.Errorf("captured on %q", v)
				}
			}
		})
	}
}

// sendable is what tcpdump tells of the interface: with a link header of its
// own it does not look past two tags.
func sendable(name string) []made {
	return slices.DeleteFunc(assorted(), func(m made) bool { return name == Any && len(m.tags) > 1 })
}

// withoutTags takes the VLAN tags out of packets of LinuxSLL2, where libpcap
// does not put them.
func withoutTags(t *testing.T, all []taken) []taken {
	t.Helper()
	all, tagged := slices.Clone(all), 0
	for i := range all {
		s := &all[i]
		if s.NumVLANs == 0 {
			continue
		}
		tagged++
		if s.NumVLANs != 1 || s.VLANs[0] != 7 || !bytes.Equal(s.packet[:2], []byte{0x81, 0}) {
			t.Errorf("tags %v in %x", s.VLANs, s.packet)
		}
		s.packet = slices.Concat(s.packet[22:24], s.packet[2:20], s.packet[24:])
		s.wire -= 4
	}
	if tagged == 0 {
		t.Error("no packet has a tag")
	}
	return all
}

// Of two tags the kernel keeps one beside the packet, as a card does that takes
// it out, and in the one that was sent both stand where they were. Of the latter
// kind it hands over the outer one alone to a socket without link headers.
func TestRootTwoTags(t *testing.T) {
	stage(t)
	packets := []made{
		{src: "10.7.0.1:1", dst: "10.7.0.2:2", tags: []uint16{100, 7}},
		{src: "10.7.0.1:1", dst: "10.7.0.2:3", tags: []uint16{100, 0x4007}, payload: 700},
		{src: "[fd07::1]:1", dst: "[fd07::2]:4", tags: []uint16{100, 0x6007}, payload: 700},
		{src: last, dst: last},
	}
	f, err := filter.ParsePackets([]string{"dport < 5 or sport 9"})
	if err != nil {
		t.Fatal(err)
	}
	var captures []*Live
	for _, name := range []string{"v0", "v1", Any} {
		captures = append(captures, begin(t, Options{Interface: name, Filter: f}))
	}
	newSender(t, "v1").send(packets...)
	for _, l := range captures {
		got := takeAll(t, l)
		seen := map[string]int{}
		for _, s := range got {
			name, _ := l.InterfaceName(s.Interface)
			seen[name]++
			want, tags := [2]uint16{100, 7}, 2
			if l.Link() == capture.LinuxSLL2 && name == "v1" {
				tags = 1
			}
			if s.NumVLANs != tags || s.VLANs[0] != want[0] || tags == 2 && s.VLANs != want {
				t.Errorf("%s on %s: %d tags %v", l.name, name, s.NumVLANs, s.VLANs)
			}
		}
		for name, n := range seen {
			if n != len(packets)-1 {
				t.Errorf("%s: %d segments on %s", l.name, n, name)
			}
		}
		if want := map[bool]int{true: 2, false: 1}[l.name == Any]; len(seen) != want {
			t.Errorf("%s: captured on %v", l.name, seen)
		}
		balanced(t, l)
	}
}

// A link that carries nothing but IP: what a program puts into its end of a tun
// device comes out of the other one.
func TestRootRaw(t *testing.T) {
	stage(t)
	kerneltest.Need(t, tun)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("tun7")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link(t, "tun7")); err != nil {
		t.Fatal(err)
	}
	dump := tcpdump(t, "-i", "tun7")
	l := begin(t, Options{Interface: "tun7"})
	for _, m := range assorted() {
		if _, err := unix.Write(fd, m.network()); err != nil {
			t.Fatal(err)
		}
	}
	got := takeAll(t, l)
	want, linkType := dump.stop()
	if l.Link() != capture.Raw || linkType != capture.Raw && linkType != capture.RawBSD {
		t.Errorf("link types %v, tcpdump's %v", l.Link(), linkType)
	}
	sameAsTCPDump(t, got, want)
	balanced(t, l)
}
