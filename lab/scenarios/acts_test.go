package scenarios

import (
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
)

// Go's own client is the judge of what the server says.
func TestIdleServerSpeaksHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &server{idle: 200 * time.Millisecond}
	go s.accept(l)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	get := func() (reused bool) {
		t.Helper()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused },
		})
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String()+"/stock", nil)
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
	if get() {
		t.Error("the first request had a connection to reuse")
	}
	if !get() {
		t.Error("the server did not keep the connection for the second request")
	}
	for begin := time.Now(); s.closed.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("the server did not close a connection that was idle")
		}
	}
	if get() {
		t.Error("a connection that the server had closed was reused")
	}
	if got, _ := s.traffic(struct{}{}); got.Accepted != 2 || got.Answered != 3 {
		t.Errorf("the server counts %+v, want 2 connections and 3 answers", got)
	}
}

// The client must not take another failure for the one that the story is about.
func TestOnlyTheWantOfAPortIsExhaustion(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	_, _, refused := dial(closedPort)
	if err := exhausted(refused); err == nil || !strings.Contains(err.Error(), "connect: connection refused (ECONNREFUSED)") {
		t.Errorf("a closed port: got %v, %v", refused, err)
	}
	if err := exhausted(nil); err == nil {
		t.Error("a success counts as exhaustion")
	}
}

func TestClientClosesWhatItHoldsOldestFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go (&server{idle: time.Minute}).accept(l)
	to := l.Addr().(*net.TCPAddr).AddrPort()
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
	if r, err := c.reuse(reuseOrder{To: to, Times: 3}); err != nil || r.Answered != 3 {
		t.Errorf("reuse: got %+v, %v", r, err)
	}
}
