package probe

import (
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// An address that one other namespace has is there. What several have, as with
// containers that are all set up alike, tells nothing.
func TestPlaceIsOne(t *testing.T) {
	const here = 1
	remote := netip.MustParseAddrPort("10.1.1.2:80")
	scene := &Scene{Census: &tcpvet.Census{}, Netns: here, Others: &tcpvet.Census{Netns: map[tcpvet.NetnsID]tcpvet.Netns{}}}
	j := &judgement{Scene: scene, Attempt: &Attempt{Remote: remote}}
	has := func(id tcpvet.NetnsID, addr string, up bool) {
		scene.Others.Netns[id] = tcpvet.Netns{ID: id, Addresses: []tcpvet.Address{{Prefix: netip.MustParsePrefix(addr), Interface: "eth0", Up: up}}}
	}
	has(2, "10.1.1.3/24", true)
	has(3, "10.1.1.2/24", false)
	if p, ok := j.place(); ok {
		t.Errorf("nobody has it, and it is in %d", p.netns)
	}
	has(4, "10.1.1.2/24", true)
	if p, ok := j.place(); !ok || p.netns != 4 || p.sure {
		t.Errorf("one has it: got %d, %v", p.netns, ok)
	}
	has(5, "10.1.1.2/24", true)
	has(6, "10.1.1.2/16", true)
	if p, ok := j.place(); ok {
		t.Errorf("three have it, and it is in %d", p.netns)
	}
}
