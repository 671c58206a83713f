package trace_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/trace"
)

// dial opens a connection that is held until the test ends.
func dial(t testing.TB, port string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// thisLine gives the place of the call before it.
func thisLine() (file string, line int) {
	_, file, line, _ = runtime.Caller(1)
	return filepath.Base(file), line
}

func gapText(l tcpvet.Leaks) (text string) {
	for _, g := range l.Census.Gaps {
		text += g.What + ": " + g.Err + "; needs " + g.Needs + "\n"
	}
	return text
}

// group gives the only group that is known so.
func group(t testing.TB, l tcpvet.Leaks, by tcpvet.StackKnownBy) *tcpvet.Leak {
	t.Helper()
	var found *tcpvet.Leak
	for i := range l.Groups {
		if g := &l.Groups[i]; g.KnownBy == by {
			if found != nil {
				t.Errorf("two groups are known by %v", by)
			}
			found = g
		}
	}
	if found == nil {
		t.Fatalf("no group is known by %v in %+v", by, l.Groups)
	}
	return found
}

// What was opened before the trace, what was opened since, and what was accepted never
// share a group.
func TestRootLeakWays(t *testing.T) { kerneltest.Undisturbed(t, testLeakWays) }

func testLeakWays(t testing.TB) {
	apart(t)
	port := hangUp(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer server.Close()
	acceptLine := 0
	accept := func() {
		peer := dial(t, strconv.Itoa(server.Addr().(*net.TCPAddr).Port))
		c, err := server.Accept()
		_, acceptLine = thisLine()
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, peer.Close())
	}
	dial(t, port)
	dial(t, port)
	s, r := watch(t, trace.StacksOptions{})
	for range 3 {
		dial(t, port)
	}
	dialed, dialLine := thisLine()
	for range 4 {
		accept()
	}
	l := look(t, s, r, 9, nil)
	before, connect, accepted := group(t, l, tcpvet.StackBefore), group(t, l, tcpvet.StackConnect), group(t, l, tcpvet.StackAccept)
	if len(l.Groups) != 3 || before.Count != 2 || connect.Count != 3 || accepted.Count != 4 {
		t.Errorf("got %+v, want 2 before, 3 by connect, 4 by accept", l.Groups)
	}
	if before.Stack != nil || before.Role != tcpvet.Client || accepted.Role != tcpvet.Server {
		t.Errorf("got %+v and %+v", before, accepted)
	}
	if holds(connect.Stack, dialed, dialLine-2) < 0 {
		t.Errorf("line %d is not in\n%s", dialLine-2, text(connect.Stack))
	}
	if i := holds(accepted.Stack, dialed, acceptLine-1); i < 0 || tcpvet.Own(accepted.Stack) != i {
		t.Errorf("line %d is not the first in\n%s", acceptLine-1, text(accepted.Stack))
	}
	if l.Traced <= 0 || len(s.Missing()) != 0 {
		t.Errorf("traced for %v, missing %v", l.Traced, s.Missing())
	}
}

// Where nothing can be watched the groups are those of process and service.
func TestRootLeakBlind(t *testing.T) {
	apart(t)
	port := hangUp(t)
	for range 3 {
		dial(t, port)
	}
	s, r := watch(t, trace.StacksOptions{})
	var none *trace.Stacks
	l := look(t, none, r, 3, func(o *trace.LeakOptions) { o.Missing = &trace.MissingError{Needs: []string{"CAP_BPF"}} })
	g := group(t, l, tcpvet.StackMissing)
	if g.Count != 3 || g.Process.PID != int32(os.Getpid()) || g.Stack != nil || l.Traced != 0 {
		t.Errorf("got %+v", l.Groups)
	}
	if told := gapText(l); !strings.Contains(told, "stacks: not permitted; needs CAP_BPF") {
		t.Errorf("no gap names CAP_BPF in\n%s", told)
	}
	// /proc/net/tcp tells no cookie.
	proc, err := source.Open("procfs")
	must(t, err)
	l = look(t, s, r, 3, func(o *trace.LeakOptions) { o.Source = proc })
	if g := group(t, l, tcpvet.StackMissing); g.Count != 3 {
		t.Errorf("by procfs: %+v", l.Groups)
	}
}

// Nobody is counted before his time, and the time is that of the FIN.
func TestRootLeakOlderThan(t *testing.T) { kerneltest.Undisturbed(t, testLeakOlderThan) }

func testLeakOlderThan(t testing.TB) {
	apart(t)
	port := hangUp(t)
	s, r := watch(t, trace.StacksOptions{})
	dial(t, port)
	begin := time.Now()
	l := look(t, s, r, 1, func(o *trace.LeakOptions) { o.OlderThan = time.Hour })
	if l.Younger != 1 || l.Count() != 0 || l.OlderThan != time.Hour {
		t.Errorf("%d are younger than an hour, %d older", l.Younger, l.Count())
	}
	time.Sleep(50 * time.Millisecond)
	atLeast := time.Since(begin)
	l = look(t, s, r, 1, func(o *trace.LeakOptions) { o.OlderThan = 20 * time.Millisecond })
	g := group(t, l, tcpvet.StackConnect)
	// The FIN may have come a little after dial returned.
	if g.Oldest.By != "traced" || g.Oldest.Low != g.Oldest.High || g.Oldest.Low > time.Since(begin)+time.Second || g.Oldest.Low < 20*time.Millisecond || g.Unsure != 0 {
		t.Errorf("oldest %v, want about %v", g.Oldest, atLeast)
	}
}

// A table that is full is told, and what is over leaves it.
func TestRootStacksBounds(t *testing.T) {
	apart(t)
	port := hangUp(t)
	s, r := watch(t, trace.StacksOptions{Connections: 4, Distinct: 1})
	for range 100 {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		must(t, err)
		// The server's end takes a place too, until it is over.
		_, _ = io.Copy(io.Discard, c)
		must(t, c.Close())
		settle(t, s)
	}
	st, err := s.Stats()
	must(t, err)
	if st.Refused != 0 {
		t.Fatalf("%d of 100 connections, one after the other, found no room among 4", st.Refused)
	}
	held := trace.StackStats{}
	for range 9 {
		dial(t, port)
	}
	l := look(t, s, r, 9, nil)
	if held, err = s.Stats(); err != nil || held.Refused == 0 || held.Stackless == 0 {
		t.Errorf("%+v, %v: want some refused and some without a stack", held, err)
	}
	if told := gapText(l); !strings.Contains(told, "table of connections was full") || !strings.Contains(told, "no room beside") {
		t.Errorf("gaps are\n%s", told)
	}
	if l.Count() != 9 {
		t.Errorf("%d connections in groups, want 9", l.Count())
	}
	if g := group(t, l, tcpvet.StackNoRoom); g.Stack != nil {
		t.Errorf("got %+v", g)
	}
}

// What is in another namespace is left alone.
func TestRootStacksNetns(t *testing.T) {
	apart(t)
	port := hangUp(t)
	elsewhere, err := trace.OpenStacks(trace.StacksOptions{Netns: []tcpvet.NetnsID{1}})
	must(t, err)
	defer elsewhere.Close()
	everywhere, err := trace.OpenStacks(trace.StacksOptions{})
	must(t, err)
	defer everywhere.Close()
	dial(t, port)
	none, err := elsewhere.Stats()
	must(t, err)
	all, err := everywhere.Stats()
	must(t, err)
	if none.Opened != 0 || all.Opened == 0 {
		t.Errorf("%d of another namespace, %d of all; want 0 and 1 at least", none.Opened, all.Opened)
	}
}

// settle waits until the kernel is done with what was closed.
func settle(t testing.TB, s *trace.Stacks) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		out, err := exec.Command(kerneltest.Tool(t, "ss"), "-Htn", "state", "connected", "exclude", "time-wait").Output()
		must(t, err)
		if len(out) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still open after a minute:\n%s", out)
		}
	}
}

