package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// budgetTuple is what this test reads of a tuple in tcpvet/budget/v1.
type budgetTuple struct {
	Local, Remote *string
	Range         struct{ Low, High, Size int }
	Reserved      int
	Blocked       int            `json:"blocked_by_bind"`
	Taken         map[string]int // by state
	OnReserved    int            `json:"taken_on_reserved"`
	Reusable      int            `json:"reusable_time_wait"`
	Left          int
	Ratio         float64 `json:"headroom_ratio"`
	Rate          struct {
		Last60 float64 `json:"last_60s"`
		By     string
	} `json:"rate_per_s"`
	Sustainable float64  `json:"sustainable_per_s"`
	By          string   `json:"sustainable_by"`
	ExhaustedIn *float64 `json:"exhausted_in_s"`
	Holders     []struct {
		Process *struct{ PID int }
		Held    string
		Count   int
	}
}

// portStage is a namespace of its own with a range of 200 ports and connections in
// several states to one listener in it.
type portStage struct {
	t      *testing.T
	tcpvet string
	server int
}

const (
	stageLow, stageSize = 40000, 200
	stageTo             = "127.0.0.1:8080"
)

func newPortStage(t *testing.T, reuse string) *portStage {
	kerneltest.Root(t)
	kerneltest.Tool(t, "ss")
	s := &portStage{t: t, tcpvet: binary(t)}
	kerneltest.Netns(t)
	for name, value := range map[string]string{
		"ip_local_port_range": fmt.Sprintf("%d %d", stageLow, stageLow+stageSize-1), // an even number: connect() leaves out the last of an odd one
		"tcp_tw_reuse":        reuse,
	} {
		s.set(name, value)
	}
	s.server = s.bound(8080)
	if err := unix.Listen(s.server, 1024); err != nil {
		t.Fatalf("listen: %v", err)
	}
	return s
}

func (s *portStage) set(name, value string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4", name), []byte(value), 0); err != nil {
		s.t.Fatalf("set %s: %v", name, err)
	}
}

func (s *portStage) socket() int {
	s.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatalf("socket: %v", err)
	}
	s.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// shut sends a FIN and keeps the descriptor.
func (s *portStage) shut(fd int) {
	s.t.Helper()
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		s.t.Fatalf("shutdown: %v", err)
	}
}

// bound gives a socket that holds a port by bind().
func (s *portStage) bound(port int) int {
	s.t.Helper()
	fd := s.socket()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		s.t.Fatalf("bind %d: %v", port, err)
	}
	return fd
}

func connectStage(fd int) error {
	return unix.Connect(fd, &unix.SockaddrInet4{Port: 8080, Addr: [4]byte{127, 0, 0, 1}})
}

// pair opens a connection and gives both ends.
func (s *portStage) pair(client int) (int, int) {
	s.t.Helper()
	if err := connectStage(client); err != nil {
		s.t.Fatalf("connect: %v", err)
	}
	server, _, err := unix.Accept4(s.server, unix.SOCK_CLOEXEC)
	if err != nil {
		s.t.Fatalf("accept: %v", err)
	}
	s.t.Cleanup(func() { unix.Close(server) })
	return client, server
}

// closeFirst opens n connections that the client closes, then the server, and
// leaves the client's ends in TIME-WAIT.
func (s *portStage) closeFirst(n int) {
	s.t.Helper()
	for range n {
		client, server := s.pair(s.socket())
		s.shut(client)
		if got, err := unix.Read(server, make([]byte, 1)); got != 0 || err != nil {
			s.t.Fatalf("read the client's end: %d bytes, %v", got, err)
		}
		s.shut(server)
		if got, err := unix.Read(client, make([]byte, 1)); got != 0 || err != nil {
			s.t.Fatalf("read the server's end: %d bytes, %v", got, err)
		}
	}
}

// closeSecond opens n connections that the server closes and the client does not.
func (s *portStage) closeSecond(n int) {
	s.t.Helper()
	for range n {
		_, server := s.pair(s.socket())
		s.shut(server)
	}
}

