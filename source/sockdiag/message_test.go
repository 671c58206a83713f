package sockdiag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// message is a netlink message and its padding.
func message(kind, flags uint16, seq, port uint32, payload []byte) []byte {
	var b bytes.Buffer
	h := kernelHeader{uint32(16 + len(payload)), kind, flags, seq, port}
	if err := binary.Write(&b, binary.NativeEndian, h); err != nil {
		panic(err)
	}
	b.Write(payload)
	b.Write(make([]byte, -b.Len()&3))
	return b.Bytes()
}

func number(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func TestMessages(t *testing.T) {
	read := append(message(18, 2, 7, 9, []byte("odd")), message(3, 2|0x10, 7, 9, number(0))...)
	ms := NewMessages(read)
	if !ms.Next() {
		t.Fatal(ms.Err())
	}
	if m := ms.Message(); m.Type != 18 || m.Flags != 2 || m.Seq != 7 || m.PortID != 9 || string(m.Payload) != "odd" || !m.IsSocket() || m.Interrupted() {
		t.Errorf("first: %+v", m)
	}
	if end, err := ms.Message().End(); end || err != nil {
		t.Errorf("a socket ends the dump: %v", err)
	}
	if !ms.Next() {
		t.Fatal(ms.Err())
	}
	if m := ms.Message(); m.IsSocket() || !m.Interrupted() {
		t.Errorf("second: %+v", m)
	}
	if end, err := ms.Message().End(); !end || err != nil {
		t.Errorf("DONE: end %v, %v", end, err)
	}
	if ms.Next() || ms.Err() != nil {
		t.Errorf("a third message, or %v", ms.Err())
	}
}

func TestMessagesRefuse(t *testing.T) {
	whole := message(18, 2, 1, 1, make([]byte, 8))
	long := binary.NativeEndian.AppendUint32(nil, 1<<31+16)
	for name, c := range map[string]struct {
		read []byte
		cut  bool
		want string
	}{
		"half a header":        {whole[:15], true, "15 bytes where a header has 16"},
		"half a message":       {whole[:20], true, "20 bytes of 24"},
		"more than any memory": {append(long, whole[4:]...), true, "24 bytes of 2147483664"},
		"shorter than header":  {append([]byte{15, 0, 0, 0}, whole[4:]...), false, "length 15"},
		"no length":            {make([]byte, 24), false, "length 0"},
	} {
		ms := NewMessages(c.read)
		if ms.Next() || ms.Err() == nil || errors.Is(ms.Err(), ErrTruncated) != c.cut || !strings.Contains(ms.Err().Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, ms.Err(), c.want)
		}
		if ms.Next() {
			t.Errorf("%s: goes on after an error", name)
		}
	}
}

func TestEndErrors(t *testing.T) {
	request := (Request{}).AppendTo(nil)
	text := attr(1, []byte("Unknown filter\x00"))
	offset := attr(2, make([]byte, 4))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		m     Message
		errno syscall.Errno
		text  string
	}{
		"refusal with the request":              {Message{Type: 2, Payload: join(number(-22), request)}, syscall.EINVAL, ""},
		"refusal, capped":                       {Message{Type: 2, Flags: 0x100, Payload: join(number(-95), request[:16])}, syscall.EOPNOTSUPP, ""},
		"explained":                             {Message{Type: 2, Flags: 0x200, Payload: join(number(-22), request, offset, text)}, syscall.EINVAL, "Unknown filter"},
		"explained, capped":                     {Message{Type: 2, Flags: 0x300, Payload: join(number(-22), request[:16], text)}, syscall.EINVAL, "Unknown filter"},
		"failed at the end":                     {Message{Type: 3, Payload: number(-2)}, syscall.ENOENT, ""},
		"failed at the end, explained":          {Message{Type: 3, Flags: 0x200, Payload: join(number(-1), text)}, syscall.EPERM, "Unknown filter"},
		"explanation that says it is elsewhere": {Message{Type: 2, Flags: 0x200, Payload: join(number(-22), []byte{0xff, 0xff, 0xff, 0xff}, text)}, syscall.EINVAL, ""},
		"no errno of any kernel":                {Message{Type: 2, Payload: number(-1 << 31)}, syscall.Errno(1 << 31), ""},
	} {
		end, err := c.m.End()
		var e *Error
		if !end || !errors.As(err, &e) || e.Errno != c.errno || e.Text != c.text || !errors.Is(err, c.errno) {
			t.Errorf("%s: end %v, %#v", name, end, err)
		}
	}
	for name, m := range map[string]Message{
		"old DONE":        {Type: 3},
		"acknowledgement": {Type: 2, Payload: append(number(0), request...)},
	} {
		if end, err := m.End(); !end || err != nil {
			t.Errorf("%s: end %v, %v", name, end, err)
		}
	}
	short := Message{Type: 2, Payload: []byte{1}}
	if end, err := short.End(); !end || !errors.Is(err, ErrTruncated) {
		t.Errorf("error of one byte: %v, %v", end, err)
	}
}
