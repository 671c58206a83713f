package symbol

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// build runs a compiler.
func build(t *testing.T, argv ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "callers")
	switch argv[0] {
	case "go":
		argv = append(append([]string{"go", "build", "-o", program}, argv[1:]...), "./testdata/callers")
	case "gcc":
		argv = append(append([]string{kerneltest.Tool(t, "gcc"), "-o", program}, argv[1:]...), "testdata/callers.c")
	default:
		argv = append(append([]string{kerneltest.Tool(t, argv[0])}, argv[1:]...), "-o", program)
	}
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return program
}

// mark gives the line of a source that ends in "mark: name".
func mark(t *testing.T, file, name string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		if strings.HasSuffix(line, "mark: "+name) {
			return i + 1
		}
	}
	t.Fatalf("%s has no mark %s", file, name)
	return 0
}

// told writes frames as a test states them: "dial app.c:12", with a ? where likely.
func told(frames []tcpvet.Frame, module string) []string {
	var out []string
	for _, f := range frames {
		if module != "" && f.Module != module {
			continue
		}
		s := fmt.Sprintf("%s %s:%d", f.Symbol, filepath.Base(f.File), f.Line)
		if f.Line == 0 {
			s = f.Symbol
		}
		if f.Certainty == tcpvet.Likely {
			s += "?"
		}
		out = append(out, s)
	}
	return out
}

func resolver(t *testing.T, opt Options) *Resolver {
	t.Helper()
	r := New(opt)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}
