package tcpvet_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/tcpvet/tcpvet"

// folder is what the laws look at of one folder: its Go files for any system,
// and the names of what lies in it.
type folder struct {
	code, tests []*source
	names       []string // of files and folders, sorted
	fixtures    int      // files below its testdata
}

type source struct {
	path    string
	files   *token.FileSet
	syntax  *ast.File
	imports []string
}

// readTree parses the module's Go files. It leaves out modules nested in it,
// testdata, and what begins with a dot or an underscore, as the go command does.
func readTree(root fs.FS) (map[string]*folder, error) {
	tree := map[string]*folder{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, base := path.Dir(name), path.Base(name)
		if d.IsDir() {
			if name == "." {
				return nil
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil || base[0] == '.' || base[0] == '_' {
				return fs.SkipDir
			}
			if base == "testdata" {
				n, err := countFiles(root, name)
				if err != nil {
					return err
				}
				at(tree, dir).fixtures = n
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || base[0] == '.' || base[0] == '_' {
			return nil
		}
		src, err := parse(root, name)
		if err != nil {
			return err
		}
		f := at(tree, dir)
		f.names = append(f.names, base)
		if strings.HasSuffix(base, "_test.go") {
			f.tests = append(f.tests, src)
		} else {
			f.code = append(f.code, src)
		}
		return nil
	})
	return tree, err
}

func at(tree map[string]*folder, dir string) *folder {
	if tree[dir] == nil {
		tree[dir] = &folder{}
	}
	return tree[dir]
}

func countFiles(root fs.FS, dir string) (n int, err error) {
	err = fs.WalkDir(root, dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	return n, err
}

func parse(root fs.FS, name string) (*source, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	syntax, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	src := &source{path: name, files: files, syntax: syntax}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		src.imports = append(src.imports, p)
	}
	return src, nil
}

func (s *source) where(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.files.Position(n.Pos()).Line)
}

// laws hold for the whole tree. Each lists what breaks it.
var laws = []struct {
	name   string
	broken func(map[string]*folder, map[string]room) []string
}{
	{"allow-list", brokenList},
	{"names", brokenNames},
	{"direction", brokenDirection},
	{"links", brokenLinks},
	{"cycle", brokenCycle},
	{"purity", brokenPurity},
	{"comment", brokenComment},
	{"json", brokenJSON},
	{"rules", brokenRules},
}

// roomOf finds the line of a folder: its own, or that of its parent's "/*".
func roomOf(house map[string]room, dir string) (room, bool) {
	if r, ok := house[dir]; ok {
		return r, true
	}
	r, ok := house[path.Join(path.Dir(dir), "*")]
	return r, ok
}

func brokenList(tree map[string]*folder, house map[string]room) (broken []string) {
	for dir := range sorted(tree) {
		if _, ok := roomOf(house, dir); !ok {
			broken = append(broken, dir+" has no line in the table of arch_test.go")
		}
	}
	return broken
}

var drawers = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "types", "base", "lib"}

func brokenNames(tree map[string]*folder, _ map[string]room) (broken []string) {
	for dir, f := range sorted(tree) {
		for part := range strings.SplitSeq(dir, "/") {
			if slices.Contains(drawers, part) {
				broken = append(broken, dir+": "+part+" names no noun")
			}
		}
		want := strings.ReplaceAll(path.Base(dir), "-", "")
		if dir == "." {
			want = path.Base(module)
		}
		for _, s := range slices.Concat(f.code, f.tests) {
			got := strings.TrimSuffix(s.syntax.Name.Name, "_test")
			if got != want && got != "main" {
				broken = append(broken, s.path+": package "+got+" in a folder for "+want)
			}
		}
	}
	return broken
}

func brokenDirection(tree map[string]*folder, house map[string]room) (broken []string) {
	for dir, f := range sorted(tree) {
		r, _ := roomOf(house, dir)
		for _, s := range f.code {
			for _, imp := range s.imports {
				if !allowed(imp, r.may, r.mod) {
					broken = append(broken, fmt.Sprintf("%s imports %s (%s)", dir, short(imp), s.path))
				}
			}
		}
		for _, s := range f.tests {
			for _, imp := range s.imports {
				if !allowed(imp, r.may+" "+r.tests+" "+guards+" "+dir, r.mod+" "+forTests) {
					broken = append(broken, fmt.Sprintf("a test of %s imports %s (%s)", dir, short(imp), s.path))
				}
			}
		}
	}
	return broken
}

// allowed tells whether an import is of the standard library, of a folder that
// may names, or of a module that mods names.
func allowed(imp, may, mods string) bool {
	if inside, ok := within(imp, module); ok {
		for _, pattern := range strings.Fields(may) {
			if ok, _ := path.Match(pattern, inside); ok {
				return true
			}
		}
		return false
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true
	}
	return slices.ContainsFunc(strings.Fields(mods), func(mod string) bool {
		_, ok := within(imp, mod)
		return ok
	})
}

