package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func stoppable(t *testing.T) (context.Context, func()) {
	return context.WithCancel(t.Context())
}

// What cannot be measured is said in words, and within the time that was given.
func TestErrors(t *testing.T) {
	t.Parallel()
	send := func(text string) func(*testing.T) string {
		return func(t *testing.T) string {
			return script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
				if answerWith(conn, in, text) {
					_, _ = in.ReadByte() // leave it open
				}
			})
		}
	}
	endless := func(head, part string) func(*testing.T) string {
		return func(t *testing.T) string {
			return script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
				for answered := answerWith(conn, in, head); answered; {
					_, err := conn.Write([]byte(part))
					answered = err == nil
				}
			})
		}
	}
	secure := func(server func(*testing.T) string) func(*testing.T) string {
		return func(t *testing.T) string { return strings.Replace(server(t), "http:", "https:", 1) }
	}
	mute := func(t *testing.T) string {
		return script(t, func(_ int, _ *net.TCPConn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) })
	}
	closes := func(t *testing.T) string { return script(t, func(int, *net.TCPConn, *bufio.Reader) {}) }
	banner := func(t *testing.T) string {
		return script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
			_, _ = io.Copy(io.Discard, in)
		})
	}
	for _, test := range []struct {
		name   string
		server func(*testing.T) string
		words  []string
	}{
		{"nobody listens", func(t *testing.T) string { return free(t).url() }, []string{"connection refused", "tcpvet why 127."}},
		{"mute", mute, []string{"read the answer: it takes longer than 1s", "--timeout"}},
		{"mute, over TLS", secure(mute), []string{"did not answer the handshake within 1s"}},
		{"closes at once", closes, []string{"ended by", "before the first answer was whole"}},
		{"closes at once, over TLS", secure(closes), []string{"speak TLS: the server ended the connection during the handshake"}},
		{"another protocol", banner, []string{`no HTTP is spoken there, it sent "SSH-2.0-OpenSSH_9.2"`}},
		{"another protocol, over TLS", secure(banner), []string{"speak TLS: the server does not", "try http://"}},
		{"TLS, asked without", func(t *testing.T) string {
			return script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
				_, _ = in.ReadByte()
				_, _ = conn.Write([]byte{0x15, 3, 1, 0, 2, 2, 10}) // an alert, as a TLS server sends it
				_, _ = io.Copy(io.Discard, in)
			})
		}, []string{"speaks TLS there: try https://"}},
		{"HTTP/2 without TLS", send("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), []string{"speaks HTTP/2 without TLS"}},
		{"control characters", send("\x1b[2Jx\r\n"), []string{`it sent "?[2Jx"`}},
		{"no status", send("HTTP/1.1 many\r\n\r\n"), []string{"read the answer", "malformed HTTP status code"}},
		{"no header", send("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), []string{"read the answer", "malformed"}},
		{"an endless header", endless("HTTP/1.1 200 OK\r\n", "X-Y: "+strings.Repeat("z", 1000)+"\r\n"), []string{"its header is larger than 256 KiB"}},
		{"a header without an end", endless("HTTP/1.1 200 OK\r\nX: ", strings.Repeat("z", 1000)), []string{"its header is larger than 256 KiB"}},
		{"an endless body", endless("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", strings.Repeat("z", 4096)), []string{"its body is larger than 8 MiB", "--method HEAD"}},
		{"endless chunks", endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400\r\n"+strings.Repeat("z", 1024)+"\r\n"), []string{"its body is larger than 8 MiB"}},
		{"endless interim answers", endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"), []string{"8 interim answers (1xx) came"}},
		{"half a body", send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!"), []string{"read the whole answer (5 bytes came): it takes longer than 1s"}},
		{"half a body, then the end", func(t *testing.T) string {
			return script(t, func(_ int, conn *net.TCPConn, in *bufio.Reader) {
				answerWith(conn, in, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!")
			})
		}, []string{"read the whole answer (5 bytes came)", "ended by FIN", "before the first answer was whole"}},
		{"another protocol from here on", send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), []string{"changes to another protocol (101 websocket)"}},
		{"a name that there is not", func(*testing.T) string { return "http://no-such-host.invalid/" }, []string{"look up no-such-host.invalid: ", ": tcpvet why no-such-host.invalid:80 explains it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			_, err := measure(t, test.server(t), func(o *Options) {
				o.Insecure = true
				if strings.Contains(strings.Join(test.words, " "), "1s") {
					o.Timeout = time.Second // else something else ends it
				}
			})
			says(t, err, test.words...)
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("it took %s to say so", took)
			}
		})
	}
}

// A server that becomes unwell after the first answer does not keep the probe from
// ending, nor from saying so.
func TestUnwell(t *testing.T) {
	t.Parallel()
	h, err := measure(t, script(t, func(n int, conn *net.TCPConn, in *bufio.Reader) {
		for n < 3 && answerWith(conn, in, ok) {
		}
		if n == 3 {
			_, _ = io.Copy(io.Discard, in) // mute
		}
	}), func(o *Options) { o.Most, o.Timeout, o.Requests = time.Second, 3*time.Second, 0 })
	if err != nil {
		t.Fatal(err)
	}
	k, _ := h.Keeping()
	if h.Failed != 12 || h.Why == "" || k.Found() || k.Survived < 200*time.Millisecond {
		t.Errorf("%d failed (%s), %+v", h.Failed, h.Why, k)
	}
	if text := strings.Join(h.Unknown(), "; "); !strings.Contains(text, "12 connections that could not be used") {
		t.Errorf("%q", text)
	}
}

// A server that says of the first connection alone that it is kept is not measured by
// the others.
func TestOthersClose(t *testing.T) {
	t.Parallel()
	h, err := measure(t, script(t, func(n int, conn *net.TCPConn, in *bufio.Reader) {
		if n > 1 {
			answerWith(conn, in, strings.Replace(ok, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
			return
		}
		for answerWith(conn, in, ok) {
		}
	}), func(o *Options) { o.Most, o.Requests = 2*time.Second, 0 })
	if err != nil {
		t.Fatal(err)
	}
	if k, measured := h.Keeping(); h.Failed != 13 || !strings.Contains(h.Why, "while another's did not") || !measured || k.Found() {
		t.Errorf("%d failed (%s), %+v", h.Failed, h.Why, k)
	}
}

// What is broken off has not failed.
func TestFailed(t *testing.T) {
	ctx, stop := stoppable(t)
	m := New(Options{})
	m.failed(ctx, errors.New("first"))
	m.failed(ctx, errors.New("second"))
	stop()
	m.failed(ctx, ctx.Err())
	if m.found.Failed != 2 || m.found.Why != "first" {
		t.Errorf("%d failed: %s", m.found.Failed, m.found.Why)
	}
}

func TestParseURL(t *testing.T) {
	for _, test := range []struct{ text, word string }{
		{"10.0.3.7:8080", "begin with http://"}, {"me:pass@shop", "begin with http://"}, {"ftp://me:pass@shop/", "begin with http://"}, {"shop", "begin with http://"}, {"ftp://shop/", "begin with http://"}, {"http:///x", "no host"},
		{"http://shop:70000/", "port from 1 to 65535"}, {"http://shop:/", "port from 1 to 65535"}, {"http://shop:0/", "port from 1 to 65535"},
		{"http://me:pass@shop/", "leave name and password out"}, {"http://sh op/", "read URL"}, {"http://[::1/", "read URL"}, {"", "begin with http://"},
		{"http://shop/\x01", "read URL"},
	} {
		if u, err := ParseURL(test.text); err == nil || !strings.Contains(err.Error(), test.word) || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%q: %v, %v; want %q", test.text, u, err, test.word)
		}
	}
	for text, want := range map[string]string{
		"http://shop": "shop 80", "https://shop/": "shop 443", "http://[::1]:8080/x": "::1 8080", "HTTP://Shop:1/#top": "Shop 1",
	} {
		u, err := ParseURL(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if host, port := (&Options{URL: u}).endpoint(); host+" "+port != want {
			t.Errorf("%q: %s %s, want %s", text, host, port, want)
		}
	}
}

// What stands in Host is what the server knows itself by (RFC 9110, section 7.2).
func TestHost(t *testing.T) {
	for text, want := range map[string]string{
		"http://shop/": "shop", "http://shop:81/": "shop:81", "http://[fe80::1%25eth0]/": "[fe80::1]", "http://[fe80::1%25eth0]:81/": "[fe80::1]:81", "http://[::1]:81/": "[::1]:81",
	} {
		u, err := ParseURL(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Options{URL: u}).host(); got != want {
			t.Errorf("%s: Host: %s, want %s", text, got, want)
		}
	}
}

func TestParseField(t *testing.T) {
	for _, bad := range []string{"", "X", ": y", "X y: z", "X: a\nHost: b", "X: a\x00", "Connection: close", "keep-alive: 5", "X(: y", "Transfer-Encoding: chunked"} {
		if name, value, err := ParseField(bad); err == nil {
			t.Errorf("%q was taken as %s and %s", bad, name, value)
		}
	}
	name, value, err := ParseField("x-token:  a: b\t")
	if name != "X-Token" || value != "a: b" || err != nil {
		t.Errorf("%q %q %v", name, value, err)
	}
	var header http.Header = map[string][]string{name: {value}}
	if got := (&Options{Header: header}).fields(); len(got) != 1 || got[0] != (field{"X-Token", "a: b"}) {
		t.Errorf("%v", got)
	}
}

// The end of a connection is told from a time that was over.
func TestEndOf(t *testing.T) {
	if endOf(io.EOF, false).how.Word() != "fin" || endOf(io.EOF, true).how.Word() != "close-notify" || endOf(io.ErrUnexpectedEOF, true).how.Word() != "fin" {
		t.Error("the end of a stream")
	}
	if endOf(errors.New("other"), false) != nil || endOf(context.DeadlineExceeded, false) != nil {
		t.Error("what is no end")
	}
}
