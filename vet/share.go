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

	// Former tells that it has them no more: it closed them first, and they rest.
	Former bool

	// Alike is how many more processes the share stands for, of the same name and
	// ended as it is: a script that calls a client ends one for each connection.
	Alike int

	reusable uint64 // of Count, where Former is set
}

// HeldBy names the first of those who hold the connections of a tuple, in a
// sentence; "" where that is not known.
func HeldBy(c *tcpvet.Census, shares []Share) string {
	if len(shares) == 0 || !c.Facts.Has(tcpvet.FactHolders) {
		return ""
	}
	return "Held by " + named(c, shares, func(s *Share) string {
		switch {
		case s.Former:
			return "nobody since they were closed by " + s.closer(c)
		case s.Process != tcpvet.Nobody:
			return ProgramText(c, s.Process)
		}
		return "no process, as TIME-WAIT and orphans are"
	}) + "."
}

// ClosedBy names the first of those who closed connections of a tuple that nobody holds
// any more, in a sentence; "" where that is not known of any.
func ClosedBy(c *tcpvet.Census, shares []Share) string {
	var closers []Share
	for _, s := range shares {
		if s.Former {
			closers = append(closers, s)
		}
	}
	if len(closers) == 0 {
		return ""
	}
	return "As a trace remembers, they were closed by " + named(c, closers, func(s *Share) string { return s.closer(c) }) + "."
}

// named joins the first shares, each with its count.
func named(c *tcpvet.Census, shares []Share, who func(*Share) string) string {
	const most = 3
	shown, rest := Cut(shares, most)
	var names []string
	for i := range shown {
		names = append(names, fmt.Sprintf("%s (%s)", who(&shown[i]), AtLeast(c.GroupError, shown[i].Count)))
	}
	if len(rest) > 0 {
		names = append(names, Counted(len(rest), "other"))
	}
	return strings.Join(names, "; ")
}

// closer names who closed them.
func (s *Share) closer(c *tcpvet.Census) string {
	name := ProgramText(c, s.Process)
	switch {
	case s.Alike > 0:
		return fmt.Sprintf("%s and %s of that name, which have ended", name, Counted(s.Alike, "other"))
	case c.Processes[s.Process].Ended:
		return name + ", which has ended"
	}
	return name
}

// foldEnded makes one share of those of ended processes that have one name.
func foldEnded(c *tcpvet.Census, shares []Share) []Share {
	at := make(map[string]int)
	kept := shares[:0]
	for _, s := range shares {
		info := c.Processes[s.Process]
		if !s.Former || !info.Ended {
			kept = append(kept, s)
			continue
		}
		i, ok := at[info.Comm]
		if !ok {
			at[info.Comm] = len(kept)
			kept = append(kept, s)
			continue
		}
		kept[i].Count += s.Count
		kept[i].reusable += s.reusable
		kept[i].Alike += 1 + s.Alike
	}
	return kept
}

// FirstKnown gives the first process that could be seen to hold some, Nobody for none.
func FirstKnown(shares []Share) tcpvet.Process {
	for _, s := range shares {
		if s.Process.Known() && !s.Former {
			return s.Process
		}
	}
	return tcpvet.Nobody
}

func former(s Share) int {
	if s.Former {
		return 1
	}
	return 0
}

func sortShares(shares []Share) {
	slices.SortFunc(shares, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), compareProcesses(a.Process, b.Process), former(a)-former(b))
	})
}
