package symbol

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPythonLines reads tables that CPython wrote, and finds the lines that it finds.
func TestPythonLines(t *testing.T) {
	files, err := filepath.Glob("testdata/lines/3.*.txt")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		minor := 0
		if _, err := fmt.Sscanf(filepath.Base(file), "3.%d.txt", &minor); err != nil {
			t.Fatal(err)
		}
		decode := pythonLayouts[minor].decode
		if minor == 13 {
			decode = lineOfTable311
		}
		s := bufio.NewScanner(bytes.NewReader(b))
		s.Scan()
		first, text := 0, ""
		if _, err := fmt.Sscan(s.Text(), &first, &text); err != nil {
			t.Fatal(err)
		}
		table, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for s.Scan() {
			at, want := 0, 0
			if _, err := fmt.Sscan(s.Text(), &at, &want); err != nil {
				t.Fatal(err)
			}
			offset := at
			if minor == 10 {
				offset /= 2 // f_lasti counts instructions there
			}
			if got := decode(table, offset, first); got != want {
				t.Errorf("%s: offset %d is in line %d, CPython says %d", file, at, got, want)
			}
			n++
		}
		if n < 50 {
			t.Errorf("%s: %d offsets", file, n)
		}
	}
}

func TestLayout313Refuses(t *testing.T) {
	b := make([]byte, debugOffsets)
	copy(b, "xdebugpy")
	b[10], b[11] = 0x0d, 0x03
	if _, err := layout313(b); err != nil {
		t.Errorf("3.13: %v", err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"cut":          func(b []byte) []byte { return b[:583] },
		"no cookie":    func(b []byte) []byte { b[0] = 'y'; return b },
		"3.14":         func(b []byte) []byte { b[10] = 0x0e; return b },
		"a far offset": func(b []byte) []byte { b[43] = 1; return b },
	} {
		if _, err := layout313(change(bytes.Clone(b))); err == nil || !strings.HasPrefix(err.Error(), "read offsets of CPython: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzPythonLines(f *testing.F) {
	f.Add([]byte{0x80, 0, 0xf0, 2, 3, 0xd8, 4, 5}, 3, 10)
	f.Fuzz(func(t *testing.T, table []byte, offset, first int) {
		if offset < 0 || offset > 1<<24 {
			return
		}
		lineOfTable38(table, offset, first)
		lineOfTable310(table, offset, first)
		lineOfTable311(table, offset, first)
		l := pythonLayouts[11]
		if _, n, kind, ok := pythonText(table, &l); ok && n*kind > 4*4096 {
			t.Errorf("a text of %d times %d bytes", n, kind)
		}
		decodeText(table, 1<<(offset%3))
		layout313(table)
	})
}