// ss counts the connections of the tuple whose port lies in the range, by state.
func (s *portStage) ss() map[string]int {
	s.t.Helper()
	out, err := exec.Command("ss", "-Htan", "dst", stageTo, "sport", "ge", fmt.Sprintf(":%d", stageLow), "sport", "le", fmt.Sprintf(":%d", stageLow+stageSize-1)).Output()
	if err != nil {
		s.t.Fatalf("ss: %v", err)
	}
	counts := make(map[string]int)
	for line := range strings.Lines(string(out)) {
		counts[strings.Fields(line)[0]]++
	}
	return counts
}

// settle waits until ss counts what the stage has made.
func (s *portStage) settle(want map[string]int) {
	s.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := s.ss()
		if maps.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("ss counts %v, staged were %v", got, want)
		}
	}
}

// budget runs the verb and gives its only tuple.
func (s *portStage) budget(args ...string) (tuple budgetTuple, status int) {
	s.t.Helper()
	out, status := run(s.t, s.tcpvet, append([]string{"budget", stageTo, "--netns", "self", "-o", "json"}, args...)...)
	var doc struct{ Tuples []budgetTuple }
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		s.t.Fatalf("%v:\n%s", err, out)
	}
	if len(doc.Tuples) != 1 {
		s.t.Fatalf("%d tuples, want one:\n%s", len(doc.Tuples), out)
	}
	return doc.Tuples[0], status
}

// fill connects until connect() fails, and gives how often it did not.
func (s *portStage) fill() int {
	s.t.Helper()
	for n := 0; n <= stageSize; n++ {
		if err := connectStage(s.socket()); errors.Is(err, unix.EADDRNOTAVAIL) {
			return n
		} else if err != nil {
			s.t.Fatalf("connect: %v", err)
		}
	}
	s.t.Fatal("connect() never failed")
	return 0
}

func taken(states map[string]int) map[string]int {
	out := maps.Clone(states)
	maps.DeleteFunc(out, func(_ string, n int) bool { return n == 0 })
	return out
}

// TestRootBudget compares each number with what ss counts and with sums of what
// was staged, and the ports left with what connect() does.
func TestRootBudget(t *testing.T) {
	s := newPortStage(t, "0")
	const (
		reserved                      = 11
		established, leaking, resting = 25, 20, 30
	)
	s.set("ip_local_reserved_ports", "40010-40019,40031,50000")
	s.bound(40050)
	s.bound(40051)
	s.bound(40012) // reserved as well: it counts once
	if err := unix.Listen(s.bound(40100), 1); err != nil {
		t.Fatal(err)
	}
	const bound = 3
	for range established {
		s.pair(s.socket())
	}
	onReserved := s.bound(40015)
	s.pair(onReserved)
	s.closeSecond(leaking)
	s.closeFirst(resting)
	want := map[string]int{"ESTAB": established + 1, "CLOSE-WAIT": leaking, "TIME-WAIT": resting}
	s.settle(want)

	got, status := s.budget()
	left := stageSize - reserved - bound - established - leaking - resting
	usable := stageSize - reserved
	if got.Range.Low != stageLow || got.Range.High != stageLow+stageSize-1 || got.Range.Size != stageSize {
		t.Errorf("range %+v", got.Range)
	}
	if got.Reserved != reserved || got.Blocked != bound || got.OnReserved != 1 || got.Left != left || got.Reusable != 0 {
		t.Errorf("reserved %d, bound %d, on reserved ports %d, left %d, reusable %d; want %d, %d, 1, %d, 0",
			got.Reserved, got.Blocked, got.OnReserved, got.Left, got.Reusable, reserved, bound, left)
	}
	if !maps.Equal(taken(got.Taken), want) {
		t.Errorf("taken %v, ss counts %v", got.Taken, want)
	}
	if ratio := float64(left) / float64(usable); math.Abs(got.Ratio-ratio) > 1e-6 {
		t.Errorf("headroom %v, want %v", got.Ratio, ratio)
	}
	if status != 0 {
		t.Errorf("exit status %d with %.0f %% left", status, 100*got.Ratio)
	}
	if rate := float64(usable-bound) / 60; math.Abs(got.Sustainable-rate) > 1e-6 || got.By != "time-wait" {
		t.Errorf("bears %v by %s, want %v by time-wait", got.Sustainable, got.By, rate)
	}
	// Which of the two grows hangs on how long the staging took.
	if n := map[string]int{"close-wait": leaking, "time-wait": resting}[got.Rate.By]; math.Abs(got.Rate.Last60*60-float64(n)) > 1e-3 || n == 0 {
		t.Errorf("%v/s by %q over 60 s, where %d came", got.Rate.Last60, got.Rate.By, n)
	}
	if h := got.Holders; len(h) != 2 || h[0].Process == nil || h[0].Process.PID != os.Getpid() || h[0].Count != established+1+leaking ||
		h[1].Process != nil || h[1].Held != "nobody" || h[1].Count != resting {
		t.Errorf("holders %+v", h)
	}

	file := filepath.Join(t.TempDir(), "look.jsonl")
	if _, status := run(t, s.tcpvet, "snapshot", file, "--netns", "self"); status != 0 {
		t.Fatalf("snapshot: exit status %d", status)
	}
	if saved, _ := s.budget("--from", file); s.ss()["TIME-WAIT"] == resting &&
		(saved.Left != got.Left || saved.Blocked != got.Blocked || saved.Reserved != got.Reserved || !maps.Equal(saved.Taken, got.Taken) || len(saved.Holders) != 2) {
		t.Errorf("from a snapshot %+v, live %+v", saved, got)
	}

	s.connects(left)
	full, status := s.budget()
	if full.Left != 0 && s.ss()["TIME-WAIT"] == resting || status != 1 {
		t.Errorf("%d left and exit status %d after connect() failed", full.Left, status)
	}
	if full.Left == 0 && (full.ExhaustedIn == nil || *full.ExhaustedIn != 0) {
		t.Errorf("exhausted in %v s, want 0: now", full.ExhaustedIn)
	}
}

