package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// http1 speaks HTTP/1.1.
type http1 struct {
	conn    net.Conn
	in      *bufio.Reader
	bound   *boundedReader
	request []byte
	asked   *http.Request
	tls     string
}

func newHTTP1(conn net.Conn, o *Options, tls string) *http1 {
	bound := &boundedReader{r: conn}
	h := &http1{conn: conn, bound: bound, in: bufio.NewReaderSize(bound, 4<<10), tls: tls}
	h.asked = &http.Request{Method: o.Method, URL: o.URL, Host: o.host()}
	var b bytes.Buffer
	// Some servers announce how long they keep a connection, or keep one in HTTP/1.0,
	// only where they are asked to (RFC 2068, section 19.7.1).
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive\r\n", o.Method, o.URL.RequestURI(), o.host())
	for _, f := range o.fields() {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	b.WriteString("\r\n")
	h.request = b.Bytes()
	return h
}

// boundedReader reads no more than left, which is set anew for each answer.
type boundedReader struct {
	r    io.Reader
	left int64
}

var errTooMuch = errors.New("too much")

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (h *http1) ask(timeout time.Duration) (answer, error) {
	var a answer
	a.sent = time.Now()
	if err := h.conn.SetDeadline(a.sent.Add(timeout)); err != nil {
		return a, err
	}
	if _, err := h.conn.Write(h.request); err != nil {
		return a, h.failed(err, "send the request", timeout)
	}
	if err := h.read(&a, timeout); err != nil {
		return a, err
	}
	a.done = time.Now()
	return a, nil
}

// read reads an answer with its body.
func (h *http1) read(a *answer, timeout time.Duration) error {
	h.bound.left = mostHead
	first, err := h.in.Peek(1)
	if err != nil {
		return h.failed(err, "read the answer", timeout)
	}
	if first[0] != 'H' {
		return h.notHTTP()
	}
	r, err := h.head(timeout)
	if err != nil {
		return err
	}
	a.Reply = probe.Reply{
		Protocol: fmt.Sprintf("HTTP/%d.%d", r.ProtoMajor, r.ProtoMinor), TLS: h.tls, Status: r.StatusCode,
		Location: r.Header.Get("Location"), Server: r.Header.Get("Server"), Close: r.Close,
		Hint: probe.ParseHint(strings.Join(r.Header.Values("Keep-Alive"), ",")),
	}
	h.bound.left = mostBody + 1
	if a.bytes, err = io.Copy(io.Discard, r.Body); err != nil {
		if errors.Is(err, errTooMuch) {
			return fmt.Errorf("read the answer: its body is larger than %d MiB; take a URL with a short answer, or --method HEAD", mostBody>>20)
		}
		return h.failed(err, fmt.Sprintf("read the whole answer (%d bytes came)", a.bytes), timeout)
	}
	h.bound.left = 0
	return nil
}

// head reads status and header, past those of interim answers.
func (h *http1) head(timeout time.Duration) (*http.Response, error) {
	for range mostInterim {
		r, err := http.ReadResponse(h.in, h.asked)
		switch {
		case errors.Is(err, errTooMuch):
			return nil, fmt.Errorf("read the answer: its header is larger than %d KiB", mostHead>>10)
		case err != nil && endOf(err, false) == nil && !isTimeout(err):
			return nil, fmt.Errorf("read the answer: %w", err)
		case err != nil:
			return nil, h.failed(err, "read the header of the answer", timeout)
		case r.StatusCode == http.StatusSwitchingProtocols:
			return nil, fmt.Errorf("read the answer: the server changes to another protocol (101 %s): HTTP keep-alive does not apply", clip(r.Header.Get("Upgrade")))
		case r.StatusCode >= 200:
			return r, nil
		}
	}
	return nil, fmt.Errorf("read the answer: %d interim answers (1xx) came, and none that counts", mostInterim)
}

// notHTTP says what stands in place of an answer.
func (h *http1) notHTTP() error {
	b, _ := h.in.Peek(max(h.in.Buffered(), 1))
	switch {
	case len(b) > 1 && b[0] == 0x15 && b[1] == 3, len(b) > 1 && b[0] == 0x16 && b[1] == 3:
		return errors.New("read the answer: the server speaks TLS there: try https://")
	case len(b) >= 9 && b[3] == 4 && b[4] == 0: // a SETTINGS frame
		return errors.New("read the answer: the server speaks HTTP/2 without TLS, which is not measured")
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return fmt.Errorf("read the answer: no HTTP is spoken there, it sent %q", clip(strings.TrimRight(string(line), "\r")))
}

func (h *http1) failed(err error, doing string, timeout time.Duration) error {
	return failed(err, doing, timeout, h.tls != "")
}

func (h *http1) wait() (*ended, error) {
	h.bound.left = mostHead
	if _, err := h.in.Peek(1); err != nil {
		if e := endOfWait(err, h.tls != ""); e != nil {
			return e, nil
		}
		return nil, err
	}
	// An answer that nobody asked for. Its end follows, or does not matter: the
	// connection cannot be used from its first byte on.
	at := time.Now()
	_ = h.conn.SetReadDeadline(time.Now().Add(time.Second))
	if r, err := http.ReadResponse(h.in, h.asked); err == nil {
		return &ended{how: probe.ByAnswer, at: at, status: r.StatusCode}, nil
	}
	return &ended{how: probe.ByBytes, at: at}, nil
}
