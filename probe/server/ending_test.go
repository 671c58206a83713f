package server

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// after waits for a request or the end of the connection, for so long: false for
// neither.
func after(conn net.Conn, in *bufio.Reader, idle time.Duration) bool {
	_ = conn.SetReadDeadline(time.Now().Add(idle))
	_, err := in.Peek(1)
	_ = conn.SetReadDeadline(time.Time{})
	return !isTimeout(err)
}

// idleServer answers, and calls end for a connection that was idle for so long.
func idleServer(t *testing.T, idle time.Duration, end func(conn *net.TCPConn, in *bufio.Reader)) string {
	return script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
		for answerWith(conn, in, ok) {
			if !after(conn, in, idle) {
				end(conn, in)
				return
			}
		}
	})
}

// A server that ends none is looked at for as long as was asked for, and no longer.
func TestKeepsAll(t *testing.T) {
	t.Parallel()
	const most = 3 * time.Second
	h, k := keeping(t, idleServer(t, time.Minute, nil), func(o *Options) { o.Most, o.Requests = most, 0 })
	if k.Found() || k.Survived < most {
		t.Errorf("%+v", k)
	}
	// The last ones begin 2 * nearest[3] later, and look for as long.
	if h.Took > most+2*nearest[3]+most/4+slowest(h) {
		t.Errorf("it took %s to look for %s", h.Took, most)
	}
}

// Each way in which a server can end an idle connection is told from the others, and
// the limit is enclosed.
func TestEndings(t *testing.T) {
	t.Parallel()
	const idle = 1300 * time.Millisecond
	for _, test := range []struct {
		name   string
		end    func(conn *net.TCPConn, in *bufio.Reader)
		how    probe.Ending
		status int
		asked  bool // only a request shows it
	}{
		{"FIN", func(*net.TCPConn, *bufio.Reader) {}, probe.ByFIN, 0, false},
		{"RST", func(c *net.TCPConn, _ *bufio.Reader) { _ = c.SetLinger(0) }, probe.ByRST, 0, false},
		{"an answer that nobody asked for", func(c *net.TCPConn, _ *bufio.Reader) {
			_, _ = c.Write([]byte("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		}, probe.ByAnswer, 408, false},
		{"bytes", func(c *net.TCPConn, _ *bufio.Reader) { _, _ = c.Write([]byte("bye\r\n")) }, probe.ByBytes, 0, false},
		{"a part of an answer, and no end", func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = c.Write([]byte("HTTP/1.1 408 "))
			_, _ = io.Copy(io.Discard, in)
		}, probe.ByBytes, 0, false},
		{"FIN in place of an answer", func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = in.ReadString('\n')
			for in.Buffered() > 0 { // with bytes that are not read it would be an RST
				_, _ = in.Discard(in.Buffered())
			}
		}, probe.ByFIN, 0, true},
		{"RST in place of an answer", func(c *net.TCPConn, in *bufio.Reader) { _, _ = in.ReadByte(); _ = c.SetLinger(0) }, probe.ByRST, 0, true},
		{"silence", func(c *net.TCPConn, in *bufio.Reader) {
			for {
				if _, err := in.ReadByte(); err != nil {
					return
				}
			}
		}, probe.BySilence, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, k := keeping(t, idleServer(t, idle, test.end), func(o *Options) {
				o.Most, o.Requests = 4*time.Second, 0
				if test.how == probe.BySilence {
					o.Timeout = time.Second
				}
			})
			if k.How != test.how || k.Status != test.status || k.OnlyAsked != test.asked || k.AtOnce || k.FromOpening {
				t.Errorf("%+v", k)
			}
			if test.asked {
				// Asked on the way alone: the limit lies between two of the times.
				if slow := slowest(h); slow < calm && k.Survived == 0 || k.Survived > idle+late+slow || k.Ended < idle-early {
					t.Errorf("%s to %s", k.Survived, k.Ended)
				}
				return
			}
			encloses(t, h, k, idle)
		})
	}
}

// A server that keeps connections for longer than is looked at.
func TestBeyond(t *testing.T) {
	t.Parallel()
	h, k := keeping(t, idleServer(t, time.Minute, nil), func(o *Options) { o.Most, o.ClientIdle = time.Second, 500*time.Millisecond })
	if k.Found() || slowest(h) < calm && k.Survived < time.Second || h.Stopped || h.Fits(h.ClientIdle) == probe.FitTooLong {
		t.Errorf("%+v", k)
	}
	if text := strings.Join(h.Unknown(), "; "); !strings.Contains(text, "a limit above 1 s: --most") {
		t.Errorf("%q", text)
	}
}

// A limit that counts from the opening ends what was used meanwhile too.
func TestFromOpening(t *testing.T) {
	t.Parallel()
	const life = 3 * time.Second
	h, k := keeping(t, script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
		end := time.Now().Add(life)
		for after(conn, in, time.Until(end)) && answerWith(conn, in, ok) {
		}
	}), func(o *Options) { o.Requests = 0 })
	// It runs from the opening, which is some time before the request that this is
	// measured from.
	if slow := slowest(h); slow < calm && !k.FromOpening || k.AtOnce || k.Survived > life+late+slow || k.Ended < life-late-slow {
		t.Errorf("%+v\n%+v", k, h.Kept)
	}
}

