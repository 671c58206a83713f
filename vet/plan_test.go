package vet_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func wayOf(t interface{ Fatalf(string, ...any) }, p vet.Plan, name string) (vet.Way, map[string]float64) {
	i := slices.IndexFunc(p.Ways, func(w vet.Way) bool { return w.Name == name })
	if i < 0 {
		t.Fatalf("no way %q", name)
	}
	numbers := make(map[string]float64)
	for _, n := range p.Ways[i].Numbers {
		numbers[n.Name] = n.Value
	}
	return p.Ways[i], numbers
}

// TestPlan does the sums of the manual: 28,232 ports / 60 s = 470/s.
func TestPlan(t *testing.T) {
	c := &tcpvet.Census{
		Facts: tcpvet.FactTimer,
		Netns: map[tcpvet.NetnsID]tcpvet.Netns{5: {Ports: &tcpvet.Ports{Low: 32768, High: 60999}, Sysctls: map[string]string{
			"net.ipv4.tcp_tw_reuse": "2", "net.ipv4.tcp_timestamps": "1", "net.ipv4.tcp_tw_reuse_delay": "1000",
		}}}, Self: 5,
	}
	use := useOf(t, c)
	p := vet.PlanFor(c, use, 500, 50*time.Millisecond)
	for _, want := range []struct{ way, line string }{
		{"as-is", "500/s x (50 ms open + 60 s) = 30,025 ports"}, // 500 x 60.05
		{"as-is", "there are 28,232 ports"},
		{"as-is", "28,232 / (50 ms open + 60 s) = 470/s at most"},
		{"pooling", "500/s x 50 ms = 25 connections that stay open"},
		{"source-addresses", "30,025 ports / 28,232, rounded up = 2 source addresses"},
		{"destinations", "30,025 ports / 28,232, rounded up = 2 remote addresses or ports"},
		{"tw-reuse", "500/s x (50 ms open + 1 s) = 525 ports"},
		{"tw-reuse", "28,232 / (50 ms open + 1 s) = 26,887/s at most"},
	} {
		w, _ := wayOf(t, p, want.way)
		if !slices.ContainsFunc(w.Arithmetic, func(l string) bool { return strings.HasPrefix(l, want.line) }) {
			t.Errorf("%s: %q lacks %q", want.way, w.Arithmetic, want.line)
		}
	}
	for name, carries := range map[string]bool{
		"as-is": false, "pooling": true, "wider-range": true, "source-addresses": true, "destinations": true, "tw-reuse": true,
	} {
		if w, _ := wayOf(t, p, name); w.Carries == nil || *w.Carries != carries {
			t.Errorf("%s carries: %v, want %v", name, w.Carries, carries)
		}
	}
	w, _ := wayOf(t, p, "tw-reuse")
	if len(w.Remedies) != 1 || w.Remedies[0].Command() != "tcpvet fix sysctl net.ipv4.tcp_tw_reuse=1" {
		t.Errorf("reuse by %v", w.Remedies)
	}

	// 470 and no more, without an end to round away.
	for rate, carries := range map[float64]bool{470: true, 28232. / 60: true, 471: false} {
		w, n := wayOf(t, vet.PlanFor(c, use, rate, 0), "as-is")
		if *w.Carries != carries || math.Abs(n["sustainable_per_s"]-28232./60) > 1e-9 {
			t.Errorf("%v/s: %v, %v", rate, *w.Carries, n)
		}
	}
	// 8.3 x 60 is 498, and 498.00000000000006 in binary fractions.
	if _, n := wayOf(t, vet.PlanFor(c, use, 8.3, 0), "as-is"); n["needs_ports"] != 498 {
		t.Errorf("8.3/s needs %v ports, want 498", n["needs_ports"])
	}
	// 64,512 ports from 1024 on: 1,075/s, and no range bears more.
	if w, n := wayOf(t, vet.PlanFor(c, use, 1075, 0), "wider-range"); !*w.Carries || n["high_port"] != 65535 {
		t.Errorf("1,075/s: %q", w.Arithmetic)
	}
	if w, n := wayOf(t, vet.PlanFor(c, use, 1076, 0), "wider-range"); *w.Carries || n["low_port"] != 1024 || n["high_port"] != 65535 || len(w.Remedies) != 0 {
		t.Errorf("1,076/s: %q", w.Arithmetic)
	}
	// How long the use of a connection may take is told where it was not given.
	if w, n := wayOf(t, vet.PlanFor(c, use, 500, 0), "pooling"); w.Carries != nil || math.Abs(n["longest_hold_s"]-28232./500) > 1e-6 {
		t.Errorf("pooling without a time: %v, %v", w.Carries, n)
	}
}