// connects fills the tuple, which has to take left connections more. TIME-WAITs that
// end meanwhile, on a machine that is very busy, give their ports back.
func (s *portStage) connects(left int) {
	s.t.Helper()
	before := s.ss()["TIME-WAIT"]
	n := s.fill()
	if ended := before - s.ss()["TIME-WAIT"]; n < left || n > left+max(ended, 0) {
		s.t.Errorf("connect() succeeded %d times, budget said %d (%d TIME-WAITs ended)", n, left, ended)
	}
}

// TestRootBudgetReuse counts TIME-WAITs that the kernel would reuse as left, and
// the kernel reuses them.
func TestRootBudgetReuse(t *testing.T) {
	s := newPortStage(t, "1")
	const established, resting = 150, 40
	for range established {
		s.pair(s.socket())
	}
	s.closeFirst(resting)
	s.settle(map[string]int{"ESTAB": established, "TIME-WAIT": resting})
	settled := time.Now()
	var got budgetTuple
	for deadline := time.Now().Add(40 * time.Second); got.Reusable != resting; got, _ = s.budget() {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d TIME-WAITs are reusable", got.Reusable, resting)
		}
	}
	if want := stageSize - established; got.Left != want {
		t.Errorf("%d left, want %d", got.Left, want)
	}
	if got.By != "reuse" || got.Sustainable != stageSize {
		t.Errorf("bears %v by %s, want %d by reuse after 1 s", got.Sustainable, got.By, stageSize)
	}
	if h := got.Holders; len(h) != 1 || h[0].Count != established {
		t.Errorf("holders %+v: a port that would be reused has none", h)
	}
	// All reusable ones are gone when it is full. The timers that are printed count
	// ticks, which a busy machine may begin late and catch up with; what the kernel
	// goes by is the clock.
	time.Sleep(time.Until(settled.Add(1200 * time.Millisecond)))
	if n := s.fill(); n != got.Left {
		t.Errorf("connect() succeeded %d times, budget said %d", n, got.Left)
	}
}

// TestRootBudgetNoPort names a namespace where connect() can choose no port.
func TestRootBudgetNoPort(t *testing.T) {
	s := newPortStage(t, "0")
	s.set("ip_local_reserved_ports", fmt.Sprintf("%d-%d", stageLow, stageLow+stageSize-1))
	if n := s.fill(); n != 0 {
		t.Fatalf("connect() succeeded %d times", n)
	}
	got, status := s.budget()
	if got.Local != nil || got.Remote != nil || got.Left != 0 || got.Reserved != stageSize || status != 1 {
		t.Errorf("%+v, exit status %d", got, status)
	}
}
