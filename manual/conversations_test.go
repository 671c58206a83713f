package manual

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// Every kind of note that the vocabulary has is explained, once.
func TestNotesAreExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../conversation.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]int)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != "NoteKind" {
			return true
		}
		for _, v := range spec.Values {
			word, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds[word] = 0
		}
		return true
	})
	if len(kinds) < 20 {
		t.Fatalf("%d kinds of notes were found", len(kinds))
	}
	for _, n := range noteTexts {
		if _, ok := kinds[string(n.kind)]; !ok {
			t.Errorf("%s is no kind of note", n.kind)
		}
		kinds[string(n.kind)]++
	}
	for kind, times := range kinds {
		if times != 1 {
			t.Errorf("%s is explained %d times", kind, times)
		}
	}
}
