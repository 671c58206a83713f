package vet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Share is how many connections of a tuple one process has.
type Share struct {
	Process tcpvet.Process
	Count   uint64
}

// HeldBy names the first of those who hold the connections of a tuple, in a
// sentence; "" where that is not known.
func HeldBy(c *tcpvet.Census, shares []Share) string {
	const most = 3
	if len(shares) == 0 || !c.Facts.Has(tcpvet.FactHolders) {
		return ""
	}
	shown, rest := Cut(shares, most)
	var names []string
	for _, s := range shown {
		who := "no process, as TIME-WAIT and orphans are"
		if s.Process != tcpvet.Nobody {
			who = ProgramText(c, s.Process)
		}
		names = append(names, fmt.Sprintf("%s (%s)", who, AtLeast(c.GroupError, s.Count)))
	}
	if len(rest) > 0 {
		names = append(names, Counted(len(rest), "other"))
	}
	return "Held by " + strings.Join(names, "; ") + "."
}

// FirstKnown gives the first process that could be seen, Nobody for none.
func FirstKnown(shares []Share) tcpvet.Process {
	for _, s := range shares {
		if s.Process.Known() {
			return s.Process
		}
	}
	return tcpvet.Nobody
}

func sortShares(shares []Share) {
	slices.SortFunc(shares, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), compareProcesses(a.Process, b.Process))
	})
}
