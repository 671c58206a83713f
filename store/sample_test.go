package store_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// heard is an Observer that keeps every event, in order.
type heard struct{ events []any }

type (
	told    struct{ P, I any }
	changes uint64
)

func (h *heard) Host(x tcpvet.Host)   { h.events = append(h.events, x) }
func (h *heard) Netns(n tcpvet.Netns) { h.events = append(h.events, n) }
func (h *heard) Process(p tcpvet.Process, info tcpvet.ProcessInfo) {
	h.events = append(h.events, told{p, info})
}
func (h *heard) Gap(g tcpvet.Gap) { h.events = append(h.events, g) }
func (h *heard) Changed(n uint64) { h.events = append(h.events, changes(n)) }
func (h *heard) Socket(s *tcpvet.Socket) error {
	kept := *s
	kept.SharedWith = slices.Clone(s.SharedWith)
	h.events = append(h.events, kept)
	return nil
}

func (h *heard) gaps() (gaps []tcpvet.Gap) {
	for _, e := range h.events {
		if g, ok := e.(tcpvet.Gap); ok {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

func (h *heard) sockets() (n int) {
	for _, e := range h.events {
		if _, ok := e.(tcpvet.Socket); ok {
			n++
		}
	}
	return n
}

var header = store.Header{
	Taken: time.Date(2025, 3, 4, 5, 6, 7, 890_000_000, time.FixedZone("", -5*3600)),
	Host:  "web1", Source: "netlink", Self: 4026532177, Whole: true,
	Facts: tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactMini | tcpvet.FactHolders | tcpvet.FactNetns,
}

// socket gives the n-th socket of a look.
func socket(n int) *tcpvet.Socket {
	s := &tcpvet.Socket{
		Known: tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactMini,
		Netns: 4026532177, State: tcpvet.CloseWait, Role: tcpvet.Client, RecvQ: 1, Inode: uint64(100_000 + n), UID: 1000, Cookie: uint64(0x1000 + n),
		Local:  netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(32768+n%28232)),
		Remote: netip.MustParseAddrPort("10.0.3.7:8080"),
		Info: tcpvet.TCPInfo{
			LastDataSent: time.Duration(n) * time.Millisecond, LastDataRecv: 61 * time.Second, LastAckRecv: 60 * time.Second,
			RTT: 1234 * time.Microsecond, RTTVar: 617 * time.Microsecond, RTO: 204 * time.Millisecond, MinRTT: 900 * time.Microsecond,
			SndCwnd: 10, BytesSent: 1 << 33, BytesAcked: 1<<33 + 1, BytesReceived: 4711, Timestamps: true, SACK: true, SndWScale: 7, RcvWScale: 7,
			SndMSS: 1448, RcvMSS: 536, BusyTime: 12 * time.Millisecond, DeliveryRateBytesS: 123_456_789,
		},
		Holder: tcpvet.Process{PID: 4121, Start: 987_654},
	}
	if n%4 == 0 {
		s.SharedWith = []tcpvet.Process{{PID: 4122, Start: 987_660}}
	}
	if n%4 == 1 {
		s.Holder, s.Former = tcpvet.Nobody, tcpvet.Process{PID: 4122, Start: 987_660}
	}
	return s
}

// events gives one of everything that a look can tell, with n sockets.
func events(n int) []any {
	ports := &tcpvet.Ports{Low: 32768, High: 60999}
	ports.Reserved.Add(40000, 40010)
	ports.Reserved.Add(50000, 50000)
	out := []any{
		tcpvet.Gap{What: "namespaces", Err: "read the namespaces: permission denied", Needs: "root", Count: 12},
		tcpvet.Host{Name: "web1", Kernel: "6.18.0", Counters: map[string]uint64{"orphans": 3}, Settings: []tcpvet.Setting{
			{File: "/etc/sysctl.d/10-net.conf", Line: 3, Name: "net.ipv4.tcp_tw_reuse", Value: "1"}, {File: "/etc/sysctl.conf", Line: 1},
		}},
		tcpvet.Netns{
			ID: 4026532177, Names: []string{"blue", `odd"\name`}, Sysctls: map[string]string{"net.ipv4.tcp_tw_reuse": "2"},
			Counters: map[string]uint64{"TcpExtListenOverflows": 7}, Ports: ports,
			Addresses: []tcpvet.Address{
				{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Interface: "eth0", Up: true},
				{Prefix: netip.MustParsePrefix("fe80::1/64"), Interface: "eth0", Tentative: true, Deprecated: true},
			},
		},
		tcpvet.Gap{What: "settings", Where: "netns blue", Netns: 4026532177, Err: "refused", Count: 1},
		told{tcpvet.Process{PID: 4121, Start: 987_654}, tcpvet.ProcessInfo{
			Comm: "python3", Args: []string{"python3", "app.py", "--name=<a&b>"}, Exe: "python3.11", UID: 1000, Unit: "app.service",
			Container: &tcpvet.Container{ID: "7f9c", Name: "api", Runtime: "docker", Pod: "shop"}, Netns: 4026532177,
			Descriptors: 900, Sockets: 870, DescriptorLimit: 1024, LeaderExited: true,
			Tableless: &tcpvet.Tableless{Used: 3, Quiet: 2, Unasked: 1, Inode: 71}, Localhost: []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")},
		}},
		told{tcpvet.Process{PID: 4122, Start: 987_660}, tcpvet.ProcessInfo{Comm: "wörk\x01er", Ended: true}},
	}
	for i := range n {
		out = append(out, *socket(i))
	}
	return append(out, changes(5))
}

// written gives the snapshot of the events.
func written(t testing.TB, h store.Header, events []any) []byte {
	t.Helper()
	var b bytes.Buffer
	w := store.NewWriter(&b, h)
	tell(t, w, events)
	must(t, w.Close())
	return b.Bytes()
}

func tell(t testing.TB, w *store.Writer, events []any) {
	t.Helper()
	for _, e := range events {
		switch e := e.(type) {
		case tcpvet.Host:
			w.Host(e)
		case tcpvet.Netns:
			w.Netns(e)
		case tcpvet.Gap:
			w.Gap(e)
		case told:
			w.Process(e.P.(tcpvet.Process), e.I.(tcpvet.ProcessInfo))
		case changes:
			w.Changed(uint64(e))
		case tcpvet.Socket:
			must(t, w.Socket(&e))
		default:
			t.Fatal(fmt.Errorf("tell %T: no such event", e))
		}
	}
}
