package keepalive

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Nothing of ours runs while a connection is open, whatever is on, and nothing stays
// after.
func TestNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	l := listen(t, "127.0.0.1:0")
	o := (&collected{}).options()
	o.Budget = &Budget{}
	d := Dialer(o)
	for range 50 {
		conn, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	goleak.VerifyNone(t, before)
}

// With ServerIdle the client lets go of an idle connection first: it has the TIME-WAIT,
// and no request can meet the server's FIN.
func TestLetsGoFirst(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	s.Config.IdleTimeout = 20 * time.Second
	s.Start()
	defer s.Close()
	address := s.Listener.Addr().String()
	tr := Transport(Options{ServerIdle: s.Config.IdleTimeout})
	// As long as the options say, and that takes a while.
	if tr.IdleConnTimeout != 19*time.Second {
		t.Fatalf("lets go after %v, want 19 s", tr.IdleConnTimeout)
	}
	tr.IdleConnTimeout = 300 * time.Millisecond
	resp, err := (&http.Client{Transport: tr}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if n := states(t, address)["ESTAB"]; n != 1 {
		t.Errorf("%v, want the connection kept", states(t, address))
	}
	until(t, "the client's end is in TIME-WAIT", func() bool { return states(t, address)["TIME-WAIT"] == 1 })
}
