package leaktest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/keepalive"
)

// The right siblings of the wrong programs.

func rightGet(t *testing.T, client *http.Client, url string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, 4096)
		return
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// The server goes on longer than the test, and idle connections to it are left in
// the pool.
func rightPool(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	for range 5 {
		rightGet(t, http.DefaultClient, srv.URL)
	}
}

// The same, where the program has replaced the dialer that has the hook.
func rightOwnDial(t *testing.T) {
	http.DefaultTransport.(*http.Transport).DialContext = new(net.Dialer).DialContext
	rightPool(t)
}

func rightClosedServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	defer srv.Close()
	rightGet(t, http.DefaultClient, srv.URL)
	rightGet(t, srv.Client(), srv.URL)
}

func rightErrorPath(t *testing.T) {
	srv := serve(t, http.NotFound)
	for range 3 {
		rightGet(t, http.DefaultClient, srv.URL)
	}
}

func rightTransport(t *testing.T) {
	srv := serve(t, hello)
	for range 3 {
		tr := &http.Transport{}
		rightGet(t, &http.Client{Transport: tr}, srv.URL)
		tr.CloseIdleConnections()
	}
}

func rightHTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	defer tr.CloseIdleConnections()
	for range 3 {
		rightGet(t, &http.Client{Transport: tr}, srv.URL)
	}
}

// A request that is given up takes its connection with it.
func rightCanceled(t *testing.T) {
	asked := make(chan bool)
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("the request was not given up")
	}
}

func rightUpgrade(t *testing.T) {
	srv := serve(t, upgrade)
	req, err := http.NewRequest("GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.(io.Writer).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func rightHijack(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	})
	rightGet(t, http.DefaultClient, srv.URL)
}

// It closes a moment after the test has ended, as many do.
func rightLate(t *testing.T) {
	conn, err := net.Dial("tcp", peer(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer conn.Close()
		time.Sleep(20 * time.Millisecond)
	}()
}

func rightConn(t *testing.T) {
	addr := peer(t, echo)
	for _, dial := range []func(network, addr string) (net.Conn, error){
		net.Dial, new(Dialer).Dial, keepalive.Dialer(keepalive.Options{}).Dial,
		func(network, addr string) (net.Conn, error) {
			return new(Dialer).DialContext(t.Context(), network, addr)
		},
	} {
		conn, err := dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func rightSQLPool(t *testing.T) {
	p := &pool{addr: peer(t, echo), dial: new(Dialer).Dial}
	defer p.close()
	p.query(t, 3)
	p.query(t, 2)
}

func rightFile(t *testing.T) {
	conn, err := new(Dialer).Dial("tcp", peer(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
}

// A listener, a datagram socket and a socket that was never connected are no
// connections.
func rightOthers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hold(l)
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hold(p)
}

// What was open before is not the test's.
var before net.Conn

func rightSubtests(t *testing.T) {
	srv := serve(t, hello)
	for _, name := range []string{"a", "b", "c", "d"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Check(t)
			for range 20 {
				rightGet(t, http.DefaultClient, srv.URL)
			}
		})
	}
}

func rightIgnored(t *testing.T) {
	conn, err := new(Dialer).Dial("tcp", peer(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	before = conn
}

// net/http would lose responses without a body if another test's Check closed what is
// idle (pool.go). Only the body's absence makes it so.
func rightBodyless(t *testing.T) {
	srv := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 10 {
				t.Run("", func(t *testing.T) {
					Options{Settle: 10 * time.Second}.Check(t) // of what may be another's it waits for a tenth of that
					for range 20 {
						rightGet(t, http.DefaultClient, srv.URL)
					}
				})
			}
		})
	}
}