// Two servers behind one address do not keep connections equally long: the shorter
// time is the limit.
func TestDifferent(t *testing.T) {
	t.Parallel()
	h, k := keeping(t, script(t, func(n int, conn *net.TCPConn, in *bufio.Reader) {
		idle := 600 * time.Millisecond
		if n%2 == 0 {
			idle = time.Minute
		}
		for answerWith(conn, in, ok) && after(conn, in, idle) {
		}
	}), func(o *Options) { o.Most, o.Requests = 3*time.Second, 0 })
	if k.Longest < k.Ended || k.How != probe.ByFIN {
		t.Errorf("%+v", k)
	}
	encloses(t, h, k, 600*time.Millisecond)
}

// The number of requests is found whether or not the server announces its end.
func TestRequests(t *testing.T) {
	t.Parallel()
	serve := func(announce bool, limit func(n int) int) string {
		return script(t, func(n int, conn *net.TCPConn, in *bufio.Reader) {
			for i := range limit(n) {
				text := ok
				if announce && i == limit(n)-1 {
					text = strings.Replace(ok, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
				}
				if !answerWith(conn, in, text) {
					return
				}
			}
		})
	}
	var chance sync.Map
	for _, test := range []struct {
		name     string
		announce bool
		limit    func(n int) int
		n        int
		limited  bool
		told     bool
	}{
		{"announced", true, func(int) int { return 7 }, 7, true, true},
		{"without a word", false, func(int) int { return 7 }, 7, true, false},
		{"more than are made", false, func(int) int { return 100 }, 20, false, false},
		{"by chance", false, func(n int) int { v, _ := chance.LoadOrStore(n, 5+n%7); return v.(int) }, -1, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := counted(t, serve(test.announce, test.limit), nil)
			n, limited := r.Limit()
			if test.n >= 0 && n != test.n || limited != test.limited || r.Told != test.told {
				t.Errorf("%d requests, limited %v: %+v", n, limited, r)
			}
		})
	}
}

// Connections are asked again shortly before their end: the limit is enclosed well. By
// itself, for that takes a machine that has time.
func TestEnclosedWell(t *testing.T) {
	const idle = 1900 * time.Millisecond // far from the times at which it asks on the way
	h, k := keeping(t, idleServer(t, idle, func(*net.TCPConn, *bufio.Reader) {}), func(o *Options) { o.Requests = 0 })
	encloses(t, h, k, idle)
	if slowest(h) >= calm {
		t.Logf("the machine has no time: an answer took %s", slowest(h))
	}
}

// A request that Ctrl-C broke off was not left without an answer by the server.
func TestStoppedAsking(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 100)
	u, err := ParseURL(script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
		answerWith(conn, in, ok)
		if _, err := in.ReadByte(); err == nil {
			asked <- struct{}{}
		}
		_, _ = in.WriteTo(io.Discard)
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := stoppable(t)
	go func() { <-asked; stop() }()
	h, err := New(Options{URL: u, Method: "GET", Most: time.Minute, Timeout: time.Minute, Connections: 14}).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if k, measured := h.Keeping(); !h.Stopped || measured || k.Found() {
		t.Errorf("%+v", k)
	}
}

// Ctrl-C gives what was measured by then.
func TestStopped(t *testing.T) {
	t.Parallel()
	u, err := ParseURL(idleServer(t, time.Minute, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := stoppable(t)
	m := New(Options{URL: u, Method: "GET", Most: time.Minute, Timeout: 10 * time.Second, Connections: 14, Requests: 100_000})
	go func() {
		for m.Progress().Survived == 0 && pause(ctx, 10*time.Millisecond) {
		}
		stop()
	}()
	h, err := m.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	k, measured := h.Keeping()
	if !h.Stopped || !measured || k.Found() || k.Survived < time.Second || k.Survived > 30*time.Second || h.Failed != 0 {
		t.Errorf("%+v; %d failed: %s", k, h.Failed, h.Why)
	}
	if text := h.Text()[0]; !strings.HasPrefix(text, "Broken off") {
		t.Errorf("%q", text)
	}
}
