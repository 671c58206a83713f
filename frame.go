package tcpvet

import (
	"regexp"
	"slices"
	"strings"
)

// Library tells whether the frame is of code that comes with a language, a runtime or
// a package, as its name, file and module tell it: not what the people wrote whose
// program it is. Where nothing is known of a frame it is none of theirs either.
func (f *Frame) Library() bool {
	switch {
	case f.Symbol == "" && f.File == "":
		return true
	case strings.HasSuffix(f.File, ".go"), strings.HasSuffix(f.File, ".s") && goLibrary(f):
		return goLibrary(f)
	case strings.HasSuffix(f.File, ".py"), f.File != "" && f.Module == "python":
		return pythonLibrary(f.File)
	case strings.HasPrefix(f.File, "node:"), strings.Contains(f.File, "/node_modules/"):
		return true
	case f.Certainty == Certain && strings.HasPrefix(f.Module, "perf-"):
		return managedLibrary(f.Symbol)
	}
	return libraryModule.MatchString(f.Module)
}

// Own gives the index of the innermost frame of a stack that is of no library, -1 for
// none.
func Own(stack []Frame) int {
	return slices.IndexFunc(stack, func(f Frame) bool { return !f.Library() })
}

// libraryModule matches shared libraries, what the kernel maps, and the programs that
// interpret others.
var libraryModule = regexp.MustCompile(`^lib.*\.so|^ld-|^\[|^(?:python|pypy|node|nodejs|java|ruby|perl|php|php-fpm|beam\.smp|dotnet|deno|bun|lua|luajit)[0-9.]*$|\.cpython-.*\.so|` +
	`\.so(?:\.[0-9]+)*$`)

// goModule matches the directory of a module at a version, in the module cache or
// with -trimpath.
var goModule = regexp.MustCompile(`@v[0-9]`)

// goStandard are the first elements of the standard library's import paths of which
// a dial, or what runs goroutines, may be. A path without a dot alone does not tell:
// modules may be named so too.
var goStandard = func() map[string]bool {
	m := make(map[string]bool)
	for _, name := range strings.Fields("bufio bytes compress container context crypto database encoding errors expvar fmt internal io iter log maps mime net os " +
		"reflect runtime slices sort strings sync syscall testing time unique vendor") {
		m[name] = true
	}
	return m
}()

// goLibrary knows the standard library by its import path, which begins the symbol,
// and modules of others by their version in the file's path.
func goLibrary(f *Frame) bool {
	if goModule.MatchString(f.File) || strings.Contains(f.File, "/vendor/") {
		return true
	}
	first, _, below := strings.Cut(f.Symbol, "/")
	if !below {
		first, _, _ = strings.Cut(first, ".")
	}
	return goStandard[first]
}

func pythonLibrary(file string) bool {
	return strings.HasPrefix(file, "<frozen ") || pythonLib.MatchString(file)
}

// pythonLib matches the standard library and what pip or the distribution installed.
var pythonLib = regexp.MustCompile(`/(?:lib|lib64)/python[0-9.]*/|/(?:site|dist)-packages/`)

// managedLibrary knows what the JVM and Node bring along, by the names that they
// write into their perf maps.
func managedLibrary(symbol string) bool {
	return managedLib.MatchString(symbol)
}

var managedLib = regexp.MustCompile(`^L?(?:java|javax|jdk|sun|com[./]sun|io[./]netty|okhttp3|org[./]apache[./]http)[./]|node:|/node_modules/|` +
	`^(?:Interpreter|Builtin|Stub|RegExp|call_stub|StubRoutines|vtable stub|I2C|Bytecode)\b`)
