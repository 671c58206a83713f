package leaktest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// hooksTell collects what hooks tell until the test is over.
func hooksTell(t *testing.T) func() []*opened.Conn {
	t.Helper()
	var mu sync.Mutex
	var all []*opened.Conn
	t.Cleanup(opened.Tell(func(c *opened.Conn, _ *net.TCPConn) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, c)
	}))
	return func() []*opened.Conn {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// A hook gives the program what it would have had without: package net's own
// connection.
func TestHookIsTransparent(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	hooksTell(t)
	for name, dial := range map[string]dialFunc{
		"http.DefaultTransport": http.DefaultTransport.(*http.Transport).DialContext,
		"Dialer":                new(Dialer).DialContext,
	} {
		conn, err := dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, ok := conn.(*net.TCPConn); !ok {
			t.Errorf("%s gives %T", name, conn)
		}
		l.Close()
		if _, err := dial(t.Context(), "tcp", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "127.0.0.1:0") {
			t.Errorf("%s: error %v", name, err)
		}
		l = listen(t, "127.0.0.1:0")
	}
}

// Without a check the hooks keep nothing.
func TestHookSleeps(t *testing.T) {
	if opened.Watched() {
		t.Fatal("another test is checked")
	}
	srv := serve(t, hello)
	rightGet(t, http.DefaultClient, srv.URL)
	requesters.Lock()
	defer requesters.Unlock()
	if requesters.by[current()] != nil {
		t.Error("a request was noted")
	}
	if book.conns != nil {
		t.Error("connections were noted")
	}
}

// A transport goes on as it was: HTTP/2 where it would, its own dialers, its proxy.
func TestWatchKeeps(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	pinned := srv.Client().Transport.(*http.Transport).TLSClientConfig

	told := hooksTell(t)
	proto := func(name string, tr *http.Transport, url string) string {
		t.Helper()
		Watch(tr)
		Watch(tr)
		defer tr.CloseIdleConnections()
		n := len(told())
		resp, err := (&http.Client{Transport: tr}).Get(url)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all := told()
		if len(all) != n+1 {
			t.Fatalf("%s: %d connections were noted, want 1", name, len(all)-n)
		}
		if f, ok := all[n].Opener.Caller(); !ok || !strings.Contains(f.Function, "TestWatchKeeps") {
			t.Errorf("%s: opened by %s", name, f.Function)
		}
		return resp.Proto
	}

	dials := 0
	dial := func(network, addr string) (net.Conn, error) {
		dials++
		return net.Dial(network, addr)
	}
	dialTLS := func(network, addr string) (net.Conn, error) {
		dials++
		config := pinned.Clone()
		config.NextProtos = nil
		return tls.Dial(network, addr, config)
	}
	for _, test := range []struct {
		name  string
		tr    *http.Transport
		proto string
	}{
		// A configuration of TLS turns HTTP/2 off unless it is forced, hook or not.
		{"forced HTTP/2", &http.Transport{TLSClientConfig: pinned.Clone(), ForceAttemptHTTP2: true}, "HTTP/2.0"},
		{"TLS configured", &http.Transport{TLSClientConfig: pinned.Clone()}, "HTTP/1.1"},
		//lint:ignore SA1019 programs that still set it keep it
		{"its own Dial", &http.Transport{TLSClientConfig: pinned.Clone(), Dial: dial}, "HTTP/1.1"},
		{"its own DialContext", &http.Transport{TLSClientConfig: pinned.Clone(), DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			return dial(network, addr)
		}}, "HTTP/1.1"},
		//lint:ignore SA1019 programs that still set it keep it
		{"its own DialTLS", &http.Transport{DialTLS: dialTLS}, "HTTP/1.1"},
		{"its own DialTLSContext", &http.Transport{DialTLSContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			return dialTLS(network, addr)
		}}, "HTTP/1.1"},
	} {
		if test.tr.TLSClientConfig != nil {
			test.tr.TLSClientConfig.NextProtos = nil
		}
		if got := proto(test.name, test.tr, "https://"+addr); got != test.proto {
			t.Errorf("%s: %s, want %s", test.name, got, test.proto)
		}
	}
	if dials != 4 {
		t.Errorf("its own dialers were called %d times, want 4", dials)
	}

	zero := &http.Transport{}
	Watch(zero)
	if !zero.ForceAttemptHTTP2 {
		t.Error("a transport without anything of its own would lose HTTP/2")
	}

	refused := errors.New("no proxy today")
	tr := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, refused }}
	Watch(tr)
	resp, err := (&http.Client{Transport: tr}).Get(srv.URL)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, refused) {
		t.Errorf("its own Proxy: error %v", err)
	}
}

