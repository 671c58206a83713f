package manual

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tcpvet/tcpvet/vet"
)

// Book is the whole manual: the topics of this package and a page for each
// rule that it was given.
type Book struct {
	topics []Topic
	index  map[string]int // folded names and aliases to topics
}

// New binds a book.
func New(rules ...*vet.Rule) *Book {
	b := &Book{topics: pages()}
	if len(rules) > 0 {
		b.topics = append(b.topics, rulesTopic(rules))
	}
	for _, r := range rules {
		b.topics = append(b.topics, RuleTopic(r))
	}
	b.index = make(map[string]int, 8*len(b.topics))
	for i, t := range b.topics {
		for _, name := range append([]string{t.Name}, t.Aliases...) {
			if _, taken := b.index[fold(name)]; !taken {
				b.index[fold(name)] = i
			}
		}
	}
	return b
}

// pages gives the topics of this package, in the order of their sections.
func pages() []Topic {
	return slices.Concat(basics(), states(), errnos(), tcp(), settings(), fixes(), article())
}

var plainBook = sync.OnceValue(func() *Book { return New() })

// Find looks a topic up in a book that knows no rules. See Book.Find.
func Find(query string) (t Topic, near []string, ok bool) { return plainBook().Find(query) }

// Topics gives every topic, grouped by section.
func (b *Book) Topics() []Topic { return slices.Clone(b.topics) }

// Group is a section with its topics, without those that are a part of
// another.
type Group struct {
	Section Section
	Topics  []Topic
}

// Groups gives the sections that hold something, in the order of an index.
func (b *Book) Groups() []Group {
	var groups []Group
	for _, s := range sections {
		g := Group{Section: s.section}
		for _, t := range b.topics {
			if t.Section == s.section && !t.Part {
				g.Topics = append(g.Topics, t)
			}
		}
		if len(g.Topics) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// Index prints what "tcpvet explain" knows, by section.
func (b *Book) Index(w io.Writer, o TextOptions) error {
	p := newPrinter(o)
	for i, g := range b.Groups() {
		if i > 0 {
			p.b.WriteByte('\n')
		}
		p.heading(g.Section.Title())
		for _, t := range g.Topics {
			p.entry(t)
		}
	}
	p.b.WriteByte('\n')
	p.para("Any spelling is understood, and so is a pasted error message. A claim of the article has its number: `tcpvet explain article 9`.", 0, nil)
	return p.flush(w)
}

// nameColumn is the width that an index gives to names, wide enough for most.
const nameColumn = 20

// entry writes the name of a topic and its title beside it.
func (p *printer) entry(t Topic) {
	const indent = 2
	pad := nameColumn - runes(t.Name)
	rest := p.width - indent - nameColumn - 1
	lines := p.wrap(t.Title, rest, nil)
	if rest < leastColumn || pad < 0 {
		p.line(indent, apply(p.style.Code, t.Name))
		p.para(t.Title, 2*indent, nil)
		return
	}
	for i, l := range lines {
		if i == 0 {
			p.line(indent, apply(p.style.Code, t.Name)+strings.Repeat(" ", pad+1)+l)
			continue
		}
		p.line(indent+nameColumn+1, l)
	}
}

// Names gives the name of every topic that an index lists, for completions.
func (b *Book) Names() []string {
	var names []string
	for _, g := range b.Groups() {
		for _, t := range g.Topics {
			names = append(names, t.Name)
		}
	}
	return names
}

// claimName is the topic of one claim of the article.
func claimName(n int) string { return "article " + strconv.Itoa(n) }
