package keepalive

import (
	"go/build"
	"path/filepath"
	"strings"
	"testing"
)

// What a program links with this package is the standard library, golang.org/x/sys, and
// folders of this module that link no more: on each system, read from the sources, for
// an answer of the go command would be cached.
func TestLinksLittle(t *testing.T) {
	const module = "github.com/tcpvet/tcpvet"
	for _, system := range []string{"linux", "darwin", "windows"} {
		context := build.Default
		context.GOOS, context.CgoEnabled = system, false
		seen := map[string]bool{}
		var visit func(path string)
		visit = func(path string) {
			if seen[path] {
				return
			}
			seen[path] = true
			ours, ok := strings.CutPrefix(path, module)
			if !ok {
				first, _, _ := strings.Cut(path, "/")
				if strings.Contains(first, ".") && !strings.HasPrefix(path, "golang.org/x/sys/") {
					t.Errorf("%s: links %s", system, path)
				}
				return
			}
			pkg, err := context.ImportDir(filepath.Join("..", ours), 0)
			if err != nil {
				t.Errorf("%s: %v", system, err)
				return
			}
			for _, imported := range pkg.Imports {
				visit(imported)
			}
		}
		visit(module + "/keepalive")
		if !seen[module+"/internal/opened"] || !seen["net/http"] {
			t.Errorf("%s: read nothing: %v", system, seen)
		}
	}
}