// Two lines that make requests at the same time. Over TLS the hook finds whose
// request it dials for, or says nothing; it takes none for the other, with a limit of
// connections too, where the end of one request starts the dial of another.
func TestRequestersNeverMixed(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(hello))
	defer srv.Close()
	for _, limit := range []int{0, 1} {
		tr := srv.Client().Transport.(*http.Transport).Clone()
		tr.DisableKeepAlives = true
		tr.MaxConnsPerHost = limit
		Watch(tr)
		client := &http.Client{Transport: tr}
		told := hooksTell(t)

		var mu sync.Mutex
		by := map[string]string{} // local address: who got the connection, or either
		traced := func(who string) *http.Request {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
				mu.Lock()
				defer mu.Unlock()
				local := got.Conn.LocalAddr().String()
				if was := by[local]; was != "" && was != who {
					who = "either" // a port whose TIME-WAIT is a second old is chosen again
				}
				by[local] = who
			}})
			req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
			if err != nil {
				t.Error(err)
			}
			return req
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 12 {
					one(t, client, traced("one"))
					two(t, client, traced("two"))
				}
			})
		}
		wg.Wait()

		known := 0
		for _, c := range told() {
			if _, ok := c.Opener.Caller(); !ok {
				continue
			}
			known++
			if who := by[c.Local.String()]; who != "either" && !strings.Contains(c.Opener.String(), "/leaktest."+who+"\n") {
				t.Errorf("with a limit of %d: a connection of %q is said to be opened by\n%s", limit, who, c.Opener)
			}
		}
		if limit == 0 && known != 192 {
			t.Errorf("the request of %d of 192 connections is known", known)
		}
	}
}

//go:noinline
func one(t *testing.T, client *http.Client, req *http.Request) { fetch(t, client, req) }

//go:noinline
func two(t *testing.T, client *http.Client, req *http.Request) { fetch(t, client, req) }

func fetch(t *testing.T, client *http.Client, req *http.Request) {
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}

// A request that found a connection in the pool leaves nothing to the next dial from
// its goroutine.
func TestRequestersForget(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(hello))
	defer secure.Close()
	plain := serve(t, hello)
	tr := secure.Client().Transport.(*http.Transport).Clone()
	Watch(tr)
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	told := hooksTell(t)
	get := func(fetch func(*testing.T, *http.Client, *http.Request), url string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		fetch(t, client, req)
	}
	get(one, secure.URL)
	get(one, secure.URL)
	get(two, plain.URL)
	all := told()
	if len(all) != 2 {
		t.Fatalf("%d connections were opened, want 2", len(all))
	}
	for i, who := range []string{"one", "two"} {
		if !strings.Contains(all[i].Opener.String(), "/leaktest."+who+"\n") {
			t.Errorf("connection %d was opened by\n%s, want %s", i, all[i].Opener, who)
		}
	}
}

// What a goroutine left serves one dial, and there is a bound to what is left.
func TestRequestersOnce(t *testing.T) {
	var r requests
	req := httptest.NewRequest("GET", "/", nil)
	r.enter(req)
	if r.leave(current()) == nil {
		t.Fatal("the request was not noted")
	}
	if r.leave(current()) != nil {
		t.Error("one request served two dials")
	}
	for id := range uint64(mostRequesters) {
		r.by[1<<60+id] = opened.Callers(0)
	}
	r.enter(req)
	if n := len(r.by); n != 1 {
		t.Errorf("%d goroutines are known beyond the bound", n)
	}
}
