package symbol

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// 2 KiB: the stack of the C program and of what calls it.
const words = 256

// TestFramesC compares with what the source says, and with addr2line(1).
func TestFramesC(t *testing.T) {
	const source = "testdata/callers.c"
	calls := func(likely func(string) bool) (want []string) {
		for _, c := range [][2]string{{"dial_backend", "recv"}, {"checked", "open"}, {"pool_get", "checked"}, {"compare", "pool_get"}, {"main", "qsort"}} {
			s := fmt.Sprintf("%s callers.c:%d", c[0], mark(t, source, c[1]))
			if likely(c[0]) {
				s += "?"
			}
			want = append(want, s)
		}
		return want
	}
	for name, test := range map[string]struct {
		flags  []string
		likely func(string) bool
	}{
		// The C library keeps no frame pointers: who calls it is lost.
		"frame pointers": {[]string{"-O1", "-fno-omit-frame-pointer"}, func(f string) bool { return f == "dial_backend" || f == "main" }},
		"none":           {[]string{"-O2"}, func(string) bool { return true }},
		"static":         {[]string{"-O2", "-static"}, func(string) bool { return true }},
		"not PIE":        {[]string{"-O2", "-no-pie"}, func(string) bool { return true }},
		"DWARF 4":        {[]string{"-O2", "-gdwarf-4"}, func(string) bool { return true }},
		"compressed":     {[]string{"-O2", "-gz"}, func(string) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			program := build(t, append([]string{"gcc", "-g"}, test.flags...)...)
			p := start(t, program)
			frames := resolver(t, Options{}).Frames(p, take(t, p, words))
			own := slices.DeleteFunc(slices.Clone(frames), func(f tcpvet.Frame) bool { return !strings.HasSuffix(f.File, "callers.c") })
			if got, want := told(own, ""), calls(test.likely); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q\nof   %q", got, want, told(frames, ""))
			}
			compareWithAddr2line(t, program, own)
		})
	}
}

func compareWithAddr2line(t *testing.T, program string, frames []tcpvet.Frame) {
	t.Helper()
	tool := kerneltest.Tool(t, "addr2line")
	var got []string
	asked := map[uint64]bool{}
	var want []string
	for _, f := range frames {
		got = append(got, fmt.Sprintf("%s\n%s:%d", f.Symbol, f.File, f.Line))
		if asked[f.Address] {
			continue
		}
		asked[f.Address] = true
		out, err := exec.Command(tool, "-f", "-i", "-C", "-e", program, fmt.Sprintf("%#x", f.Address-1)).Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			where, _, _ := strings.Cut(lines[i+1], " (discriminator")
			want = append(want, lines[i]+"\n"+filepath.Clean(where))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\naddr2line says %q", got, want)
	}
}

// TestCallThroughStub follows the call of qsort() in main, which goes through the
// procedure linkage table, to the C library.
func TestCallThroughStub(t *testing.T) {
	for _, flags := range [][]string{{"-O2"}, {"-O2", "-no-pie"}, {"-O2", "-fcf-protection=none"}, {"-O2", "-Wl,-z,now"}, {"-O2", "-fcf-protection=full", "-Wl,-z,ibtplt"}} {
		p := start(t, build(t, append([]string{"gcc", "-g"}, flags...)...))
		s := take(t, p, words)
		r := resolver(t, Options{})
		in := &text{r, r.process(p)}
		found := false
		for _, w := range s.Words {
			if frames := r.at(in.p, w); frames[0].Symbol != "main" {
				continue
			}
			found = true
			target, ok := in.call(w)
			if frames := r.at(in.p, target+1); !ok || frames[0].Symbol != "qsort" || in.function(target) != target {
				t.Errorf("%q: main calls %#x, %v: %+v", flags, target, ok, frames)
			}
		}
		if !found {
			t.Errorf("%q: no word leads into main", flags)
		}
	}
}

// TestFramesStripped finds the same addresses as in the program that was not stripped,
// though no name tells which words are old.
func TestFramesStripped(t *testing.T) {
	var addresses [2][]uint64
	for i, flags := range [][]string{{"gcc", "-O2"}, {"gcc", "-O2", "-s"}} {
		p := start(t, build(t, flags...))
		for _, f := range resolver(t, Options{}).Frames(p, take(t, p, words)) {
			if f.Module == "callers" {
				addresses[i] = append(addresses[i], f.Address)
			}
		}
	}
	if len(addresses[0]) != 4 || !slices.Equal(addresses[0], addresses[1]) {
		t.Errorf("stripped %x, else %x", addresses[1], addresses[0])
	}
}

