package symbol

import (
	"debug/dwarf"
	"math"
	"slices"
	"strings"
)

// chain puts names to at: of the function, and of the calls that were inlined into it.
func (t *lineTable) chain(u *unit, a uint64, at place, files []*dwarf.LineFile) []place {
	entries := t.enclosing(u, a)
	if len(entries) == 0 {
		if at.file == "" {
			return nil
		}
		return []place{at}
	}
	found := make([]place, 0, len(entries))
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		at.symbol = t.name(e)
		found = append(found, at)
		at = place{}
		if n, ok := e.Val(dwarf.AttrCallFile).(int64); ok && n >= 0 && n < int64(len(files)) && files[n] != nil {
			at.file = u.fileName(files[n])
		}
		if n, ok := e.Val(dwarf.AttrCallLine).(int64); ok && n > 0 && n < math.MaxInt32 {
			at.line = int(n)
		}
	}
	return found
}

// enclosing gives the function that holds an address and the inlined calls in it,
// outermost first.
func (t *lineTable) enclosing(u *unit, a uint64) []*dwarf.Entry {
	start, ok := within(u.functions, a)
	if !ok {
		return nil
	}
	r := t.data.Reader()
	r.Seek(start)
	e, err := r.Next()
	if err != nil || e == nil {
		return nil
	}
	found := []*dwarf.Entry{e}
	for e.Children && len(found) < maxInlined {
		e, err = r.Next()
		if err != nil || e == nil || e.Tag == 0 {
			break
		}
		inside := (e.Tag == dwarf.TagInlinedSubroutine || e.Tag == dwarf.TagLexDwarfBlock) && t.holds(e, a)
		if inside && e.Tag == dwarf.TagInlinedSubroutine {
			found = append(found, e)
		}
		if !inside {
			r.SkipChildren()
			e = found[0] // go on among its siblings
		}
	}
	return found
}

func (t *lineTable) holds(e *dwarf.Entry, a uint64) bool {
	ranges, err := t.data.Ranges(e)
	return err == nil && slices.ContainsFunc(ranges, func(r [2]uint64) bool { return r[0] <= a && a < r[1] })
}

// name follows an entry to where it is declared. What the linker calls it says more:
// it has the namespace.
func (t *lineTable) name(e *dwarf.Entry) string {
	plain := ""
	for range 8 {
		for _, attr := range [...]dwarf.Attr{dwarf.AttrLinkageName, mipsLinkageName} {
			if name, ok := e.Val(attr).(string); ok && strings.HasPrefix(name, "_") {
				return demangled(name)
			}
		}
		if name, ok := e.Val(dwarf.AttrName).(string); ok && plain == "" {
			plain = name
		}
		next, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			if next, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset); !ok {
				break
			}
		}
		r := t.data.Reader()
		r.Seek(next)
		var err error
		if e, err = r.Next(); err != nil || e == nil {
			break
		}
	}
	return clean(plain)
}

// mipsLinkageName is DW_AT_MIPS_linkage_name, of before DWARF 4.
const mipsLinkageName = dwarf.Attr(0x2007)
