package symbol

import (
	"cmp"
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"math"
	"path"
	"slices"
)

// lineTable is the debug information of a file: which line an address comes from, and
// what was inlined there. Only the units that are asked about are decoded.
type lineTable struct {
	data  *dwarf.Data
	bytes int64
	units []span // by address; at is the offset of the unit
	known map[dwarf.Offset]*unit
}

// span is a range of addresses of what an entry describes.
type span struct {
	low, high uint64
	at        dwarf.Offset
}

// unit is one compilation unit.
type unit struct {
	entry     *dwarf.Entry
	functions []span
}

// Bounds: a browser has 30,000 units, and a unit of generated code 100,000 functions.
const (
	maxSpans     = 1 << 20
	maxUnitsKept = 64
	maxDepth     = 64
)

// The sections that lines and names need (DWARF 5, section 1.4); those after "str" may
// be absent.
var lineSections = [...]string{"abbrev", "info", "line", "ranges", "str", "addr", "line_str", "str_offsets", "rnglists"}

// openLines gives nil and no error where there is no debug information. most bounds
// how many bytes of it are read.
func openLines(f *elf.File, most int64) (t *lineTable, err error) {
	defer recovered(&err, "read debug information")
	var sections [len(lineSections)]*elf.Section
	size := uint64(0)
	for i, name := range lineSections {
		if s := f.Section(".debug_" + name); s != nil && s.Type != elf.SHT_NOBITS {
			sections[i] = s
			size += min(s.Size, math.MaxInt64/16)
		}
	}
	if sections[1] == nil {
		return nil, nil
	}
	if size > uint64(max(most, 0)) {
		return nil, fmt.Errorf("read debug information: it has %d MiB, at most %d MiB are read", size>>20, most>>20)
	}
	var data [len(lineSections)][]byte
	for i, s := range sections {
		if s == nil {
			continue
		}
		if data[i], err = s.Data(); err != nil {
			return nil, fmt.Errorf("read debug information: section %s: %w", s.Name, err)
		}
	}
	d, err := dwarf.New(data[0], nil, nil, data[1], data[2], nil, data[3], data[4])
	if err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}
	for i := 5; i < len(data); i++ {
		if data[i] == nil {
			continue
		}
		if err := d.AddSection(".debug_"+lineSections[i], data[i]); err != nil {
			return nil, fmt.Errorf("read debug information: section %s: %w", lineSections[i], err)
		}
	}
	t = &lineTable{data: d, bytes: int64(size), known: map[dwarf.Offset]*unit{}}
	t.readUnits()
	return t, nil
}

func (t *lineTable) cost() int64 {
	if t == nil {
		return 0
	}
	return t.bytes*3/2 + int64(len(t.units))*24 // what is decoded of it comes on top
}

// readUnits notes which unit has which addresses. What makes no sense ends it: the
// units until then are sound.
func (t *lineTable) readUnits() {
	for r := t.data.Reader(); len(t.units) < maxSpans; r.SkipChildren() {
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		if e.Tag == dwarf.TagCompileUnit || e.Tag == dwarf.TagSkeletonUnit {
			t.units = t.spans(t.units, e)
		}
	}
	sortSpans(t.units)
}

// spans appends the ranges of an entry. Functions that the linker dropped stand at 0.
func (t *lineTable) spans(to []span, e *dwarf.Entry) []span {
	ranges, err := t.data.Ranges(e)
	if err != nil {
		return to
	}
	for _, r := range ranges {
		if r[0] > 0 && r[0] < r[1] && len(to) < maxSpans {
			to = append(to, span{r[0], r[1], e.Offset})
		}
	}
	return to
}

func sortSpans(s []span) {
	slices.SortFunc(s, func(a, b span) int { return cmp.Or(cmp.Compare(a.low, b.low), cmp.Compare(b.high, a.high)) })
}

// within finds the innermost span that holds an address.
func within(s []span, a uint64) (dwarf.Offset, bool) {
	i, _ := slices.BinarySearchFunc(s, a, func(s span, a uint64) int {
		if s.low <= a {
			return -1
		}
		return 1
	})
	for back := 0; i > 0 && back < 64; back++ {
		if i--; a < s[i].high {
			return s[i].at, true
		}
	}
	return 0, false
}

func (t *lineTable) unit(a uint64) *unit {
	at, ok := within(t.units, a)
	if !ok {
		return nil
	}
	if u := t.known[at]; u != nil {
		return u
	}
	r := t.data.Reader()
	r.Seek(at)
	e, err := r.Next()
	if err != nil || e == nil {
		return nil
	}
	u := &unit{entry: e}
	t.readFunctions(r, u)
	if len(t.known) >= maxUnitsKept {
		clear(t.known)
	}
	t.known[at] = u
	return u
}

// readFunctions notes where the functions of a unit lie. They stand at its top, or in
// namespaces (C++, Rust).
func (t *lineTable) readFunctions(r *dwarf.Reader, u *unit) {
	for depth := 1; depth > 0; {
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		switch e.Tag {
		case 0:
			depth--
			continue
		case dwarf.TagSubprogram:
			u.functions = t.spans(u.functions, e)
		case dwarf.TagNamespace, dwarf.TagModule, dwarf.TagStructType, dwarf.TagClassType, dwarf.TagEnumerationType, dwarf.TagUnionType:
			if e.Children && depth < maxDepth {
				depth++
				continue
			}
		}
		r.SkipChildren()
	}
	sortSpans(u.functions)
}

// places gives the functions that an address is in, innermost first.
func (t *lineTable) places(a uint64) []place {
	if t == nil {
		return nil
	}
	u := t.unit(a)
	if u == nil {
		return nil
	}
	lines, err := t.data.LineReader(u.entry)
	if err != nil || lines == nil {
		return t.chain(u, a, place{}, nil)
	}
	return t.chain(u, a, lineAt(u, lines, a), lines.Files())
}

// fileName gives the path of a source file: in a unit they count from where that was
// compiled.
func (u *unit) fileName(f *dwarf.LineFile) string {
	name := f.Name
	if dir, ok := u.entry.Val(dwarf.AttrCompDir).(string); ok && !path.IsAbs(name) {
		name = path.Join(dir, name)
	}
	return clean(name)
}

// lineAt finds the row of an address. A unit's code lies in several places, and its
// rows need not be in their order: LineReader.SeekPC would miss some.
func lineAt(u *unit, lines *dwarf.LineReader, a uint64) place {
	var row, last dwarf.LineEntry
	last.EndSequence = true
	for lines.Next(&row) == nil {
		if !last.EndSequence && last.Address <= a && a < row.Address && last.File != nil {
			return place{file: u.fileName(last.File), line: last.Line}
		}
		last = row
	}
	return place{}
}
