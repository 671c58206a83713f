package keepalive

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// racy answers one request of a connection and closes it when the second has come,
// without an answer: what a client sees of a server whose idle limit ended just then.
type racy struct {
	net.Listener
	mu   sync.Mutex
	seen map[string]int // requests by method, key and body
}

func newRacy(t *testing.T) *racy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &racy{Listener: l, seen: map[string]int{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *racy) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for n := range 2 {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		s.mu.Lock()
		s.seen[strings.TrimSpace(req.Method+" "+req.Header.Get("Idempotency-Key")+" "+string(body))]++
		s.mu.Unlock()
		if n == 0 {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
}

// The keep-alive race is retried just as net/http does, which stands beside: a GET, and
// a POST with a key, are sent again; a POST without is not.
func TestKeepAliveRace(t *testing.T) {
	for _, test := range []struct {
		method, key, body string
		sent              int
	}{
		{"GET", "", "", 2},
		{"POST", "", "payload", 1},
		{"POST", "k1", "payload", 2},
		{"PUT", "", "payload", 1},
	} {
		outcome := func(tr *http.Transport) (sent int, err error) {
			s := newRacy(t)
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			url := "http://" + s.Addr().String() + "/"
			resp, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			s.mu.Lock()
			clear(s.seen)
			s.mu.Unlock()
			req, _ := http.NewRequest(test.method, url, strings.NewReader(test.body))
			if test.key != "" {
				req.Header.Set("Idempotency-Key", test.key)
			}
			resp, err = client.Do(req)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.seen[strings.TrimSpace(test.method+" "+test.key+" "+test.body)], err
		}
		plainSent, plainErr := outcome(&http.Transport{})
		for name, o := range map[string]Options{"zero value": {}, "all on": {TrackLeaks: true, Budget: &Budget{}, Stats: new(Stats)}} {
			sent, err := outcome(Transport(o))
			if sent != test.sent || sent != plainSent {
				t.Errorf("%s, %s with key %q: sent %d times, want %d; net/http %d", name, test.method, test.key, sent, test.sent, plainSent)
			}
			if (err == nil) != (test.sent == 2) || (err == nil) != (plainErr == nil) {
				t.Errorf("%s, %s with key %q: %v; net/http %v", name, test.method, test.key, err, plainErr)
			}
			if err != nil && errors.Unwrap(err).Error() != errors.Unwrap(plainErr).Error() {
				t.Errorf("%s: the error is %q, of net/http %q", name, errors.Unwrap(err), errors.Unwrap(plainErr))
			}
		}
	}
}
