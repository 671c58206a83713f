package procfs

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

func TestAddressesAgreeWithNet(t *testing.T) {
	got, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range ifs {
		addrs, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			want = append(want, i.Name+" "+a.String())
		}
	}
	var seen []string
	for _, a := range got {
		seen = append(seen, a.Interface+" "+a.Prefix.String())
	}
	slices.Sort(seen)
	slices.Sort(want)
	if !slices.Equal(seen, want) {
		t.Errorf("got %q, net says %q", seen, want)
	}
}

func TestRootAddresses(t *testing.T) {
	kerneltest.Netns(t)
	ip := kerneltest.Tool(t, "ip")
	for _, line := range []string{
		"link add v0 type veth peer name v1",
		"addr add 10.9.0.1/24 dev v0",
		"addr add 10.9.1.1 peer 10.9.1.2/32 dev v0", // the local one counts, not the peer
		"link set v1 up",
		"addr add fd00:9::1/64 dev v1",                         // no carrier: duplicate detection cannot end
		"addr add fd00:9::2/64 dev v1 preferred_lft 0 nodad",   // deprecated from the start
		"addr add fd00:9::3/64 dev v1 valid_lft forever nodad", // plain
		"addr del 127.0.0.1/8 dev lo",
		"link add name d0 type bridge",
	} {
		if out, err := exec.Command(ip, strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	got, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	pfx := netip.MustParsePrefix
	want := map[string]tcpvet.Address{
		"10.9.0.1":  {Prefix: pfx("10.9.0.1/24"), Interface: "v0"},
		"10.9.1.1":  {Prefix: pfx("10.9.1.1/32"), Interface: "v0"},
		"fd00:9::1": {Prefix: pfx("fd00:9::1/64"), Interface: "v1", Up: true, Tentative: true},
		"fd00:9::2": {Prefix: pfx("fd00:9::2/64"), Interface: "v1", Up: true, Deprecated: true},
		"fd00:9::3": {Prefix: pfx("fd00:9::3/64"), Interface: "v1", Up: true},
		"::1":       {Prefix: pfx("::1/128"), Interface: "lo", Up: true},
	}
	seen := map[string]tcpvet.Address{}
	for _, a := range got {
		seen[a.Prefix.Addr().String()] = a
	}
	if d := cmp.Diff(want, seen, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// message builds a netlink message with attributes of one kind each.
func message(kind uint16, head []byte, attrs ...any) []byte {
	body := slices.Clone(head)
	for i := 0; i < len(attrs); i += 2 {
		value := attrs[i+1].([]byte)
		a := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
		a = binary.NativeEndian.AppendUint16(a, uint16(attrs[i].(int)))
		a = append(a, value...)
		for len(a)%4 != 0 {
			a = append(a, 0)
		}
		body = append(body, a...)
	}
	m := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	return append(append(m, make([]byte, 10)...), body...)
}

func TestParseAddresses(t *testing.T) {
	links := message(unix.RTM_NEWLINK, append(binary.NativeEndian.AppendUint32([]byte{0, 0, 0, 0}, 2), 1, 0, 0, 0, 0, 0, 0, 0), unix.IFLA_IFNAME, []byte("eth0\x00"))
	optimistic := binary.NativeEndian.AppendUint32(nil, unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC)
	six := netip.MustParseAddr("fd00::5").AsSlice()
	addrs := slices.Concat(
		message(unix.RTM_NEWADDR, []byte{unix.AF_INET6, 64, unix.IFA_F_TENTATIVE, 0, 2, 0, 0, 0}, unix.IFA_ADDRESS, six, unix.IFA_FLAGS, optimistic),
		message(unix.RTM_NEWADDR, []byte{unix.AF_INET6, 64, unix.IFA_F_DEPRECATED, 0, 3, 0, 0, 0}, unix.IFA_ADDRESS, six), // of an interface that came later
		message(unix.RTM_NEWADDR, []byte{unix.AF_INET, 99, 0, 0, 2, 0, 0, 0}, unix.IFA_LOCAL, []byte{10, 0, 0, 1}),        // no such prefix
		message(unix.NLMSG_DONE, nil),
	)
	got, err := parseAddresses(links, addrs)
	if err != nil {
		t.Fatal(err)
	}
	want := []tcpvet.Address{
		{Prefix: netip.MustParsePrefix("fd00::5/64"), Interface: "eth0", Up: true},
		{Prefix: netip.MustParsePrefix("fd00::5/64"), Deprecated: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := parseAddresses(links[:len(links)-4], nil); err == nil {
		t.Error("a cut message was read")
	}
	if got, err := parseAddresses(nil, nil); err != nil || got == nil {
		t.Errorf("no addresses are empty, not unknown: %v, %v", got, err)
	}
}

func FuzzAddresses(f *testing.F) {
	f.Fuzz(func(t *testing.T, links, addrs []byte) {
		got, err := parseAddresses(links, addrs)
		if err != nil {
			return
		}
		for _, a := range got {
			if !a.Prefix.IsValid() {
				t.Fatalf("%+v", a)
			}
		}
	})
}
