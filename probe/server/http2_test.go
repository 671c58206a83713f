package server

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/tcpvet/tcpvet/probe"
)

// told is a connection on which a server says what it says, and which keeps what it is
// told.
type told struct {
	heard
	out bytes.Buffer
}

func (c *told) Write(p []byte) (int, error) { return c.out.Write(p) }

// frames are what was told after the preface.
func (c *told) frames(t *testing.T) []frame {
	t.Helper()
	rest, ok := bytes.CutPrefix(c.out.Bytes(), []byte(preface))
	if !ok {
		t.Fatalf("%q does not begin with the preface", c.out.Bytes())
	}
	var all []frame
	for len(rest) > 0 {
		n := frameHead + int(rest[0])<<16 + int(rest[1])<<8 + int(rest[2])
		all = append(all, frame{kind: frameKind(rest[3]), flags: rest[4], stream: uint32(rest[8]), payload: rest[frameHead:n]})
		rest = rest[n:]
	}
	return all
}

// fields encodes a header, as another program would.
func fields(pairs ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// What a server of HTTP/2 may say to a request (RFC 9113), and what it may not.
func TestHTTP2(t *testing.T) {
	headers := func(flags byte, block []byte) []byte { return appendFrame(nil, frameHeaders, flags, 1, block) }
	data := func(flags byte, text string) []byte { return appendFrame(nil, frameData, flags, 1, []byte(text)) }
	good := fields(":status", "200", "server", "s", "location", "/x")
	// An entry of the table that takes 4 KiB, and then its number again and again.
	bomb := append(fields(":status", "200", "x", strings.Repeat("y", 4000)), bytes.Repeat([]byte{0x80 | 62}, 100)...)
	goAwayWith := func(lastID, code byte) []byte {
		return appendFrame(nil, frameGoAway, 0, 0, []byte{0, 0, 0, lastID, 0, 0, 0, code})
	}
	for _, test := range []struct {
		name   string
		said   []byte
		status int    // of an answer
		err    string // in place of one
		end    probe.Ending
		close  bool
	}{
		{name: "an answer", said: join(headers(flagEndHeaders, good), data(0, "a"), data(flagEndStream, "b")), status: 200},
		{name: "no body", said: headers(flagEndHeaders|flagEndStream, good), status: 200},
		{name: "in parts", said: join(headers(flagEndStream, good[:3]), appendFrame(nil, frameContinuation, 0, 1, nil), appendFrame(nil, frameContinuation, flagEndHeaders, 1, good[3:])), status: 200},
		{name: "padded", said: join(headers(flagEndHeaders|flagPadded|flagPriority, join([]byte{2, 0, 0, 0, 0, 9}, good, []byte{0, 0})), data(flagEndStream|flagPadded, "\x03abc\x00\x00\x00")), status: 200},
		{name: "interim", said: join(headers(flagEndHeaders, fields(":status", "103")), headers(flagEndHeaders|flagEndStream, good)), status: 200},
		{name: "trailers", said: join(headers(flagEndHeaders, good), data(0, "a"), headers(flagEndHeaders|flagEndStream, fields("sum", "1"))), status: 200},
		{name: "among other frames", said: join(appendFrame(nil, frameWindowUpdate, 0, 0, []byte{0, 0, 1, 0}), appendFrame(nil, 99, 0, 7, []byte("x")), headers(flagEndHeaders|flagEndStream, good)), status: 200},
		{name: "cut short, but whole", said: join(headers(flagEndHeaders, good), appendFrame(nil, frameRSTStream, 0, 1, []byte{0, 0, 0, 0})), status: 200},
		{name: "the last one", said: join(headers(flagEndHeaders, good), goAwayWith(1, 0), data(flagEndStream, "b")), status: 200, close: true},
		{name: "refused", said: appendFrame(nil, frameRSTStream, 0, 1, []byte{0, 0, 0, 7}), err: "reset the stream of HTTP/2 (REFUSED_STREAM)"},
		{name: "reset without a reason", said: appendFrame(nil, frameRSTStream, 0, 1, nil), err: "reset the stream of HTTP/2 (NO_ERROR)"},
		{name: "gone", said: goAwayWith(0, 11), err: "ended by GOAWAY", end: probe.ByGoAway},
		{name: "the end", said: headers(flagEndHeaders, good), err: "close_notify", end: probe.ByCloseNotify},
		{name: "a header that unfolds", said: headers(flagEndHeaders|flagEndStream, bomb), err: "its header is larger than 256 KiB"},
		{name: "a long header", said: join(headers(0, good), bytes.Repeat(appendFrame(nil, frameContinuation, 0, 1, make([]byte, mostFrame)), 17)), err: "its header is larger than 256 KiB"},
		{name: "a long body", said: join(headers(flagEndHeaders, good), bytes.Repeat(appendFrame(nil, frameData, 0, 1, make([]byte, mostFrame)), mostBody/mostFrame+1)), err: "its body is larger than 8 MiB"},
		{name: "a long frame", said: appendFrame(nil, frameData, 0, 1, make([]byte, mostFrame+1)), err: "at most 16384 are allowed"},
		{name: "a header that is none", said: headers(flagEndHeaders, []byte{0xff, 0xff, 0xff, 0xff, 0xff}), err: "read the header of the answer"},
		{name: "no status", said: headers(flagEndHeaders, fields("server", "s")), err: `its status is ""`},
		{name: "a strange status", said: headers(flagEndHeaders, fields(":status", "2\x1b0")), err: `its status is "2?0"`},
		{name: "a body without a header", said: data(flagEndStream, "x"), err: "without a status"},
		{name: "interim, and no more", said: headers(flagEndHeaders|flagEndStream, fields(":status", "103")), err: "before a status that counts"},
		{name: "frames in a header", said: join(headers(0, good), data(0, "x")), err: "stand between the parts of a header"},
		{name: "a push", said: appendFrame(nil, framePushPromise, flagEndHeaders, 1, []byte{0, 0, 0, 2}), err: "pushes streams"},
		{name: "more padding than frame", said: data(flagPadded, "\x09abc"), err: "padding is longer"},
		{name: "a short GOAWAY", said: appendFrame(nil, frameGoAway, 0, 0, []byte{1}), err: "not 8 or more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := &told{heard: heard{bytes.NewReader(test.said)}}
			h, err := newHTTP2(conn, fuzzOptions(http.MethodGet), "TLS 1.3", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			a, err := h.ask(time.Second)
			if test.err != "" {
				says(t, err, test.err)
				var e *ended
				if errors.As(err, &e) != (test.end != probe.StillOpen) || e != nil && e.how != test.end {
					t.Errorf("%v is an end: %v", err, e)
				}
				return
			}
			if err != nil || a.Status != test.status || a.Close != test.close || a.Server != "s" || a.Location != "/x" || a.Protocol != "HTTP/2" || a.TLS != "TLS 1.3" {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

// What a server asks for while a connection is idle is done, and its GOAWAY is the end.
func TestHTTP2Idle(t *testing.T) {
	conn := &told{heard: heard{bytes.NewReader(join(
		appendFrame(nil, frameSettings, 0, 0, []byte{0, 3, 0, 0, 0, 100}), appendFrame(nil, frameSettings, flagAck, 0, nil),
		appendFrame(nil, framePing, 0, 0, []byte("12345678")), appendFrame(nil, framePing, flagAck, 0, []byte("87654321")),
		appendFrame(nil, frameGoAway, 0, 0, []byte{0x80, 0, 0, 5, 0, 0, 0, 1}),
	))}}
	o := fuzzOptions(http.MethodHead)
	o.Header = http.Header{"X-Long": {strings.Repeat("z", 2*mostFrame)}}
	h, err := newHTTP2(conn, o, "TLS 1.3", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	end, err := h.wait()
	if err != nil || end.how != probe.ByGoAway || end.lastID != 5 || end.code != "PROTOCOL_ERROR" {
		t.Errorf("%+v, %v", end, err)
	}
	// SETTINGS and WINDOW_UPDATE of its own, and then what answers each.
	var got []frameKind
	for _, f := range conn.frames(t) {
		if got = append(got, f.kind); len(got) > 2 && !f.has(flagAck) || f.kind == framePing && string(f.payload) != "12345678" {
			t.Errorf("%+v", f)
		}
	}
	if want := []frameKind{frameSettings, frameWindowUpdate, frameSettings, framePing}; !bytes.Equal(kinds(got), kinds(want)) {
		t.Errorf("told %v, want %v", got, want)
	}
	// After it nothing more is asked for.
	if _, err := h.ask(time.Second); !errors.As(err, new(*ended)) {
		t.Errorf("%v", err)
	}
}

// A request that is longer than a frame is sent in parts, and its fields are those of
// the request.
func TestHTTP2Request(t *testing.T) {
	conn := &told{heard: heard{bytes.NewReader(nil)}}
	o := fuzzOptions(http.MethodHead)
	long := strings.Repeat("\x7e", 2*mostFrame) // 13 bits each: no code of Huffman makes it shorter
	o.Header = http.Header{"X-Long": {long}, "Host": {"other"}}
	h, err := newHTTP2(conn, o, "TLS 1.3", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = h.ask(time.Second)
	var block []byte
	frames := conn.frames(t)[2:]
	for i, f := range frames {
		want := frameContinuation
		if i == 0 {
			want = frameHeaders
		}
		if f.kind != want || f.stream != 1 || len(f.payload) > mostFrame || f.has(flagEndHeaders) != (i == len(frames)-1) || (i == 0) != (f.kind == frameHeaders && f.has(flagEndStream)) {
			t.Errorf("frame %d: %d, flags %x, %d bytes", i, f.kind, f.flags, len(f.payload))
		}
		block = append(block, f.payload...)
	}
	got, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
	if err != nil || len(frames) < 3 {
		t.Fatalf("%d frames: %v", len(frames), err)
	}
	text := ""
	for _, f := range got {
		text += f.Name + "=" + f.Value + ";"
	}
	if want := ":method=HEAD;:scheme=https;:authority=other;:path=/;x-long=" + long + ";"; text != want {
		t.Errorf("%.80s…", text)
	}
}

func kinds(all []frameKind) []byte {
	var b []byte
	for _, k := range all {
		b = append(b, byte(k))
	}
	return b
}
