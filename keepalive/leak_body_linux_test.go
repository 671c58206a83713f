package keepalive

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// server answers at once, or begins a long body, and can hang up on all clients.
func server(t *testing.T, secure bool) (*httptest.Server, func()) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			w.Header().Set("Content-Length", "100000000")
			io.WriteString(w, "some of it")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "short")
	}))
	var mu sync.Mutex
	var conns []net.Conn
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, c)
		}
	}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			// Only a FIN: a close with unread data would reset.
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			c.(*net.TCPConn).CloseWrite()
		}
	}
}

// The line is that of the request whose body is not closed, not of the one for which the
// connection was dialled, and neither is that of net/http's own goroutine.
func TestLeakOfBody(t *testing.T) {
	for _, test := range []struct {
		name   string
		secure bool
		client func(Options, *tls.Config) *http.Client
		knows  bool
	}{
		{"http by Transport", false, byTransport, true},
		{"http by Client", false, func(o Options, _ *tls.Config) *http.Client { return Client(o) }, true},
		{"https by RoundTripper", true, byRoundTripper, true},
		{"https by Transport", true, byTransport, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, hangUp := server(t, test.secure)
			var c collected
			client := test.client(c.options(), trust(s))
			opens := func() {
				resp, err := client.Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			opens()
			resp, err := client.Get(s.URL + "/long")
			at := line() - 1
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { resp.Body.Close() })
			if resp.Request.URL.Path != "/long" {
				t.Errorf("the response is to %s", resp.Request.URL)
			}
			hangUp()
			leak := c.one(t)
			resp.Body.Close()
			if !test.knows {
				if leak.Caller.Function != "" || leak.Request != nil || !strings.Contains(leak.String(), "not known") {
					t.Errorf("%v", leak)
				}
				return
			}
			if leak.Caller.Line != at || !strings.Contains(leak.Caller.Function, "TestLeakOfBody") {
				t.Errorf("requested by %s line %d, want line %d", leak.Caller.Function, leak.Caller.Line, at)
			}
			if !contains(leak.Stack, "TestLeakOfBody.func") || !contains(leak.Request, "net/http.(*Client).Get") {
				t.Errorf("stacks %v and %v", leak.Stack, leak.Request)
			}
			if s := leak.String(); !strings.Contains(s, "requested by") || !strings.Contains(s, fmt.Sprintf("leak_body_linux_test.go:%d", at)) {
				t.Errorf("%q", s)
			}
		})
	}
}

func contains(frames []runtime.Frame, function string) bool {
	for _, f := range frames {
		if strings.Contains(f.Function, function) {
			return true
		}
	}
	return false
}

func byTransport(o Options, trusts *tls.Config) *http.Client {
	t := Transport(o)
	t.TLSClientConfig = trusts
	return &http.Client{Transport: t}
}

func byRoundTripper(o Options, trusts *tls.Config) *http.Client {
	t := Transport(o)
	t.TLSClientConfig = trusts
	return &http.Client{Transport: RoundTripper(t)}
}

// trust has a client believe a test server, and speak HTTP/1.1, in which a body holds
// its connection.
func trust(s *httptest.Server) *tls.Config {
	if s.Certificate() == nil {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{RootCAs: roots}
}
