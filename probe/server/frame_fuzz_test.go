package server

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// heard is a connection on which a server says what it says, and then no more.
type heard struct{ in io.Reader }

func (h *heard) Read(p []byte) (int, error)       { return h.in.Read(p) }
func (h *heard) Write(p []byte) (int, error)      { return len(p), nil }
func (h *heard) Close() error                     { return nil }
func (h *heard) LocalAddr() net.Addr              { return nil }
func (h *heard) RemoteAddr() net.Addr             { return nil }
func (h *heard) SetDeadline(time.Time) error      { return nil }
func (h *heard) SetReadDeadline(time.Time) error  { return nil }
func (h *heard) SetWriteDeadline(time.Time) error { return nil }

func fuzzOptions(method string) *Options {
	return &Options{URL: &url.URL{Scheme: "https", Host: "shop", Path: "/"}, Method: method, Timeout: time.Second}
}

// FuzzHTTP2 reads what a server of HTTP/2 may send after a request: an answer, or an
// error, and then the end.
func FuzzHTTP2(f *testing.F) {
	// The header of Go's server for status 200: ":status: 200" is entry 8 of the
	// static table (RFC 7541, appendix A).
	answer := appendFrame(nil, frameSettings, 0, 0, nil)
	answer = appendFrame(answer, frameHeaders, flagEndHeaders, 1, []byte{0x88})
	answer = appendFrame(answer, frameData, flagEndStream, 1, []byte("fine\n"))
	f.Add(answer)
	f.Add(appendFrame(answer, frameGoAway, 0, 0, []byte{0, 0, 0, 1, 0, 0, 0, 0, 'x'}))
	parts := appendFrame(nil, frameHeaders, flagPadded|flagPriority, 1, []byte{2, 0, 0, 0, 0, 1, 0, 0})
	f.Add(appendFrame(parts, frameContinuation, flagEndHeaders, 1, []byte{0x88}))
	f.Add(appendFrame(nil, frameRSTStream, 0, 1, []byte{0, 0, 0, 7}))
	f.Add(appendFrame(nil, framePing, 0, 0, []byte("12345678")))
	f.Fuzz(func(t *testing.T, said []byte) {
		conn := &heard{bytes.NewReader(said)}
		h, err := newHTTP2(conn, fuzzOptions(http.MethodGet), "TLS 1.3", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		a, err := h.ask(time.Second)
		if err == nil && (a.Status < 200 || a.Status > 999 || a.bytes > mostBody) {
			t.Errorf("an answer with status %d and %d bytes", a.Status, a.bytes)
		}
		if end, err := h.wait(); end == nil || err != nil {
			t.Errorf("nothing more can come, and it is %v, %v", end, err)
		}
	})
}

// FuzzHTTP1 does so for HTTP/1.1.
func FuzzHTTP1(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5, max=10\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 404 Not Found\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\nz\r\n0\r\nX: y\r\n\r\nHTTP/1.1 408 Late\r\n\r\n"))
	f.Add([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		h := newHTTP1(&heard{bytes.NewReader(said)}, fuzzOptions(http.MethodGet), "")
		a, err := h.ask(time.Second)
		if err == nil && (a.Status < 200 || a.bytes > mostBody) {
			t.Errorf("an answer with status %d and %d bytes", a.Status, a.bytes)
		}
		if end, err := h.wait(); end == nil || err != nil {
			t.Errorf("nothing more can come, and it is %v, %v", end, err)
		}
	})
}

// A frame that comes in pieces is read once it is whole, and nothing of it is lost.
func TestFrameInPieces(t *testing.T) {
	whole := appendFrame(appendFrame(nil, framePing, 0, 0, []byte("12345678")), frameGoAway, 0, 0, []byte{0, 0, 0, 3, 0, 0, 0, 11})
	pieces := new(bytes.Buffer)
	r := bufio.NewReaderSize(slowly{pieces}, frameHead+mostFrame)
	for i, b := range whole {
		pieces.WriteByte(b)
		f, err := peekFrame(r)
		switch {
		case i < 16 || i > 16 && i < len(whole)-1:
			if err == nil {
				t.Fatalf("after %d bytes a frame was read: %+v", i+1, f)
			}
		case err != nil:
			t.Fatalf("after %d bytes: %v", i+1, err)
		default:
			if i == 16 && (f.kind != framePing || string(f.payload) != "12345678") {
				t.Fatalf("%+v", f)
			}
			if i > 16 {
				lastID, code, err := goAway(f.payload)
				if f.kind != frameGoAway || lastID != 3 || codeText(code) != "ENHANCE_YOUR_CALM" || err != nil {
					t.Fatalf("%+v", f)
				}
			}
			if _, err := r.Discard(f.size()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// slowly fails, as a read does whose deadline is over, where nothing is there.
type slowly struct{ b *bytes.Buffer }

func (s slowly) Read(p []byte) (int, error) {
	if s.b.Len() == 0 {
		return 0, errTooMuch
	}
	return s.b.Read(p)
}
