package path

import (
	"context"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/probe"
)

// slack is how far a busy machine may move what a stage or a server does from where it
// is to be.
const slack = 500 * time.Millisecond

// encloses tells whether the truth lies in what was measured.
func encloses(l probe.Limit, truth time.Duration) bool {
	return l.Survived > 0 && l.Survived <= truth+slack && l.Ended >= truth-slack/10 && l.Ended <= truth+3*slack
}

// found is what a measurement has to come to.
type found struct {
	play string
	// The limit of the path, and how it shows. None: all was survived.
	path time.Duration
	how  probe.Fate
	// The server's own, 0 for none.
	server time.Duration
	says   []string
	// Segments of the server came while those were idle that it closed.
	broken bool
	// Some that had been idle for a little less were asked once one was lost.
	narrowed bool
}

func (want *found) check(t *testing.T, i *probe.Idle) {
	t.Helper()
	failed := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format, args...)
		for _, tr := range i.Trials {
			t.Logf("%+v", tr)
		}
	}
	path, how, ok := i.Path()
	switch {
	case want.path == 0 && want.how == probe.Undecided:
		if ok {
			failed("a limit of the path was found: %+v, by %v", path, how)
		}
	case !ok:
		failed("nothing was found of the path")
	case want.path == 0 && path.Ended != 0:
		failed("a limit of the path was found: %+v, by %v", path, how)
	case want.path != 0 && (!encloses(path, want.path) || how != want.how):
		failed("the limit of the path is %+v, by %v; want %v in it, by %v", path, how, want.path, want.how)
	case want.path == 0 && want.server == 0 && want.says == nil && path.Survived < most:
		failed("survived was %v, want %v", path.Survived, most)
	}
	server, closes := i.Server()
	if closes != (want.server != 0) || closes && !encloses(server, want.server) {
		failed("the server's limit is %+v, %v; want %v in it", server, closes, want.server)
	}
	if want.broken && !slices.ContainsFunc(i.Trials, func(tr probe.Trial) bool {
		return tr.Fate == probe.Closed && tr.Broken > 0 && tr.Silence.Low < tr.Quiet.Low-slack
	}) {
		failed("no connection was closed after the server had probed it")
	}
	if want.narrowed {
		first := time.Duration(math.MaxInt64)
		for _, tr := range i.Trials {
			if tr.Fate == want.how {
				first = min(first, tr.At)
			}
		}
		if !slices.ContainsFunc(i.Trials, func(tr probe.Trial) bool { return tr.Fate == probe.Answered && tr.At >= first }) {
			failed("nothing was asked once one was lost, or all was lost")
		}
	}
	r := i.Read()
	text := strings.Join(append(r.Text, r.Unknown...), "\n")
	for _, words := range want.says {
		if !strings.Contains(text, words) {
			failed("%q is not in\n%s", words, text)
		}
	}
	if len(i.Trials) > 20 {
		t.Errorf("%d connections were used", len(i.Trials))
	}
}

func TestRootIdle(t *testing.T) {
	kerneltest.Root(t)
	t.Parallel()
	checkAll(t, []found{
		{play: "drop", path: limit, how: probe.Silent, says: []string{"gets no answer, and this end takes it for open"}},
		{play: "reset", path: limit, how: probe.ResetAsked, says: []string{"is answered by RST", "who sent the RST"}, narrowed: true},
		{play: "drop after 5 s", path: 5 * time.Second, how: probe.Silent},
		{play: "reset after 5 s", path: 5 * time.Second, how: probe.ResetAsked},
		{play: "nothing"},
		{play: "server", server: limit, says: []string{"its own limit"}},
		{play: "server with last words", server: limit, says: []string{"its own limit"}},
		{play: "server after the path", path: limit, how: probe.Silent},
		{play: "server that resets", path: limit, how: probe.ResetIdle, says: []string{"is ended by an RST"}},
		{play: "server that greets", path: limit, how: probe.Silent},
		{play: "server that probes", says: []string{"The server sent segments by itself meanwhile"}},
		{play: "server that probes and closes", server: limit, says: []string{"The server sent segments by itself meanwhile"}, broken: true},
		{play: "vanished", how: probe.Undecided, says: []string{"a new one was not answered either"}},
		{play: "every second", how: probe.Undecided, says: []string{"not by how long they were idle"}},
		{play: "one probe lost"},
	})
}

