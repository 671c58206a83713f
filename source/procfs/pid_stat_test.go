package procfs

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	prometheus "github.com/prometheus/procfs"
)

// tail is what follows the command of a process with start time 8842 and 3
// threads, by the numbering of proc_pid_stat.5.
const tail = " S 1 2 3 0 -1 4194560 7 8 9 10 11 12 13 14 20 0 3 0 8842 1000000 200"

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		text, comm string
		parent     int32
		start      uint64
	}{
		{"4121 (python3)" + tail, "python3", 1, 8842},
		{"4121 (a b) S 9 (c)" + tail, "a b) S 9 (c", 1, 8842},
		{"4121 ())" + tail, ")", 1, 8842},
		{"4121 ()" + tail + "\n", "", 1, 8842},
	} {
		s, err := parseStat([]byte(test.text))
		if err != nil || string(s.comm) != test.comm || s.parent != test.parent || s.start != test.start || s.threads != 3 || s.state != 'S' || s.flags != 4194560 {
			t.Errorf("%q: %+v, %v", test.text, s, err)
		}
	}
	for _, bad := range []string{"", "4121 python3 S 1", "4121 )(" + tail, "4121 (x)" + tail[:50], "4121 (x)" + strings.Replace(tail, "8842", "88x2", 1)} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, s)
		}
	}
}

func TestParseStatAgreesWithPrometheus(t *testing.T) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseStat(b)
	if err != nil {
		t.Fatal(err)
	}
	self, err := prometheus.Self()
	if err != nil {
		t.Fatal(err)
	}
	want, err := self.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if string(got.comm) != want.Comm || int(got.parent) != want.PPID || got.start != want.Starttime || got.flags != uint64(want.Flags) {
		t.Errorf("got %q %+v, want %+v", got.comm, got, want)
	}
}

func TestParseNoFile(t *testing.T) {
	b, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		t.Fatal(err)
	}
	var want syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		t.Fatal(err)
	}
	if got, ok := parseNoFile(b); !ok || got != want.Cur {
		t.Errorf("got %d, getrlimit says %d", got, want.Cur)
	}
	for text, want := range map[string]uint64{
		"Max open files            unlimited            unlimited            files     \n":                                     math.MaxUint64,
		"Limit  Soft Limit\nMax open files            1024                 524288               files     \nMax locked memory": 1024,
	} {
		if got, ok := parseNoFile([]byte(text)); !ok || got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	for _, bad := range []string{"", "Max open files", "Max open files            many\n", "Max processes             5 5 processes\n"} {
		if got, ok := parseNoFile([]byte(bad)); ok {
			t.Errorf("%q was read as %d", bad, got)
		}
	}
}

func TestParseEffectiveUID(t *testing.T) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := parseEffectiveUID(b); !ok || int(got) != os.Geteuid() {
		t.Errorf("got %d, geteuid says %d", got, os.Geteuid())
	}
	if got, ok := parseEffectiveUID([]byte("Name:\tx\nUid:\t1000\t0\t1000\t0\n")); !ok || got != 0 {
		t.Errorf("of a set-user-ID program: %d", got)
	}
	if got, ok := parseEffectiveUID([]byte("Uid:\t1000\nGid:\t5\t5\n")); ok {
		t.Errorf("a cut line was read as %d", got)
	}
}

func TestSplitArgs(t *testing.T) {
	for text, want := range map[string][]string{
		"":                        nil,
		"\x00\x00":                nil,
		"nginx: worker":           {"nginx: worker"},
		"python3\x00app.py\x00":   {"python3", "app.py"},
		"sh\x00-c\x00\x00x y\x00": {"sh", "-c", "", "x y"},
	} {
		if d := cmp.Diff(want, splitArgs([]byte(text))); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestNsInode(t *testing.T) {
	link, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	want := info.Sys().(*syscall.Stat_t).Ino
	if got, ok := nsInode([]byte(link), "net"); !ok || got != want {
		t.Errorf("%s: got %d, stat says %d", link, got, want)
	}
	for _, bad := range []string{"", "net:[", "net:[]", "mnt:[5]", "net:[5", "net:[-5]"} {
		if got, ok := nsInode([]byte(bad), "net"); ok {
			t.Errorf("%q was read as %d", bad, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err != nil {
			return
		}
		// Cutting at blanks works once the command is out of the way.
		fields := strings.FieldsFunc(string(b[strings.LastIndexByte(string(b), ')')+1:]), func(r rune) bool { return r < 128 && blank(byte(r)) })
		if got := strings.TrimLeft(fields[19], "0"); got != strings.TrimLeft(strconv.FormatUint(s.start, 10), "0") {
			t.Fatalf("%q: start %d, field 22 is %s", b, s.start, got)
		}
	})
}

func FuzzLimits(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := parseNoFile(b); ok && !strings.Contains(string(b), "Max open files ") {
			t.Fatalf("%q has no such line", b)
		}
		parseEffectiveUID(b)
		for _, arg := range splitArgs(b) {
			if strings.ContainsRune(arg, 0) {
				t.Fatalf("%q: argument %q", b, arg)
			}
		}
	})
}
