package opened

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
)

// The dial and the connection know who made the request, and the request is what it
// was: its own trace, its body, its context.
func TestRequests(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	defer s.Close()
	var b Book
	tr := &http.Transport{}
	var dialler net.Dialer
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialler.DialContext(ctx, network, address)
		if err == nil {
			Note(ctx, c, "test", 0, &b)
		}
		return c, err
	}
	want := true
	if !Requests(tr, func() bool { return want }) {
		t.Fatal("not registered")
	}
	if Requests(tr, func() bool { return true }) {
		t.Error("registered twice")
	}
	client := &http.Client{Transport: tr}
	defer client.CloseIdleConnections()
	traced := 0
	send := func() {
		req, _ := http.NewRequest("POST", s.URL, strings.NewReader("body"))
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { traced++ }}))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, _ := io.ReadAll(resp.Body); string(got) != "body" {
			t.Errorf("answered %q", got)
		}
		if carriedBy(resp.Request.Context()) != nil || httptrace.ContextClientTrace(resp.Request.Context()) == nil {
			t.Error("the response is to another request")
		}
	}
	user := func() string {
		open := b.Open()
		if len(open) != 1 {
			t.Fatalf("%d connections", len(open))
		}
		return open[0].User().String()
	}
	for range 2 { // the hooks of the second request's trace are not the first one's
		first(send)
	}
	if !strings.Contains(user(), "opened.first") || !strings.Contains(b.Open()[0].Opener.String(), "opened.first") {
		t.Errorf("first by\n%s", user())
	}
	second(send)
	if !strings.Contains(user(), "opened.second") || !strings.Contains(b.Open()[0].Opener.String(), "opened.first") {
		t.Errorf("second by\n%s", user())
	}
	want = false
	first(send)
	if !strings.Contains(user(), "opened.second") {
		t.Error("told, though nobody wants it")
	}
	if traced != 4 {
		t.Errorf("the requests' own traces were called %d times, want 4", traced)
	}
}

//go:noinline
func first(send func()) { send() }

//go:noinline
func second(send func()) { send() }

// Carrying costs no more than the contexts and the copy of the request.
func TestCarryAllocates(t *testing.T) {
	req, _ := http.NewRequest("GET", "http://127.0.0.1/", nil)
	Carry(req, 0)
	if n := testing.AllocsPerRun(100, func() { Carry(req, 0) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
	carried := Carry(req, 0)
	if Carry(carried, 0) != carried {
		t.Error("carried twice")
	}
}