func TestFramesMangled(t *testing.T) {
	for name, test := range map[string]struct {
		argv []string
		want [][2]string // function, mark of its line
	}{
		"C++":  {[]string{"g++", "-O2", "-g", "testdata/callers.cc"}, [][2]string{{"net::wait_for", "recv"}, {"net::Pool<", "wait_for"}, {"main", "get"}}},
		"Rust": {[]string{"rustc", "-O", "-g", "testdata/callers.rs"}, [][2]string{{"callers::pool::wait_for", "read"}, {"callers::pool::Pool::get", "wait_for"}, {"callers::run", "get"}, {"callers::main", "run"}}},
	} {
		t.Run(name, func(t *testing.T) {
			source := test.argv[len(test.argv)-1]
			p := start(t, build(t, test.argv...))
			frames := resolver(t, Options{}).Frames(p, take(t, p, words))
			var got []tcpvet.Frame
			for _, f := range frames {
				if filepath.Base(f.File) == filepath.Base(source) {
					got = append(got, f)
				}
			}
			ok := len(got) == len(test.want)
			for i := range min(len(got), len(test.want)) {
				ok = ok && strings.HasPrefix(got[i].Symbol, test.want[i][0]) && got[i].Line == mark(t, source, test.want[i][1])
			}
			if !ok {
				t.Errorf("got %q, want %v of %q", told(got, ""), test.want, told(frames, ""))
			}
		})
	}
}

// TestFramesGo reads Go programs by their own table, from which nothing can be stripped.
func TestFramesGo(t *testing.T) {
	const source = "testdata/callers/main.go"
	var want []string
	for _, c := range [][2]string{
		{"main.dial", "recv"}, {"main.small", "dial"}, {"main.(*pool).get", "small"}, {"main.main.func1", "get"}, {"main.main", "end"},
	} {
		want = append(want, fmt.Sprintf("%s main.go:%d", c[0], mark(t, source, c[1])))
	}
	for name, flags := range map[string][]string{
		"plain":             nil,
		"stripped":          {"-ldflags=-s -w"},
		"PIE":               {"-buildmode=pie"},
		"PIE, stripped":     {"-buildmode=pie", "-ldflags=-s -w"},
		"external linker":   {"-ldflags=-s -w -linkmode=external"},
		"external, PIE":     {"-buildmode=pie", "-ldflags=-s -w -linkmode=external"},
		"compressed, trims": {"-trimpath", "-ldflags=-compressdwarf=true"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, build(t, append([]string{"go"}, flags...)...))
			frames := resolver(t, Options{}).Frames(p, take(t, p, words))
			var got []string
			for _, f := range frames {
				if strings.HasPrefix(f.Symbol, "main.") {
					got = append(got, told([]tcpvet.Frame{f}, "")...)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q\nof   %q", got, want, told(frames, ""))
			}
			if all := told(frames, ""); !strings.HasPrefix(all[len(all)-1], "runtime.main ") || strings.Contains(strings.Join(all, ""), "?") {
				t.Errorf("a Go stack is known whole, by frame pointers alone: %q", all)
			}
		})
	}
}

// TestFramesSplit finds what objcopy(1) split off: beside the program, and by name and
// checksum as well as by build ID.
func TestFramesSplit(t *testing.T) {
	objcopy := kerneltest.Tool(t, "objcopy")
	for name, flag := range map[string]string{"build ID": "-Wl,--build-id=sha1", "checksum": "-Wl,--build-id=none"} {
		t.Run(name, func(t *testing.T) {
			program := build(t, "gcc", "-g", "-O2", flag)
			dir := filepath.Join(filepath.Dir(program), ".debug")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			debug := filepath.Join(dir, "callers.debug")
			for _, argv := range [][]string{
				{"--only-keep-debug", program, debug},
				{"--strip-all", "--add-gnu-debuglink=" + debug, program},
			} {
				if out, err := exec.Command(objcopy, argv...).CombinedOutput(); err != nil {
					t.Fatalf("objcopy %v: %v\n%s", argv, err, out)
				}
			}
			want := fmt.Sprintf("dial_backend callers.c:%d?", mark(t, "testdata/callers.c", "recv"))
			p := start(t, program)
			if got := told(resolver(t, Options{}).Frames(p, take(t, p, words)), "callers"); len(got) == 0 || got[0] != want {
				t.Errorf("got %q, want %q first", got, want)
			}

			// Of another program it must not be believed.
			other := build(t, "gcc", "-g", "-O0", flag)
			if out, err := exec.Command(objcopy, "--only-keep-debug", other, debug).CombinedOutput(); err != nil {
				t.Fatalf("objcopy: %v\n%s", err, out)
			}
			if got := told(resolver(t, Options{}).Frames(p, take(t, p, words)), "callers"); len(got) == 0 || got[0] != "?" {
				t.Errorf("with the debug file of another program: got %q, want no names", got)
			}
		})
	}
}