// The stack is read in the process that opened the connection, whoever holds it.
func TestRootLeakHandedOver(t *testing.T) { kerneltest.Undisturbed(t, testLeakHandedOver) }

func testLeakHandedOver(t testing.TB) {
	apart(t)
	port := hangUp(t)
	s, r := watch(t, trace.StacksOptions{})
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	must(t, err)
	file, line := thisLine()
	f, err := c.(*net.TCPConn).File()
	must(t, err)
	heir := exec.Command("cat")
	heir.ExtraFiles = []*os.File{f}
	in, err := heir.StdinPipe()
	must(t, err)
	must(t, heir.Start())
	defer func() {
		in.Close()
		_ = heir.Wait()
	}()
	must(t, f.Close())
	must(t, c.Close())
	g := group(t, look(t, s, r, 1, nil), tcpvet.StackConnect)
	if g.Process != processOf(t, heir.Process.Pid) || g.Opener != processOf(t, os.Getpid()) || holds(g.Stack, file, line-2) < 0 {
		t.Errorf("got %+v, want that %d holds it and %d opened it in line %d", g, heir.Process.Pid, os.Getpid(), line-2)
	}
}

// In a PID namespace of its own a process has the number that the reader knows it by.
func TestRootLeakPIDNamespace(t *testing.T) { kerneltest.Undisturbed(t, testLeakPIDNamespace) }

func testLeakPIDNamespace(t testing.TB) {
	apart(t)
	port := hangUp(t)
	s, r := watch(t, trace.StacksOptions{})
	program := made(t, "gcc", "-O2", "-g", "testdata/leak/leak.c")
	leak(t, port, append([]string{kerneltest.Tool(t, "unshare"), "--pid", "--fork"}, program...), "3", "0")
	g := group(t, look(t, s, r, 3, nil), tcpvet.StackConnect)
	if g.Opener != (tcpvet.Process{}) || g.Process.PID <= 1 || holds(g.Stack, "leak.c", lineOf(t, "testdata/leak/leak.c", "often")) < 0 {
		t.Errorf("got %+v\n%s", g, text(g.Stack))
	}
}
