package bpfiter_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
)

// gapsOf are the gaps of a look about one namespace, and whether it was told.
type gapsOf struct {
	id    tcpvet.NetnsID
	space bool
	gaps  []tcpvet.Gap
}

func (*gapsOf) Host(tcpvet.Host)                           {}
func (g *gapsOf) Netns(n tcpvet.Netns)                     { g.space = g.space || n.ID == g.id }
func (*gapsOf) Process(tcpvet.Process, tcpvet.ProcessInfo) {}
func (*gapsOf) Changed(uint64)                             {}
func (*gapsOf) Socket(*tcpvet.Socket) error                { return nil }
func (g *gapsOf) Gap(gap tcpvet.Gap) {
	if gap.Netns == g.id {
		g.gaps = append(g.gaps, gap)
	}
}

// Of a namespace that nothing but MPTCP descriptors keeps no pass can tell a socket. It
// is told all the same, with how many of them there are; and once it can be entered, or
// was not asked for, nothing is missing.
func TestRootMPTCPOutside(t *testing.T) {
	need(t)
	kerneltest.Need(t, mptcpOn)
	kerneltest.Netns(t)
	own, err := netns.Self()
	must(t, err)
	inhabit(t)
	mptcpListen(t, netip.MustParseAddrPort("127.0.0.1:0"))

	var id tcpvet.NetnsID
	made := make(chan struct{})
	go func() {
		defer close(made)
		runtime.LockOSThread() // the thread ends, and leaves the sockets
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			id, err = netns.Self()
		}
		if err != nil {
			t.Error(err)
			return
		}
		mptcpListen(t, netip.MustParseAddrPort("0.0.0.0:0"))
		mptcpListen(t, netip.MustParseAddrPort("0.0.0.0:0"))
		mptcpSocket(t, unix.AF_INET) // in no table: nothing of it is missing
	}()
	<-made
	src, err := source.Open("bpf")
	must(t, err)
	for _, test := range []struct {
		about  tcpvet.NetnsID
		spaces source.Namespaces
		count  int
	}{
		{id, source.Namespaces{All: true}, 2},
		{own, source.Namespaces{All: true}, 0},
		{id, source.Namespaces{Names: []string{fmt.Sprint(own)}}, 0},
	} {
		q := source.Query{Want: judged, Netns: test.spaces}
		told := gapsOf{id: test.about}
		must(t, src.Look(t.Context(), q, &told))
		c, err := source.Take(t.Context(), src, q, source.TakeOptions{})
		must(t, err)
		counted := gapsOf{id: test.about}
		_, counted.space = c.Netns[test.about]
		for _, g := range c.Gaps {
			counted.Gap(g)
		}
		for way, got := range map[string]gapsOf{"told": told, "counted": counted} {
			i := slices.IndexFunc(got.gaps, func(g tcpvet.Gap) bool { return g.What == "listeners and connections of MPTCP" })
			if test.count == 0 && len(got.gaps) > 0 || test.count > 0 && (len(got.gaps) != 2 || i < 0 || got.gaps[i].Count != test.count) {
				t.Errorf("netns %d, %s: gaps %+v; want one of %d MPTCP sockets, and one of settings", test.about, way, got.gaps, test.count)
			}
			if want := test.count > 0 || test.about == own; got.space != want {
				t.Errorf("netns %d, %s: it was told: %v", test.about, way, got.space)
			}
		}
	}
}
