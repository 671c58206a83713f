package tcpvet_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func TestHistogram(t *testing.T) {
	var h tcpvet.Histogram
	for _, d := range []time.Duration{0, 999 * time.Microsecond, time.Millisecond, 1024 * time.Millisecond, 65535 * time.Millisecond, 65536 * time.Millisecond, 49 * 24 * time.Hour, 365 * 24 * time.Hour} {
		h.Add(d)
	}
	for _, tt := range []struct {
		d    time.Duration
		n    uint64
		edge time.Duration
	}{
		{0, 8, 0},
		{time.Millisecond, 6, time.Millisecond},
		{time.Second, 5, 1024 * time.Millisecond},
		{time.Minute, 3, 65536 * time.Millisecond}, // 65,535 ms is over a minute, but in the bucket of the minute
	} {
		if got := h.AtLeast(tt.d); got != tt.n {
			t.Errorf("AtLeast(%s) = %d, want %d", tt.d, got, tt.n)
		}
		if got := h.Edge(tt.d); got != tt.edge {
			t.Errorf("Edge(%s) = %s, want %s", tt.d, got, tt.edge)
		}
	}
	if h.Total() != 8 {
		t.Errorf("Total() = %d, want 8", h.Total())
	}
}

func TestPorts(t *testing.T) {
	p := tcpvet.Ports{Low: 32768, High: 60999}
	if p.Size() != 28232 { // 60999 - 32768 + 1
		t.Errorf("Size() = %d, want 28232", p.Size())
	}
	p.Reserved.Add(8080, 8080)
	p.Reserved.Add(32700, 32769) // two of them in the range
	p.Reserved.Add(60000, 60000)
	p.Reserved.Add(60002, 60003)
	p.Reserved.Add(60001, 60001) // joins what lies on both sides
	if got := p.ReservedInside(); got != 6 {
		t.Errorf("ReservedInside() = %d, want 6", got)
	}
	var spans [][2]uint16
	for low, high := range p.Reserved.Spans {
		spans = append(spans, [2]uint16{low, high})
	}
	if len(spans) != 3 || spans[2] != [2]uint16{60000, 60003} {
		t.Errorf("spans = %v, want three, the last 60000-60003", spans)
	}
	for port, want := range map[uint16]bool{8080: true, 8081: false, 60001: true, 60004: false, 0: false, 65535: false} {
		if got := p.Reserved.Has(port); got != want {
			t.Errorf("Has(%d) = %v", port, got)
		}
	}
	p.Reserved.Add(0, 65535)
	if got := p.ReservedInside(); got != p.Size() {
		t.Errorf("everything reserved: ReservedInside() = %d, want %d", got, p.Size())
	}
}

// tcp_twsk_unique in net/ipv4/tcp_ipv4.c: by default only what goes through
// loopback, only TIME-WAIT proper, only after the delay.
func TestReuse(t *testing.T) {
	lo, far := netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("10.0.3.7:80")
	mapped := netip.MustParseAddrPort("[::ffff:127.0.0.1]:80")
	age := func(d time.Duration) tcpvet.Timer {
		return tcpvet.Timer{Kind: tcpvet.TimerTimeWait, Expires: 60*time.Second - d}
	}
	for _, tt := range []struct {
		name string
		mode int
		s    tcpvet.Socket
		want bool
	}{
		{"default, loopback, old enough", 2, tcpvet.Socket{State: tcpvet.TimeWait, Remote: lo, Timer: age(time.Second)}, true},
		{"default, mapped loopback", 2, tcpvet.Socket{State: tcpvet.TimeWait, Remote: mapped, Timer: age(2 * time.Second)}, true},
		{"default, loopback, too young", 2, tcpvet.Socket{State: tcpvet.TimeWait, Remote: lo, Timer: age(900 * time.Millisecond)}, false},
		{"default, elsewhere", 2, tcpvet.Socket{State: tcpvet.TimeWait, Remote: far, Timer: age(2 * time.Second)}, false},
		{"default, bound to lo", 2, tcpvet.Socket{State: tcpvet.TimeWait, Remote: far, Interface: 1, Timer: age(2 * time.Second)}, true},
		{"on, elsewhere", 1, tcpvet.Socket{State: tcpvet.TimeWait, Remote: far, Timer: age(2 * time.Second)}, true},
		{"off", 0, tcpvet.Socket{State: tcpvet.TimeWait, Remote: lo, Timer: age(2 * time.Second)}, false},
		{"a FIN-WAIT-2 is never reused", 1, tcpvet.Socket{State: tcpvet.FinWait2, Mini: true, Remote: lo, Timer: age(2 * time.Second)}, false},
	} {
		tt.s.Known = tcpvet.FactTimer
		tt.s.Local = netip.MustParseAddrPort("10.0.0.9:40000")
		if got := (tcpvet.Reuse{Mode: tt.mode, Delay: time.Second}).Allows(&tt.s); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	n := tcpvet.Netns{Sysctls: map[string]string{"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_timestamps": "0"}}
	if r, ok := tcpvet.ReuseOf(&n); !ok || r.Mode != 0 {
		t.Errorf("without timestamps: %v, %v; want off", r, ok)
	}
	n.Sysctls["net.ipv4.tcp_timestamps"] = "1"
	if r, ok := tcpvet.ReuseOf(&n); !ok || r != (tcpvet.Reuse{Mode: 1, Delay: time.Second}) {
		t.Errorf("a kernel without tcp_tw_reuse_delay: %v, %v; want a delay of 1 s", r, ok)
	}
	if _, ok := tcpvet.ReuseOf(&tcpvet.Netns{}); ok {
		t.Error("settings that were not read are known")
	}
}