// TestPlanRandom compares with a search port by port and address by address.
func TestPlanRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &tcpvet.Budget{}
		b.Taken[tcpvet.Established] = uint32(rapid.IntRange(0, 20000).Draw(t, "established"))
		b.Taken[tcpvet.TimeWait] = uint32(rapid.IntRange(0, 8000).Draw(t, "resting"))
		c := portCensus(b)
		ports := c.Netns[5].Ports
		low := rapid.Uint16Range(1024, 40000).Draw(t, "low")
		ports.Low, ports.High = low, low+rapid.Uint16Range(0, 25000).Draw(t, "more")
		for range 5 {
			at := rapid.Uint16Range(1024, 65000).Draw(t, "reserved")
			ports.Reserved.Add(at, at+rapid.Uint16Range(0, 300).Draw(t, "and"))
			at = rapid.Uint16Range(1024, 65000).Draw(t, "bound")
			c.Bound[5].Add(at, at+rapid.Uint16Range(0, 300).Draw(t, "and"))
		}
		rate := float64(rapid.IntRange(1, 1500).Draw(t, "rate"))
		p := vet.PlanFor(c, useOf(t, c), rate, 0)

		// The rate needs 60 ports for each connection a second, beside those
		// that stay taken.
		free := func(lo, hi int) int {
			n := -int(b.Taken[tcpvet.Established])
			for port := lo; port <= hi; port++ {
				if !ports.Reserved.Has(uint16(port)) && !c.Bound[5].Has(uint16(port)) {
					n++
				}
			}
			return max(n, 0)
		}
		need := 60 * int(rate)
		now := free(int(ports.Low), int(ports.High))
		if w, n := wayOf(t, p, "as-is"); *w.Carries != (need <= now) || n["free_ports"] != float64(now) {
			t.Fatalf("as-is: %v with %v, counted %d of %d", *w.Carries, n, now, need)
		}
		w, n := wayOf(t, p, "wider-range")
		lo, hi := int(n["low_port"]), int(n["high_port"])
		if got := free(lo, hi); n["free_ports"] != float64(got) || *w.Carries != (got >= need) {
			t.Fatalf("wider-range %d-%d: %v, counted %d of %d", lo, hi, n, got, need)
		}
		if *w.Carries != (free(1024, 65535) >= need) {
			t.Fatalf("wider-range %d-%d carries: %v; the widest has %d, %d are needed", lo, hi, *w.Carries, free(1024, 65535), need)
		}
		if *w.Carries && need > now {
			if lo < int(ports.Low) && hi != 65535 {
				t.Fatalf("wider-range %d-%d goes down before it is at the top", lo, hi)
			}
			narrower := 2 // and one for the parity
			if lo < int(ports.Low) {
				lo += narrower
			} else {
				hi -= narrower
			}
			if hi >= int(ports.High) && free(lo, hi) >= need {
				t.Fatalf("%d-%d is enough", lo, hi)
			}
			if int(n["low_port"])%2 == int(n["high_port"])%2 && (n["low_port"] != 1024) {
				t.Fatalf("%v and %v have one parity", n["low_port"], n["high_port"])
			}
		}
		each := now + int(b.Taken[tcpvet.Established])
		for _, name := range []string{"source-addresses", "destinations"} {
			w, n := wayOf(t, p, name)
			if now == 0 {
				continue // the connections may be more than the ports there are
			}
			want := 1
			for now+(want-1)*each < need {
				want++
			}
			if !*w.Carries || n["addresses"] != float64(want) {
				t.Fatalf("%s: %v, counted %d", name, n, want)
			}
		}
	})
}

// TestPlanLeak says that a wider range does not help a leak.
func TestPlanLeak(t *testing.T) {
	b := new(tcpvet.Budget)
	b.Taken[tcpvet.CloseWait] = 5000
	c := portCensus(b)
	w, _ := wayOf(t, vet.PlanFor(c, useOf(t, c), 500, 0), "wider-range")
	if !slices.ContainsFunc(w.Arithmetic, func(l string) bool { return strings.Contains(l, "5,000 are in CLOSE-WAIT") }) {
		t.Errorf("%q", w.Arithmetic)
	}
	p := vet.PlanFor(c, useOf(t, c), 500, 0)
	asIs, _ := wayOf(t, p, "as-is")
	if want := "there are 28,232 - 2 reserved - 1 kept by bind() - 5,000 that stay taken = 23,229 ports"; p.Held != 5000 || asIs.Arithmetic[1] != want {
		t.Errorf("%d stay taken: %q, want %q", p.Held, asIs.Arithmetic[1], want)
	}
}
