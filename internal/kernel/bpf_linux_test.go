package kernel

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// blob is BTF without types, as include/uapi/linux/btf.h lays it out.
func blob(magic uint16, claimed int, names string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, magic)
	b = append(b, 1, 0)                                      // version, flags
	b = binary.NativeEndian.AppendUint32(b, 24)              // hdr_len
	b = append(b, 0, 0, 0, 0, 4, 0, 0, 0)                    // type_off, type_len
	b = binary.NativeEndian.AppendUint32(b, 4)               // str_off
	b = binary.NativeEndian.AppendUint32(b, uint32(claimed)) // str_len
	return append(append(b, 9, 9, 9, 9), names...)
}

func TestBTFNames(t *testing.T) {
	const names = "\x00int\x00bpf_iter_tcp\x00"
	for _, test := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"sound", blob(0xeb9f, len(names), names), true},
		{"of another byte order", blob(0x9feb, len(names), names), false},
		{"shorter than it says", blob(0xeb9f, len(names)+1, names), false},
		{"absurd", blob(0xeb9f, 1<<31, names), false},
		{"a short header", blob(0xeb9f, 0, "")[:20], false},
		{"empty", nil, false},
	} {
		got, err := btfNames(bytes.NewReader(test.b))
		if (err == nil) != test.ok || test.ok && string(got) != names {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

func FuzzBTFNames(f *testing.F) {
	f.Add(blob(0xeb9f, 5, "\x00int\x00"))
	f.Add([]byte{0x9f, 0xeb})
	f.Fuzz(func(t *testing.T, b []byte) {
		if names, err := btfNames(bytes.NewReader(b)); err == nil && len(names) > len(b) {
			t.Errorf("%d bytes of names in %d", len(names), len(b))
		}
	})
}
