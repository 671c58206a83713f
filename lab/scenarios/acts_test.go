package scenarios

import (
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serving starts a server and gives its address.
func serving(t *testing.T, s *server) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go s.accept(l)
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// counts waits until the server counts what it has to: it counts an answer after
// it has given it.
func counts(t *testing.T, s *server, want traffic) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		got, _ := s.traffic(struct{}{})
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server counts %+v, want %+v", got, want)
		}
	}
}

// Go's own client is the judge of what the server says.
func TestIdleServerSpeaksHTTP(t *testing.T) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	get := func(from netip.AddrPort) (reused bool) {
		t.Helper()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused },
		})
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+from.String()+"/stock", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != "stock\n" {
			t.Errorf("got %s %q, %v", resp.Status, body, err)
		}
		return reused
	}
	patient := &server{idle: time.Hour}
	at := serving(t, patient)
	if get(at) {
		t.Error("the first request had a connection to reuse")
	}
	if !get(at) {
		t.Error("the server did not keep the connection for the second request")
	}
	counts(t, patient, traffic{Accepted: 1, Answered: 2})
	hasty := &server{idle: time.Millisecond}
	at = serving(t, hasty)
	for n := int64(1); n <= 2; n++ {
		if get(at) {
			t.Error("a connection that the server had closed was reused")
		}
		counts(t, hasty, traffic{Accepted: n, Answered: n, Closed: n})
	}
}

// However hasty the server, it waits for a first request; and the client makes
// one again that met the end of its connection.
func TestIdlenessBeginsWithAnAnswer(t *testing.T) {
	s := &server{idle: time.Nanosecond}
	at := serving(t, s)
	fd, _, fail := dial(at)
	if fail != nil {
		t.Fatal(fail)
	}
	defer unix.Close(fd)
	const times = 3
	r, err := (&client{}).reuse(reuseOrder{To: at, Times: times})
	if err != nil || r.Answered != times || r.Connections != times {
		t.Errorf("reuse: got %+v, %v, want %d requests over as many connections", r, err, times)
	}
	counts(t, s, traffic{Accepted: 1 + times, Answered: times, Closed: times})
	if err := exchange(fd); err != nil {
		t.Errorf("the connection that was opened first: %v", err)
	}
	counts(t, s, traffic{Accepted: 1 + times, Answered: 1 + times, Closed: 1 + times})
	if err := exchange(fd); !hungUp(err) {
		t.Errorf("a second request, after the server has closed: %v", err)
	}
}

// The client must not take another failure for the one that the story is about.
func TestOnlyTheWantOfAPortIsExhaustion(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) // bound, so that nobody else listens there
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	port, err := localPort(fd)
	if err != nil {
		t.Fatal(err)
	}
	_, _, refused := dial(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
	if err := exhausted(refused); err == nil || !strings.Contains(err.Error(), "connect: connection refused (ECONNREFUSED)") {
		t.Errorf("a closed port: got %v, %v", refused, err)
	}
	if err := exhausted(nil); err == nil {
		t.Error("a success counts as exhaustion")
	}
}

func TestClientClosesWhatItHoldsOldestFirst(t *testing.T) {
	to := serving(t, &server{idle: time.Hour})
	c := &client{}
	got, err := c.leak(leakOrder{To: to, Limit: 1})
	if err != nil || got.Opened != 1 || got.Failure != nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	oldest := got.Last
	if got, err = c.leak(leakOrder{To: to, Limit: 2}); err != nil || got.Opened != 2 || got.Low > got.High {
		t.Fatalf("got %+v, %v", got, err)
	}
	for held := 2; held >= 0; held-- {
		cl, err := c.closeOldest(struct{}{})
		if err != nil || cl.Held != held || held == 2 && cl.Port != oldest {
			t.Errorf("got %+v, %v, want port %d and %d held", cl, err, oldest, held)
		}
	}
	if _, err := c.closeOldest(struct{}{}); err == nil {
		t.Error("closed a connection that was not held")
	}
	if r, err := c.reuse(reuseOrder{To: to, Times: 3}); err != nil || r.Answered != 3 || r.Connections != 1 {
		t.Errorf("reuse: got %+v, %v", r, err)
	}
}
