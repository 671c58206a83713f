package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
)

// http2 speaks HTTP/2 over TLS, a stream after the other.
type http2 struct {
	conn   net.Conn
	in     *bufio.Reader
	o      *Options
	tls    string
	dec    *hpack.Decoder
	fields []byte // the request's header, in a form that changes no table
	next   uint32 // the next stream
	gone   *ended // after a GOAWAY
}

// preface begins a connection (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Settings (RFC 9113, section 6.5.2).
const (
	settingPush          = 2
	settingInitialWindow = 4
	settingMaxHeaderList = 6

	firstWindow = 65535 // of a connection, before any WINDOW_UPDATE
	// window is how much a server may send on a connection: more than is read of it.
	window = 1 << 30
)

func newHTTP2(conn net.Conn, o *Options, tls string, timeout time.Duration) (*http2, error) {
	h := &http2{
		conn: conn, in: bufio.NewReaderSize(conn, frameHead+mostFrame), o: o, tls: tls,
		dec: hpack.NewDecoder(4096, nil), next: 1,
	}
	h.dec.SetMaxStringLength(mostHead)
	h.fields = h.header()
	var settings []byte
	for _, s := range []struct {
		id    uint16
		value uint32
	}{{settingPush, 0}, {settingInitialWindow, mostBody + mostFrame}, {settingMaxHeaderList, mostHead}} {
		settings = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(settings, s.id), s.value)
	}
	b := appendFrame([]byte(preface), frameSettings, 0, 0, settings)
	b = appendFrame(b, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, window-firstWindow))
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(b); err != nil {
		return nil, fmt.Errorf("begin HTTP/2: %w", err)
	}
	return h, nil
}

// header encodes the request: all fields as literals, never put into the table.
func (h *http2) header() []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	write := func(name, value string) {
		_ = enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true}) // a Buffer takes all
	}
	write(":method", h.o.Method)
	write(":scheme", "https")
	write(":authority", h.o.host())
	write(":path", h.o.URL.RequestURI())
	for _, f := range h.o.fields() {
		write(strings.ToLower(f.name), f.value)
	}
	return b.Bytes()
}

func (h *http2) ask(timeout time.Duration) (answer, error) {
	a := answer{sent: time.Now()}
	if err := h.conn.SetDeadline(a.sent.Add(timeout)); err != nil {
		return a, err
	}
	if h.gone != nil {
		return a, fmt.Errorf("send the request: %w", h.gone)
	}
	stream := h.next
	h.next += 2
	var b []byte
	for rest, kind, flags := h.fields, frameHeaders, byte(flagEndStream); ; kind, flags = frameContinuation, 0 {
		part := rest[:min(len(rest), mostFrame)]
		if rest = rest[len(part):]; len(rest) == 0 {
			flags |= flagEndHeaders
		}
		if b = appendFrame(b, kind, flags, stream, part); len(rest) == 0 {
			break
		}
	}
	if _, err := h.conn.Write(b); err != nil {
		return a, h.failed(err, "send the request", timeout)
	}
	if err := h.read(&a, stream, timeout); err != nil {
		return a, err
	}
	a.done = time.Now()
	return a, nil
}

// write acknowledges a frame.
func (h *http2) write(kind frameKind, payload []byte) error {
	if _, err := h.conn.Write(appendFrame(nil, kind, flagAck, 0, payload)); err != nil {
		return fmt.Errorf("answer a frame of HTTP/2: %w", err)
	}
	return nil
}

// failed wraps err as http1 does.
func (h *http2) failed(err error, doing string, timeout time.Duration) error {
	return failed(err, doing, timeout, true)
}

func (h *http2) wait() (*ended, error) {
	for h.gone == nil {
		f, err := peekFrame(h.in)
		if err != nil {
			if e := endOfWait(err, true); e != nil {
				return e, nil
			}
			return nil, err
		}
		if err := h.take(&f, nil); err != nil {
			if e := endOfWait(err, true); e != nil {
				return e, nil
			}
			return nil, err
		}
		if _, err := h.in.Discard(f.size()); err != nil {
			return nil, err
		}
	}
	return h.gone, nil
}
