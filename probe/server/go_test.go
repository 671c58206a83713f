package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// goServer starts Go's own server, over TLS where h2 or h1 over TLS is asked for.
func goServer(t *testing.T, idle time.Duration, overTLS, h2 bool, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.Config.IdleTimeout = idle
	s.EnableHTTP2 = h2
	if overTLS {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.URL
}

func fine(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fine\n")) }

// Go's server ends a connection of HTTP/1.1 by close(), which over TLS says
// close_notify first, and one of HTTP/2 by GOAWAY, NO_ERROR.
func TestGo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		overTLS, h2 bool
		speak       Protocol
		protocol    string
		how         probe.Ending
	}{
		{"HTTP/1.1", false, false, Negotiated, "HTTP/1.1", probe.ByFIN},
		{"HTTP/1.1 over TLS", true, false, Negotiated, "HTTP/1.1", probe.ByCloseNotify},
		{"HTTP/1.1 where HTTP/2 is there", true, true, HTTP1, "HTTP/1.1", probe.ByCloseNotify},
		{"HTTP/2", true, true, Negotiated, "HTTP/2", probe.ByGoAway},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, k := keeping(t, goServer(t, time.Second, test.overTLS, test.h2, fine), func(o *Options) {
				o.Insecure, o.Protocol, o.Requests = true, test.speak, 0
			})
			encloses(t, h, k, time.Second)
			if h.Answer.Protocol != test.protocol || k.How != test.how || (h.Answer.TLS != "") != test.overTLS {
				t.Errorf("%s over %q, ended by %s", h.Answer.Protocol, h.Answer.TLS, k.How)
			}
			r := counted(t, goServer(t, time.Minute, test.overTLS, test.h2, fine), func(o *Options) { o.Protocol, o.Requests = test.speak, 300 })
			if n, limited := r.Limit(); limited || n != 300 || r.Others != 0 || r.Why != "" {
				t.Errorf("%d requests, limited %v: %+v", n, limited, r)
			}
			if k.How == probe.ByGoAway && k.Code != "NO_ERROR" {
				t.Errorf("GOAWAY with %s", k.Code)
			}
		})
	}
}

// What stands in an answer is read, over both versions: a body longer than a frame, an
// interim answer, chunks, trailers, HEAD.
func TestAnswers(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 200_000)
	handle := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "Sum")
		w.Header().Set("X-From", r.Header.Get("X-To")+" at "+r.Host)
		if r.Header.Get("X-To") != "you" || r.Host != "shop.internal" || r.URL.RequestURI() != "/a%20b?c=d" {
			panic(http.ErrAbortHandler) // not what was asked for
		}
		w.WriteHeader(http.StatusTeapot)
		for range 3 {
			_, _ = w.Write([]byte(body))
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("Sum", "1")
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, h2 := range []bool{false, true} {
			t.Run(method, func(t *testing.T) {
				t.Parallel()
				r := counted(t, goServer(t, time.Minute, true, h2, handle)+"/a%20b?c=d", func(o *Options) {
					o.Method, o.Header, o.Requests, o.ClientIdle = method, http.Header{"X-To": {"you"}, "Host": {"shop.internal"}}, 5, 0
				})
				if r.Answered != 5 || r.Others != 0 || r.Why != "" {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// Bodies are counted: HTTP/2 lets a server send no more than it was told to.
func TestWindow(t *testing.T) {
	body := make([]byte, 1<<20)
	r := counted(t, goServer(t, time.Minute, true, true, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }), func(o *Options) { o.Requests = 1000 })
	if r.Answered != mostTraffic>>20+1 || !strings.Contains(r.Why, "the answers had 65 MiB together") {
		t.Errorf("%+v", r)
	}
}

// A shutdown ends all connections at the same moment, which is no limit.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(fine))
	defer s.Close()
	u, err := ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	m := New(Options{URL: u, Method: http.MethodGet, Most: 15 * time.Second, Timeout: 10 * time.Second, Connections: 14})
	go func() {
		for m.Progress().Open < 14 && pause(t.Context(), 10*time.Millisecond) {
		}
		s.CloseClientConnections()
	}()
	h, err := m.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if k, _ := h.Keeping(); !k.AtOnce && slowest(h) < calm {
		t.Errorf("%+v\n%+v", k, h.Kept)
	}
}

// Certificates are checked, and what is wrong with them is said.
func TestCertificate(t *testing.T) {
	t.Parallel()
	target := goServer(t, time.Second, true, true, fine)
	_, err := measure(t, target, func(o *Options) { o.Timeout = time.Minute })
	says(t, err, "check the server's certificate", "unknown authority", "--insecure")
	_, err = measure(t, goServer(t, time.Second, true, false, fine), func(o *Options) { o.Insecure, o.Protocol, o.Timeout = true, HTTP2, time.Minute })
	says(t, err, "HTTP/2", "--h2")
}

// says fails the test where an error lacks words.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one with %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %q", err, word)
		}
	}
}
