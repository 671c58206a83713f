package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
)

// frame is one of HTTP/2 (RFC 9113, section 4.1). Its payload is that of the reader's
// buffer, and stays until the next read.
type frame struct {
	kind    frameKind
	flags   byte
	stream  uint32
	payload []byte
}

type frameKind byte

// The kinds of frames (RFC 9113, section 6).
const (
	frameData         frameKind = 0
	frameHeaders      frameKind = 1
	frameRSTStream    frameKind = 3
	frameSettings     frameKind = 4
	framePushPromise  frameKind = 5
	framePing         frameKind = 6
	frameGoAway       frameKind = 7
	frameWindowUpdate frameKind = 8
	frameContinuation frameKind = 9
)

// The flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	frameHead = 9
	// mostFrame is what a peer may send without being told more
	// (SETTINGS_MAX_FRAME_SIZE).
	mostFrame = 16 << 10
)

// peekFrame gives the next frame without taking it, so that nothing is lost where a
// deadline ends the wait in the middle of one. The buffer of r holds a whole frame.
func peekFrame(r *bufio.Reader) (frame, error) {
	head, err := r.Peek(frameHead)
	if err != nil {
		return frame{}, err
	}
	n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	if n > mostFrame {
		return frame{}, fmt.Errorf("read a frame of HTTP/2: it has %d bytes, and at most %d are allowed", n, mostFrame)
	}
	all, err := r.Peek(frameHead + n)
	if err != nil {
		return frame{}, err
	}
	return frame{
		kind: frameKind(all[3]), flags: all[4],
		stream: binary.BigEndian.Uint32(all[5:]) &^ (1 << 31), payload: all[frameHead:],
	}, nil
}

// size is how many bytes the frame takes.
func (f *frame) size() int { return frameHead + len(f.payload) }

// has tells whether a flag is set.
func (f *frame) has(flag byte) bool { return f.flags&flag != 0 }

var errPadding = errors.New("read a frame of HTTP/2: its padding is longer than it")

// content gives the payload without padding and priority.
func (f *frame) content() ([]byte, error) {
	p := f.payload
	pad := 0
	if f.has(flagPadded) {
		if len(p) < 1 {
			return nil, errPadding
		}
		pad, p = int(p[0]), p[1:]
	}
	if f.kind == frameHeaders && f.has(flagPriority) {
		if len(p) < 5 {
			return nil, errPadding
		}
		p = p[5:]
	}
	if pad > len(p) {
		return nil, errPadding
	}
	return p[:len(p)-pad], nil
}

// appendFrame appends a frame.
func appendFrame(b []byte, kind frameKind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), byte(kind), flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// goAway reads the payload of a GOAWAY.
func goAway(p []byte) (lastID uint32, code uint32, err error) {
	if len(p) < 8 {
		return 0, 0, fmt.Errorf("read a GOAWAY of HTTP/2: it has %d bytes, not 8 or more", len(p))
	}
	return binary.BigEndian.Uint32(p) &^ (1 << 31), binary.BigEndian.Uint32(p[4:]), nil
}

// codes are the error codes of HTTP/2 (RFC 9113, section 7).
var codes = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

func codeText(code uint32) string {
	if int64(code) < int64(len(codes)) {
		return codes[code]
	}
	return fmt.Sprintf("error %d", code)
}
