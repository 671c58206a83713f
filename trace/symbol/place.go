package symbol

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ianlancetaylor/demangle"
)

// place is where an address is in the source.
type place struct {
	symbol string
	file   string
	line   int
}

// maxName bounds a name, in bytes. Those of C++ and Rust templates can have thousands;
// a stack of them is no help to anybody.
const maxName = 512

// demangled gives the name as the source has it, cleaned.
func demangled(name string) string {
	if name == "" {
		return ""
	}
	if len(name) <= 4*maxName && (strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")) {
		name = demangle.Filter(name, demangle.NoParams, demangle.MaxLength(12))
	}
	return clean(name)
}

// clean bounds a name, and takes out what would act on a terminal: it comes from files
// that anybody may have written.
func clean(name string) string {
	if len(name) > maxName {
		cut := maxName
		for cut > 0 && !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '?'
	}, name)
}
