package symbol

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
)

// perfMap holds what a just-in-time compiler wrote of its code: /tmp/perf-PID.map
// (tools/perf/Documentation/jit-interface.txt in Linux): start, size and name a line.
type perfMap struct {
	functions []compiled
	bytes     int64
}

type compiled struct {
	low, high uint64
	name      string
	order     int // a later line stands for code that took the place of an earlier one's
}

// maxPerfMap bounds how much of such a file is read: a JVM writes some 100 bytes a
// method.
const maxPerfMap = 64 << 20

// parsePerfMap reads the lines that make sense.
func parsePerfMap(r io.Reader) *perfMap {
	m := &perfMap{}
	lines := bufio.NewReaderSize(io.LimitReader(r, maxPerfMap), 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if err == bufio.ErrBufferFull { // no name is that long
			for err == bufio.ErrBufferFull {
				_, err = lines.ReadSlice('\n')
			}
			line = nil
		}
		if f, ok := parseCompiled(string(line)); ok && (err == nil || err == io.EOF) {
			f.order = len(m.functions)
			m.functions = append(m.functions, f)
			m.bytes += int64(len(f.name)) + 48
		}
		if err != nil {
			break
		}
	}
	slices.SortFunc(m.functions, func(a, b compiled) int {
		return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(a.order, b.order))
	})
	return m
}

func parseCompiled(line string) (f compiled, ok bool) {
	low, rest, _ := strings.Cut(line, " ")
	size, name, _ := strings.Cut(rest, " ")
	start, err := strconv.ParseUint(strings.TrimPrefix(low, "0x"), 16, 64)
	if err != nil {
		return f, false
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(size, "0x"), 16, 64)
	if name = strings.TrimRight(name, "\r\n "); err != nil || n == 0 || start+n < start || name == "" {
		return f, false
	}
	return compiled{low: start, high: start + n, name: name}, true
}

// find gives the function that holds an address: the one written last.
func (m *perfMap) find(a uint64) (place, bool) {
	i, _ := slices.BinarySearchFunc(m.functions, a, func(f compiled, a uint64) int {
		if f.low <= a {
			return -1
		}
		return 1
	})
	best := -1
	for back := 0; i > 0 && back < 64; back++ {
		if i--; a < m.functions[i].high && (best < 0 || m.functions[i].order > m.functions[best].order) {
			best = i
		}
	}
	if best < 0 {
		return place{}, false
	}
	return compiledPlace(m.functions[best].name), true
}

// compiledPlace takes apart what compilers write: CPython "py::name:file", V8
// "JS:*name file:line:column", others the name alone. The line is that in which the
// function begins: a map does not tell where in it a call stands.
func compiledPlace(name string) place {
	if rest, ok := strings.CutPrefix(name, "py::"); ok {
		function, file, _ := strings.Cut(rest, ":")
		return place{symbol: clean(function), file: clean(file)}
	}
	kind, rest, ok := strings.Cut(name, ":")
	if !ok || !v8Kinds[kind] {
		return place{symbol: demangled(name)}
	}
	rest = strings.TrimLeft(rest, "*~^+'") // how far it was compiled
	at := strings.LastIndexByte(rest, ' ')
	if at < 0 {
		return place{symbol: clean(rest)}
	}
	function, where := rest[:at], strings.TrimPrefix(rest[at+1:], "file://")
	p := place{symbol: clean(function)}
	if function == "" {
		p.symbol = "(anonymous)"
	}
	file, position, line := where, "", 0
	for range 2 { // :line:column, or :line
		i := strings.LastIndexByte(file, ':')
		if i < 0 {
			break
		}
		n, err := strconv.Atoi(file[i+1:])
		if err != nil || n <= 0 {
			break
		}
		file, position, line = file[:i], file[i:], n
	}
	if position == "" {
		file = where
	}
	p.file, p.line = clean(file), line
	return p
}

// v8Kinds are the kinds of code that V8 writes with a place in the source.
var v8Kinds = map[string]bool{"JS": true, "LazyCompile": true, "Function": true, "Script": true, "Eval": true, "Module": true}
