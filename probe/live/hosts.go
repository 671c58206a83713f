package live

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/tcpvet/tcpvet/source/procfs"
)

// inHosts gives the addresses of a name in the text of a hosts file (hosts(5)), in
// its order. A dot at the end of the name says that it is whole; files write none, and
// one that does is not heeded, as by the C library.
func inHosts(text, name string) []netip.Addr {
	return procfs.ParseHosts([]byte(text), strings.TrimSuffix(name, "."))
}

// linesWith counts the lines that have the name as a word, in any case, as grep -cwiF
// does.
func linesWith(text, name string) int {
	word, err := regexp.Compile(`(?i)(^|\W)` + regexp.QuoteMeta(name) + `(\W|$)`)
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(text) {
		if word.MatchString(strings.TrimSuffix(line, "\n")) {
			n++
		}
	}
	return n
}
