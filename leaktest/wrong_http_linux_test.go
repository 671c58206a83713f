package leaktest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/keepalive"
)

// Programs that use net/http wrongly. Each leaves open what its name says.

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func wrongBody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	defer srv.Close()
	resp, err := http.Get(srv.URL) // wrong: the body is not closed
	if err != nil {
		t.Fatal(err)
	}
	t.Log(resp.Status)
}

func wrongBodyOpen(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	resp, err := http.Get(srv.URL) // wrong: the body is not closed, and the server goes on
	if err != nil {
		t.Fatal(err)
	}
	t.Log(resp.Status)
}

func wrongErrorPath(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	get := func() error {
		resp, err := http.Get(srv.URL) // wrong: of a 404 the body is not closed
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	for range 3 {
		t.Log(get())
	}
}

func wrongReused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	defer srv.Close()
	rightGet(t, http.DefaultClient, srv.URL)
	resp, err := http.Get(srv.URL) // wrong: the second request over the connection leaves it
	if err != nil {
		t.Fatal(err)
	}
	t.Log(resp.Status)
}

func wrongTransport(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	for range 3 {
		client := &http.Client{Transport: &http.Transport{}} // one each, and dropped
		rightGet(t, client, srv.URL)
	}
}

func wrongWatched(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	tr := &http.Transport{}
	Watch(tr)
	resp, err := (&http.Client{Transport: tr}).Get(srv.URL) // wrong: idle in a pool that is dropped
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

func wrongClone(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(hello))
	defer srv.Close()
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	tr.TLSClientConfig.NextProtos = nil
	tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(srv.URL) // wrong: a body over TLS
	if err != nil {
		t.Fatal(err)
	}
	t.Log(resp.Proto)
}

func wrongHTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(srv.URL) // wrong: a stream of HTTP/2
	if err != nil {
		t.Fatal(err)
	}
	if resp.Proto != "HTTP/2.0" {
		t.Fatal(resp.Proto)
	}
}

func wrongUpgrade(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(upgrade))
	defer srv.Close()
	req, err := http.NewRequest("GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := http.DefaultClient.Do(req) // wrong: the body of a 101 is the connection
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.(io.Writer).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// upgrade leaves HTTP, answers with what it reads, and closes when the peer does.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_ = rw.Flush()
	go func() {
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
}

func wrongHijack(t *testing.T) {
	kept := make(chan net.Conn, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		kept <- conn // and nobody closes it
	}))
	defer srv.Close()
	rightGet(t, http.DefaultClient, srv.URL)
	hold(<-kept)
}

func wrongUnderWay(t *testing.T) {
	asked := make(chan bool)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	go func() {
		resp, err := http.Get(srv.URL) // wrong: nobody ends this request
		if err == nil {
			resp.Body.Close()
		}
	}()
	<-asked
}

func wrongHandshake(t *testing.T) {
	accepted := make(chan bool)
	addr := peer(t, func(conn net.Conn) {
		hold(conn) // and says nothing
		close(accepted)
	})
	go func() {
		resp, err := http.Get("https://" + addr) // wrong: nobody ends this handshake
		if err == nil {
			resp.Body.Close()
		}
	}()
	<-accepted
}

func wrongSubtests(t *testing.T) {
	srv := serve(t, hello)
	for _, name := range []string{"right", "wrong"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Options{Settle: time.Second / 2}.Check(t)
			resp, err := http.Get(srv.URL) // one of two parallel subtests is wrong
			if err != nil {
				t.Fatal(err)
			}
			if name == "right" {
				resp.Body.Close()
			}
		})
	}
}

func wrongKeepaliveHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(hello))
	defer srv.Close()
	tr := keepalive.Transport(keepalive.Options{})
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(srv.URL) // wrong: a body through keepalive.Transport
	if err != nil {
		t.Fatal(err)
	}
	t.Log(resp.Status)
}

// Over TLS the hook of keepalive does not know the request.
func wrongKeepaliveTLS(t *testing.T) { leaveOverTLS(t, func(*http.Transport) {}) }

func wrongKeepaliveWatched(t *testing.T) { leaveOverTLS(t, Watch) }

func leaveOverTLS(t *testing.T, prepare func(*http.Transport)) {
	srv := httptest.NewTLSServer(http.HandlerFunc(hello))
	defer srv.Close()
	tr := keepalive.Transport(keepalive.Options{})
	tr.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	prepare(tr)
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(srv.URL) // wrong: a body through keepalive.Transport, over TLS
	if err != nil {
		t.Fatal(err)
	}
	t.Log(resp.Status)
}
