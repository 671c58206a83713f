// Package manual holds the texts of tcpvet: what the states, errors, settings
// and fixes mean. The command, the manual pages and the documentation render
// the same topics.
package manual

import "slices"

// Topic is one page of the manual.
type Topic struct {
	// Name is what the topic is called in "tcpvet explain NAME".
	Name string

	// Aliases are other spellings. Find ignores case, hyphens, underscores,
	// dots and spaces, so they differ by more than that.
	Aliases []string

	Section Section
	Title   string // what it is about, in one line, without a full stop
	Body    []Block

	// See names topics to read next; Find knows each of them.
	See []string

	// Refs are where the statements come from: RFC sections, kernel
	// documents and functions, manual pages.
	Refs []string

	// Part tells that the topic is a piece of another one and is left out
	// of lists: a single claim of the article.
	Part bool
}

// Section groups topics.
type Section string

// The sections, in the order of an index.
const (
	Basics   Section = "basics"   // pages to begin with, each an overview
	States   Section = "states"   // of a TCP socket
	Errnos   Section = "errnos"   // why a call failed
	TCP      Section = "tcp"      // how connections live and end
	Settings Section = "settings" // of the kernel
	Fixes    Section = "fix"      // code that closes what it opened
	Rules    Section = "rules"    // what tcpvet diagnose can find
	Article  Section = "article"  // the text that tcpvet grew from, checked
)

// sections holds each section with its title, in the order of an index.
var sections = [...]struct {
	section Section
	title   string
}{
	{Basics, "where to begin"},
	{States, "states of a socket"},
	{Errnos, "errors of the system calls"},
	{TCP, "how connections live and end"},
	{Settings, "settings of the kernel"},
	{Fixes, "code that closes what it opened"},
	{Rules, "what tcpvet diagnose can find"},
	{Article, "the article, claim by claim"},
}

// Title says in a few words what the section holds, "" for an unknown one.
func (s Section) Title() string {
	for _, known := range sections {
		if known.section == s {
			return known.title
		}
	}
	return ""
}

// Blocks gives all that is printed below the title: the body, the references
// and the topics to read next.
func (t Topic) Blocks() []Block {
	blocks := slices.Clip(t.Body)
	if len(t.Refs) > 0 {
		blocks = append(blocks, Heading("sources"), List(t.Refs))
	}
	if len(t.See) > 0 {
		more := make(Commands, len(t.See))
		for i, name := range t.See {
			more[i].Run = "tcpvet explain " + name
		}
		blocks = append(blocks, Heading("read next"), more)
	}
	return blocks
}
