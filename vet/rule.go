// Package vet is the engine: it judges a Case by rules and reports what they
// found and what could not be judged. It also holds what several rules work
// with: sums per holder, the room that a tuple has left, and the words in which
// findings are put.
package vet

import "github.com/tcpvet/tcpvet"

// Rule is one thing that can be wrong.
type Rule struct {
	Name  string       // as in its folder, page and script: "close-wait-leak"
	Doc   Doc          // its manual page
	Needs tcpvet.Facts // without all of these it is skipped

	// Compares tells that it judges what changed between two looks. Without an
	// earlier one it is not asked, and is no rule that was skipped: nobody asked
	// what changed.
	Compares bool

	// Limited tells that it judges sockets by a limit of the path, which somebody
	// has to tell. Without one it finds nothing, and is no rule that was skipped.
	Limited bool

	// Lacks gives what a look with these facts could not tell all the same, such
	// as a setting that the first namespace alone has: the rule is then skipped.
	// It is pure; nil where Needs says all.
	Lacks func(tcpvet.Case) tcpvet.Facts

	// Judge is pure: it reads the Case alone, and changes nothing in it.
	// Patience is above 0. It names the rule in each finding, and its first
	// Number is the finding's size: how many sockets or ports it is about.
	// Evidence.Got is what Evidence.Check prints on a host that stands
	// still, with the thousands set off by commas, or "at least" less where
	// small groups were folded; of sockets that a filter left out What says
	// so, by OfEveryProcess.
	Judge func(tcpvet.Case) []tcpvet.Finding

	// Traffic judges captures in the same way, nil where packets cannot
	// tell. Its first Number is how many conversations it is about.
	Traffic func(*tcpvet.Traffic) []tcpvet.Finding
}

// Doc is the manual page of a rule. Its paragraphs are Markdown.
type Doc struct {
	Title   string   // one line: what is wrong
	Text    []string // what happens, why, and how it looks from outside, a paragraph each
	Numbers []Number // every threshold, with its reason
	Cure    []string // what helps, best first, a paragraph each
	Never   []string // what is often advised and does not help, with why
	See     []string // RFC sections, kernel documents, manual pages
}

// Number is a threshold of a rule.
type Number struct {
	Name   string // what it bounds
	Value  string // with its unit
	Reason string
}