func checkAll(t *testing.T, wants []found) {
	t.Helper()
	var names []string
	for _, want := range wants {
		names = append(names, want.play)
	}
	all := playAll[probe.Idle](t, names)
	for _, want := range wants {
		t.Run(want.play, func(t *testing.T) { want.check(t, all[want.play]) })
	}
}

// The firewall is the kernel's own.
func TestIdleThroughConntrack(t *testing.T) {
	kerneltest.UserNS(t)
	kerneltest.Tool(t, "nft")
	t.Parallel()
	checkAll(t, []found{
		{play: "conntrack", path: limit, how: probe.Silent},
		{play: "loose", says: []string{"nf_conntrack_tcp_loose"}},
	})
}

// listen gives a server of this process, and options to measure it by.
func listen(t *testing.T, serve func(*net.TCPConn)) Options {
	t.Helper()
	at := kerneltest.Serve(t, "127.0.0.1:0", func(c *net.TCPConn) {
		t.Cleanup(func() { c.Close() })
		_ = c.SetKeepAlive(false)
		serve(c)
	})
	return Options{Target: at.String(), Host: at.Addr().String(), Port: at.Port(), Timeout: timeout, Steps: Ladder(2 * time.Second), Probes: 1}
}

// Nothing is sent but what was asked for, and an answer to it starts the silence.
func TestIdleWrites(t *testing.T) {
	t.Parallel()
	for _, write := range []string{"", "GET / HTTP/1.0\r\n\r\n"} {
		t.Run(write, func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 30)
			o := listen(t, func(c *net.TCPConn) {
				buf := make([]byte, 100)
				n, _ := c.Read(buf)
				heard <- string(buf[:n])
				time.Sleep(300 * time.Millisecond) // the silence begins when the answer has come
				_, _ = io.WriteString(c, "200")
				_, _ = c.Read(buf)
				c.Close()
			})
			o.Write = []byte(write)
			told := 0
			o.Tell = func(p Progress) {
				told++
				if p.Most != 2*time.Second || p.Open+p.Asked == 0 {
					t.Errorf("progress %+v", p)
				}
			}
			i, err := Idle(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			path, _, ok := i.Path()
			if !ok || path.Ended != 0 || path.Survived < 2*time.Second || !i.Loopback || i.Wrote != len(write) || told == 0 {
				t.Errorf("%+v, %v, told %d times: %+v", path, ok, told, i)
			}
			// The ends of all are read before this.
			for range len(i.Trials) {
				if got := <-heard; got != write {
					t.Errorf("the server was sent %q, want %q", got, write)
				}
			}
		})
	}
}

// Whoever ends it is told so far, and at once.
func TestIdleInterrupted(t *testing.T) {
	o := listen(t, func(c *net.TCPConn) {})
	o.Steps = []time.Duration{Least, time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Tell = func(p Progress) {
		if p.Asked > 0 {
			cancel()
		}
	}
	i, err := Idle(ctx, o)
	if err != nil || !i.Interrupted || i.Took > time.Minute {
		t.Fatalf("%+v, %v", i, err)
	}
	path, _, ok := i.Path()
	if !ok || path.Survived < Least || path.Ended != 0 || len(i.Trials) != 1 {
		t.Errorf("told so far: %+v, %v: %+v", path, ok, i)
	}
	if text := strings.Join(i.Read().Unknown, "\n"); !strings.Contains(text, "did not leave this host") {
		t.Errorf("%s", text)
	}
}
