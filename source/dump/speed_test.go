package dump

import (
	"bytes"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/tcpvet/tcpvet"
)

// manyLines makes n lines as of ss -tan, as a crawler's host would print them.
func manyLines(n int) []byte {
	var b bytes.Buffer
	b.WriteString("State      Recv-Q Send-Q      Local Address:Port        Peer Address:Port Process\n")
	states := [...]string{"ESTAB", "TIME-WAIT", "CLOSE-WAIT", "SYN-SENT"}
	for i := range n {
		fmt.Fprintf(&b, "%-10s %-6d %-6d %18s:%-5d %18s:%-5d           \n", states[i%4], i%3, i%5,
			fmt.Sprintf("10.%d.%d.1", i>>16, i>>8&255), 1024+i%60000, fmt.Sprintf("10.200.%d.%d", i>>8&255, i&255), 443)
	}
	return b.Bytes()
}

// TestSpeed holds Parse to half a second of CPU time, of the best of three runs,
// and a tenth of an allocation for each line.
func TestSpeed(t *testing.T) {
	const n = 200_000
	text := manyLines(n)
	best := time.Hour
	var before, after runtime.MemStats
	for range 3 {
		runtime.ReadMemStats(&before)
		start := cpuTime(t)
		d, err := Parse(bytes.NewReader(text), Options{})
		took := cpuTime(t) - start
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if d.records.len() != n {
			t.Fatalf("%d sockets were read, not %d", d.records.len(), n)
		}
		best = min(best, took)
	}
	limit := 500 * time.Millisecond
	if raceEnabled {
		limit *= 20
	}
	if best > limit {
		t.Errorf("%d lines take %v, not under %v", n, best, limit)
	}
	if per := float64(after.Mallocs-before.Mallocs) / n; per >= 0.1 {
		t.Errorf("%.3f allocations a line, not under 0.1", per)
	}
	t.Logf("%d lines in %v, %.4f allocations and %.0f bytes a line", n, best,
		float64(after.Mallocs-before.Mallocs)/n, float64(after.TotalAlloc-before.TotalAlloc)/n)
}

// cpuTime is what this process has used. Others may keep the machine busy.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestSpeedOfEach holds Each to no allocation for a socket, and Parse to none
// for a line of any other kind beyond its place in memory.
func TestSpeedOfEach(t *testing.T) {
	d, err := Parse(bytes.NewReader(manyLines(50_000)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var o counter
	if per := testing.AllocsPerRun(3, func() { _ = d.Each(&o, 0) }); per > 10 {
		t.Errorf("Each makes %.0f allocations", per)
	}
	if o.n == 0 {
		t.Error("Each told nothing")
	}
	const n = 20_000
	for _, line := range []string{
		`ESTAB 0 0 [2001:db8::1]:40000 [2001:db8::2%eth0]:80 users:(("app",pid=4,fd=3),("app",pid=9,fd=3)) timer:(keepalive,9sec,0) uid:7 ino:9 sk:3 <->` +
			" ts sack cubic wscale:7,7 rto:204 rtt:0.5/0.25 mss:1448 cwnd:10 bytes_sent:9 lastsnd:5 lastrcv:5 lastack:5 delivery_rate 3.2Mbps minrtt:0.1 \n",
		"tcp6 0 0 10.0.0.1:40000 10.0.0.2:80 ESTABLISHED 1000 77 4/app keepalive (71.50/0/0)\n",
		"app 4 root 3u IPv4 77 0t0 TCP 10.0.0.1:40000->10.0.0.2:80 (ESTABLISHED)\n",
		"0: 0100007F:1F90 0200007F:CD1E 08 00000000:00000001 00:00000000 00000000 0 0 77\n",
	} {
		text := bytes.Repeat([]byte(line), n)
		allocs := testing.AllocsPerRun(1, func() {
			if _, err := Parse(bytes.NewReader(text), Options{}); err != nil {
				t.Fatal(err)
			}
		})
		if allocs/n >= 0.1 {
			t.Errorf("%.3f allocations for each line such as %.30q", allocs/n, line)
		}
	}
}

type counter struct{ n int }

func (c *counter) Host(tcpvet.Host)                           {}
func (c *counter) Netns(tcpvet.Netns)                         {}
func (c *counter) Process(tcpvet.Process, tcpvet.ProcessInfo) {}
func (c *counter) Socket(*tcpvet.Socket) error                { c.n++; return nil }
func (c *counter) Gap(tcpvet.Gap)                             {}
func (c *counter) Changed(uint64)                             {}

// TestSize holds what the comment of Dump says.
func TestSize(t *testing.T) {
	if r, d, i := unsafe.Sizeof(record{}), unsafe.Sizeof(detail{}), unsafe.Sizeof(tcpvet.TCPInfo{}); r != 64 || r+d != 104 || r+d+i > 300 {
		t.Errorf("a record has %d bytes, a detail %d, tcp_info %d", r, d, i)
	}
}
