package scenarios

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestTakerKeepsWhatItTook(t *testing.T) {
	to := serving(t, &server{idle: time.Hour})
	tk := &taker{}
	for _, order := range []takeOrder{
		{Count: 3, To: to},
		{Count: 3, Bind: to.Addr(), To: to},
		{Count: 3, Bind: to.Addr(), Late: true, To: to},
		{Count: 3, Bind: to.Addr()},
	} {
		r, err := tk.take(order)
		if err != nil || r.Count != 3 || r.Failure != nil || r.Low == 0 || r.High < r.Low+2 {
			t.Errorf("%+v: got %+v, %v", order, r, err)
		}
	}
	for i, fd := range tk.kept {
		sa, err := unix.Getpeername(fd)
		if connected := err == nil && sa.(*unix.SockaddrInet4).Port == int(to.Port()); connected != (i < 9) {
			t.Errorf("socket %d: connected to %v, %v", i, sa, err)
		}
	}
	if r, err := tk.release(struct{}{}); err != nil || r.Count != 12 || len(tk.kept) != 0 {
		t.Errorf("released %+v, %v", r, err)
	}
}

// A socket that fails is closed, and no other descriptor.
func TestTakerFails(t *testing.T) {
	absent := netip.MustParseAddr("192.0.2.1") // RFC 5737: no host has it
	before := descriptors(t)
	tk := &taker{}
	for range 3 {
		r, err := tk.take(takeOrder{Count: 1, Bind: absent})
		if err != nil || r.Count != 0 {
			t.Fatalf("got %+v, %v", r, err)
		}
		if err := failsBy(r.Failure, "bind", "EADDRNOTAVAIL"); err != nil {
			t.Error(err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(0, &st); err != nil {
		t.Errorf("standard input: %v", err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
	if err := failsBy(nil, "bind", "EADDRINUSE"); err == nil {
		t.Error("a success counts as a failure")
	}
}

func TestChurnClosesFirst(t *testing.T) {
	s := &server{idle: time.Hour}
	to := serving(t, s)
	const n = 5
	c, err := churn(churnOrder{To: to, Count: n})
	if err != nil || c.Count != n || c.Failure != nil || c.Refused != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
	// The client has seen the server close each time, before it went on.
	counts(t, s, traffic{Accepted: n, Answered: n, Closed: n})
}

func TestAskerLetsTheServerClose(t *testing.T) {
	for _, test := range []struct {
		keep        bool
		connections int
	}{{true, 1}, {false, 4}} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !test.keep {
				w.Header().Set("Connection", "close")
			}
			if strings.HasSuffix(r.URL.Path, "missing") {
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		to := netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://"))
		a := &asker{}
		r, err := a.ask(askOrder{To: to, Path: "/", Times: 4})
		if err != nil || r.Answered != 4 || r.Connections != test.connections || r.Status != http.StatusOK {
			t.Errorf("keep %v: got %+v, %v", test.keep, r, err)
		}
		r, err = a.ask(askOrder{To: to, Path: "/missing", Times: 4})
		if err != nil || r.Answered != 0 || r.Status != http.StatusNotFound {
			t.Errorf("keep %v, a missing page: got %+v, %v", test.keep, r, err)
		}
		if _, err := a.close(struct{}{}); err != nil {
			t.Error(err)
		}
		srv.Close()
	}
}
