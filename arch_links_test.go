package tcpvet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// lean are the modules that a program may come to link with a folder which is lean.
const lean = sys + "golang.org/x/time"

// brokenLinks follows imports from each folder that is lean, those of files for any
// system: a line that another folder is given may reach a program through it.
func brokenLinks(tree map[string]*folder, house map[string]room) (broken []string) {
	for dir := range sorted(tree) {
		if r, _ := roomOf(house, dir); !r.lean {
			continue
		}
		seen := map[string]bool{}
		var visit func(next string, way []string)
		visit = func(next string, way []string) {
			if seen[next] || tree[next] == nil {
				return
			}
			seen[next] = true
			way = append(slices.Clip(way), next)
			for _, s := range tree[next].code {
				for _, imp := range s.imports {
					if inside, ok := within(imp, module); ok {
						visit(inside, way)
					} else if !allowed(imp, "", lean) {
						broken = append(broken, fmt.Sprintf("%s links %s (%s), by %s", dir, imp, s.path, strings.Join(way, " -> ")))
					}
				}
			}
		}
		visit(dir, nil)
	}
	return broken
}

// What a folder between takes in is noticed, of another system too; what a test takes,
// and what nobody links, is not.
func TestHouseNoticesLinks(t *testing.T) {
	rooms := map[string]room{
		"keepalive":       {may: "internal/opened", lean: true},
		"internal/opened": {mod: sys + cmp},
		"source":          {mod: cmp},
	}
	tree, err := readTree(fstest.MapFS{
		"keepalive/dialer.go":            {Data: []byte("package keepalive\nimport _ \"" + module + "/internal/opened\"")},
		"internal/opened/book.go":        {Data: []byte("package opened\nimport (_ \"net/http\"; _ \"golang.org/x/time/rate\")")},
		"internal/opened/book_darwin.go": {Data: []byte("package opened\nimport (_ \"golang.org/x/sys/unix\"; _ \"github.com/google/go-cmp/cmp\")")},
		"internal/opened/book_test.go":   {Data: []byte("package opened\nimport _ \"pgregory.net/rapid\"")},
		"source/source.go":               {Data: []byte("package source\nimport _ \"github.com/google/go-cmp/cmp\"")},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "keepalive links github.com/google/go-cmp/cmp (internal/opened/book_darwin.go), by keepalive -> internal/opened"
	if got := brokenLinks(tree, rooms); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The packages that programs link are held to it.
func TestLeanFolders(t *testing.T) {
	for _, dir := range []string{"keepalive", "leaktest"} {
		if !house[dir].lean {
			t.Errorf("%s may link anything", dir)
		}
	}
}