// within gives an import's path below a module, "." for the module itself.
func within(imp, mod string) (inside string, ok bool) {
	if imp == mod {
		return ".", true
	}
	return strings.CutPrefix(imp, mod+"/")
}

func short(imp string) string {
	if inside, ok := within(imp, module); ok {
		return inside
	}
	return imp
}

// brokenCycle looks at what the table allows, not at what is imported: the
// compiler does that.
func brokenCycle(tree map[string]*folder, house map[string]room) (broken []string) {
	const open, done = 1, 2
	state := map[string]int{}
	var way []string
	var visit func(dir string)
	visit = func(dir string) {
		state[dir] = open
		way = append(way, dir)
		r, _ := roomOf(house, dir)
		for next := range sorted(tree) {
			if next == dir || !allowed(path.Join(module, next), r.may, "") {
				continue
			}
			switch state[next] {
			case open:
				from := slices.Index(way, next)
				broken = append(broken, strings.Join(append(slices.Clone(way[from:]), next), " -> "))
			case 0:
				visit(next)
			}
		}
		way = way[:len(way)-1]
		state[dir] = done
	}
	for dir := range sorted(tree) {
		if state[dir] == 0 {
			visit(dir)
		}
	}
	return broken
}

// outside lists the packages, and what lies below them, by which code reaches
// the machine, waits, or reads and writes.
var outside = []string{"os", "io", "net", "context", "syscall", "plugin", "log", "runtime", "testing", "unsafe", "math/rand"}

func brokenPurity(tree map[string]*folder, house map[string]room) (broken []string) {
	for dir, f := range sorted(tree) {
		r, _ := roomOf(house, dir)
		if !r.pure {
			continue
		}
		for _, s := range f.code {
			for _, imp := range s.imports {
				if imp != "net/netip" && !slices.Contains(strings.Fields(r.std), imp) &&
					slices.ContainsFunc(outside, func(p string) bool { _, ok := within(imp, p); return ok }) {
					broken = append(broken, fmt.Sprintf("%s imports %s (%s)", dir, imp, s.path))
				}
			}
			ast.Inspect(s.syntax, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					broken = append(broken, s.where(n)+": starts a goroutine")
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
						broken = append(broken, s.where(n)+": reads the clock")
					}
				}
				return true
			})
		}
	}
	return broken
}

var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func brokenComment(tree map[string]*folder, _ map[string]room) (broken []string) {
	for dir, f := range sorted(tree) {
		if len(f.code) == 0 {
			continue
		}
		n := 0
		for _, s := range f.code {
			if s.syntax.Doc != nil {
				n++
			}
		}
		if n != 1 {
			broken = append(broken, fmt.Sprintf("%s has %d package comments, want 1", dir, n))
		}
	}
	return broken
}

func brokenJSON(tree map[string]*folder, house map[string]room) (broken []string) {
	for dir, f := range sorted(tree) {
		r, _ := roomOf(house, dir)
		for _, s := range f.code {
			for _, decl := range s.syntax.Decls {
				ast.Inspect(decl, func(n ast.Node) bool {
					// Types that a reader keeps to itself are no contract.
					if t, ok := n.(*ast.TypeSpec); ok && r.json && (dir == "report/jsonv1" || !t.Name.IsExported()) {
						return false
					}
					if field, ok := n.(*ast.Field); ok && field.Tag != nil {
						tag, _ := strconv.Unquote(field.Tag.Value)
						if _, ok := reflect.StructTag(tag).Lookup("json"); ok {
							broken = append(broken, s.where(field)+": a json tag outside of the contract")
						}
					}
					return true
				})
			}
		}
	}
	return broken
}

// brokenRules holds every rule's folder to the same shape, and the list of rules
// to the folders.
func brokenRules(tree map[string]*folder, _ map[string]room) (broken []string) {
	listed := map[string]bool{}
	if f := tree["rules"]; f != nil {
		for _, s := range f.code {
			for _, imp := range s.imports {
				listed[short(imp)] = true
			}
		}
	}
	for dir, f := range sorted(tree) {
		if path.Dir(dir) != "rules" || dir == "rules/ruletest" {
			continue
		}
		if !slices.Contains(f.names, "rule.go") {
			broken = append(broken, dir+" has no rule.go")
		}
		if len(f.tests) == 0 {
			broken = append(broken, dir+" has no test")
		}
		if f.fixtures == 0 {
			broken = append(broken, dir+" has no testdata")
		}
		if !listed[dir] {
			broken = append(broken, dir+" is not imported by rules/*.go")
		}
	}
	return broken
}

// sorted visits folders in the order of their names.
func sorted(tree map[string]*folder) func(func(string, *folder) bool) {
	return func(yield func(string, *folder) bool) {
		for _, dir := range slices.Sorted(maps.Keys(tree)) {
			if !yield(dir, tree[dir]) {
				return
			}
		}
	}
}
