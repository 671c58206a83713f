package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel lists its functions in /proc/kallsyms too; addresses are hidden from
// ordinary users there, names are not.
func TestBPFIterators(t *testing.T) {
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Skip("no /proc/kallsyms to compare with: ", err)
	}
	_, err = os.Stat(btfFile)
	want := err == nil
	if got := BTF() == nil; got != want {
		t.Errorf("BTF: %v, and the file: %v", BTF(), err)
	}
	for _, name := range []string{" bpf_iter_task_file\n", " bpf_iter_tcp\n", " bpf_sock_from_file\n"} {
		want = want && strings.Contains(string(symbols), name)
	}
	if err := BPFIterators(); (err == nil) != want || err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("probe says %v, /proc/kallsyms says %v", err, want)
	}
}

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

// What a thread gives up, the probes miss: first one capability, then the other.
func TestRootBPFCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread() // the thread ends with the test
	if missing, err := MissingCapabilities(); err != nil || missing != nil {
		t.Fatalf("root lacks %v, %v", missing, err)
	}
	if err := BPFMaps(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		drop []uint
		want string
		maps bool
	}{
		{[]uint{unix.CAP_SYS_ADMIN}, "", true},
		{[]uint{unix.CAP_PERFMON}, "CAP_PERFMON", true},
		{[]uint{unix.CAP_BPF}, "CAP_BPF CAP_PERFMON", false},
	} {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capget(&hdr, &caps[0]); err != nil {
			t.Fatal(err)
		}
		for _, n := range test.drop {
			caps[n/32].Effective &^= 1 << (n % 32)
			caps[n/32].Permitted &^= 1 << (n % 32)
		}
		if err := unix.Capset(&hdr, &caps[0]); err != nil {
			t.Fatal(err)
		}
		missing, err := MissingCapabilities()
		if err != nil || strings.Join(missing, " ") != test.want {
			t.Errorf("missing %v, %v, want %q", missing, err, test.want)
		}
		err = BPFMaps()
		if test.maps && err != nil || !test.maps && (!errors.Is(err, unix.EPERM) || errors.Is(err, errors.ErrUnsupported)) {
			t.Errorf("without %v: %v, want success to be %v, and neither yes nor no otherwise", test.drop, err, test.maps)
		}
	}
}
