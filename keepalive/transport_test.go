package keepalive

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Bursts of a hundred requests use the same connections again.
func TestBursts(t *testing.T) {
	opens := func(tr *http.Transport) int {
		var opened atomic.Int64
		var together sync.WaitGroup
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			together.Done()
			together.Wait() // all at the same time
		}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		s.Start()
		defer s.Close()
		client := &http.Client{Transport: tr}
		defer client.CloseIdleConnections()
		for range 3 {
			const burst = 100
			together.Add(burst)
			getTogether(t, client, s.URL, burst)
		}
		return int(opened.Load())
	}
	if n := opens(Transport(Options{})); n > 110 {
		t.Errorf("%d connections for three bursts of 100, want 100", n)
	}
	if n := opens(&http.Transport{}); n < 200 {
		t.Errorf("net/http opens %d: the test shows nothing", n)
	}
}

func TestHTTPFailures(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close() // accepts by its backlog, and says nothing
	gone, _ := net.Listen("tcp", "127.0.0.1:0")
	gone.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	secure.StartTLS()
	defer secure.Close()
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
	}))
	defer loop.Close()
	for _, test := range []struct {
		name, url, words string
		timeout          bool
	}{
		{"a closed port", "http://" + gone.Addr().String(), "connection refused", false},
		{"no such host", "http://host.invalid/", "host.invalid", false},
		{"a mute server", "http://" + mute.Addr().String(), "awaiting response headers", true},
		{"a mute server, TLS", "https://" + mute.Addr().String(), "TLS handshake timeout", true},
		{"an unknown certificate", secure.URL, "certificate", false},
		{"HTTP where TLS is spoken", strings.Replace(loop.URL, "http:", "https:", 1), "server gave HTTP response to HTTPS client", false},
		{"redirects without end", loop.URL, "stopped after 10 redirects", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, o := range []Options{{}, {TrackLeaks: true, Budget: &Budget{}}} {
				if test.timeout {
					o.ResponseTimeout = 200 * time.Millisecond
				}
				tr := Transport(o)
				if test.timeout {
					tr.TLSHandshakeTimeout = 200 * time.Millisecond
				}
				client := &http.Client{Transport: tr}
				began := time.Now()
				resp, err := client.Get(test.url)
				if err == nil {
					resp.Body.Close()
					t.Fatal("succeeded")
				}
				if !strings.Contains(err.Error(), test.words) {
					t.Errorf("%q does not say %q", err, test.words)
				}
				if ne, ok := errors.AsType[net.Error](err); test.timeout && (!ok || !ne.Timeout()) {
					t.Errorf("%v is no timeout", err)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("took %v", took)
				}
				client.CloseIdleConnections()
			}
		})
	}
	tr := Transport(Options{})
	if tr.ResponseHeaderTimeout != 0 || tr.TLSHandshakeTimeout != 10*time.Second {
		t.Errorf("waits %v and %v", tr.ResponseHeaderTimeout, tr.TLSHandshakeTimeout)
	}
}

// HTTP/2 is spoken where the server does, tracked or not.
func TestHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	plain, tracking, carrying := Transport(Options{}), Transport(Options{TrackLeaks: true}), Transport(Options{TrackLeaks: true})
	for _, tr := range []*http.Transport{plain, tracking, carrying} {
		tr.TLSClientConfig = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	}
	for _, client := range []*http.Client{{Transport: plain}, {Transport: tracking}, {Transport: RoundTripper(carrying)}} {
		for range 2 {
			resp, err := client.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(b) != "HTTP/2.0" {
				t.Errorf("spoke %s", b)
			}
		}
		client.CloseIdleConnections()
	}
}

// A cancelled request ends at once, with its own cause.
func TestCancel(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := &http.Client{Transport: Transport(Options{TrackLeaks: true})}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String(), nil)
	if _, err := client.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// getTogether makes so many requests at a time, and reads each answer to its end.
func getTogether(t *testing.T, client *http.Client, url string, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			resp, err := client.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	all.Wait()
}
