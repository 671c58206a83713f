package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/tcpvet/tcpvet/probe"
)

// reply is an answer that is being read.
type reply struct {
	a      *answer
	stream uint32
	block  []byte // of the header, while it is not whole
	last   bool   // the stream ends with the header that is being read
	done   bool
}

// read reads frames until the stream has ended.
func (h *http2) read(a *answer, stream uint32, timeout time.Duration) error {
	r := reply{a: a, stream: stream}
	for !r.done {
		f, err := peekFrame(h.in)
		if err != nil {
			return h.failed(err, "read the answer", timeout)
		}
		if err := h.take(&f, &r); err != nil {
			return err
		}
		if _, err := h.in.Discard(f.size()); err != nil {
			return err
		}
		if h.gone != nil && h.gone.lastID < stream {
			return fmt.Errorf("read the answer: %w", h.gone)
		}
	}
	a.Close = h.gone != nil
	return nil
}

// take does what a frame asks for. r is nil while no answer is awaited.
func (h *http2) take(f *frame, r *reply) error {
	mine := r != nil && f.stream == r.stream
	if r != nil && r.block != nil && (f.kind != frameContinuation || !mine) {
		return errors.New("read the answer: frames of HTTP/2 stand between the parts of a header")
	}
	switch f.kind {
	case frameSettings:
		if !f.has(flagAck) {
			return h.write(frameSettings, nil)
		}
	case framePing:
		if !f.has(flagAck) {
			return h.write(framePing, f.payload)
		}
	case frameGoAway:
		lastID, code, err := goAway(f.payload)
		if err != nil {
			return err
		}
		h.gone = &ended{how: probe.ByGoAway, lastID: lastID, code: codeText(code)}
	case framePushPromise:
		return errors.New("read the answer: the server pushes streams of HTTP/2, which it was told not to")
	case frameData:
		if mine {
			return r.data(f)
		}
	case frameHeaders, frameContinuation:
		if mine {
			return h.head(f, r)
		}
	case frameRSTStream:
		if mine {
			code := uint32(0)
			if len(f.payload) >= 4 {
				code = binary.BigEndian.Uint32(f.payload)
			}
			if code == 0 && r.a.Status != 0 {
				r.done = true // RFC 9113, section 8.1: the answer is whole
				return nil
			}
			return fmt.Errorf("read the answer: the server reset the stream of HTTP/2 (%s)", codeText(code))
		}
	}
	return nil
}

func (r *reply) data(f *frame) error {
	p, err := f.content()
	if err != nil {
		return err
	}
	if r.a.bytes += int64(len(p)); r.a.bytes > mostBody {
		return fmt.Errorf("read the answer: its body is larger than %d MiB; take a URL with a short answer, or --method HEAD", mostBody>>20)
	}
	if f.has(flagEndStream) {
		if r.a.Status == 0 {
			return errors.New("read the answer: it ends without a status")
		}
		r.done = true
	}
	return nil
}

// head collects a header, and reads it once it is whole.
func (h *http2) head(f *frame, r *reply) error {
	p := f.payload
	if f.kind == frameHeaders {
		var err error
		if p, err = f.content(); err != nil {
			return err
		}
		r.last = f.has(flagEndStream)
	}
	if len(r.block)+len(p) > mostHead {
		return fmt.Errorf("read the answer: its header is larger than %d KiB", mostHead>>10)
	}
	// Never nil, not even for a part that is empty.
	r.block = append(append(make([]byte, 0, len(r.block)+len(p)+1), r.block...), p...)
	if !f.has(flagEndHeaders) {
		return nil
	}
	if err := h.decode(r); err != nil {
		return err
	}
	r.block = nil
	if r.last {
		if r.a.Status < 200 {
			return errors.New("read the answer: it ends before a status that counts")
		}
		r.done = true
	}
	return nil
}

// decode reads a whole header, of an answer, of an interim one, or what trails one. A
// short block may stand for a long header: it names what came before by a byte.
func (h *http2) decode(r *reply) error {
	trailer := r.a.Status >= 200
	got := probe.Reply{Protocol: "HTTP/2", TLS: h.tls}
	size, status := uint32(0), ""
	h.dec.SetEmitFunc(func(f hpack.HeaderField) {
		if size += f.Size(); size > mostHead {
			h.dec.SetEmitEnabled(false)
			return
		}
		switch f.Name {
		case ":status":
			status = f.Value
		case "location":
			got.Location = f.Value
		case "server":
			got.Server = f.Value
		}
	})
	h.dec.SetEmitEnabled(true)
	_, err := h.dec.Write(r.block)
	if err == nil {
		err = h.dec.Close()
	}
	switch {
	case err != nil:
		return fmt.Errorf("read the header of the answer: %w", err)
	case size > mostHead:
		return fmt.Errorf("read the answer: its header is larger than %d KiB", mostHead>>10)
	case trailer:
		return nil
	}
	n, err := strconv.Atoi(status)
	if err != nil || n < 100 || n > 999 {
		return fmt.Errorf("read the answer: its status is %q", clip(status))
	}
	got.Status = n
	r.a.Reply = got
	return nil
}
