// Package report prints what was counted and found, for people and in the
// shapes of jsonv1. It judges nothing.
package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// CountWords are what sockets can be counted by.
var CountWords = []string{"state", "process", "container", "netns", "service", "role", "local"}

// CountNeeds gives the facts that make counting by these words worth most. A source
// that has not all of them can still count.
func CountNeeds(by []string) tcpvet.Facts {
	var f tcpvet.Facts
	for _, word := range by {
		switch word {
		case "process":
			f |= tcpvet.FactHolders
		case "container":
			f |= tcpvet.FactHolders | tcpvet.FactContainers
		case "service", "role":
			// tcp_info shows what was accepted from a listener that was closed.
			f |= tcpvet.FactListeners | tcpvet.FactPortRange | tcpvet.FactInfo
		}
	}
	return f
}

// Counts are sockets counted by some words.
type Counts struct {
	By   []string
	Rows []CountRow
}

// CountRow is how many sockets have the same values.
type CountRow struct {
	Text  []string // as people read them
	JSON  []any
	Count uint64

	// Unknown tells that the source cannot tell such sockets, so that a
	// Count of 0 means nothing.
	Unknown bool
}

// Number is the count as people read it, "-" where it is not known.
func (r *CountRow) Number() string {
	if r.Unknown {
		return "-"
	}
	return strconv.FormatUint(r.Count, 10)
}

// Hidden gives those of the states that a source with these facts never shows,
// in the order of tcpvet.States.
func Hidden(f tcpvet.Facts, states tcpvet.StateSet) []tcpvet.State {
	var hidden []tcpvet.State
	for _, s := range tcpvet.States {
		if fact := stateFacts[s]; states.Has(s) && fact != 0 && !f.Has(fact) {
			hidden = append(hidden, s)
		}
	}
	return hidden
}

// stateFacts are the facts without which a state is not seen.
var stateFacts = map[tcpvet.State]tcpvet.Facts{
	tcpvet.TimeWait: tcpvet.FactTimeWait, tcpvet.Listen: tcpvet.FactListeners, tcpvet.BoundInactive: tcpvet.FactBound,
}

// countKey holds the values of the words that were asked for, zero for others.
type countKey struct {
	group     tcpvet.Group
	state     tcpvet.State
	container string // its ID and names: a runtime may keep either to itself
}

// Count counts c by words of CountWords, the largest first. By state alone
// every state has its row, in the order of tcpvet.States.
func Count(c *tcpvet.Census, by []string) Counts {
	if slices.Equal(by, []string{"state"}) {
		return countStates(c)
	}
	containers := make(map[string]*tcpvet.Container)
	counts := make(map[countKey]uint64)
	for g, t := range c.Groups {
		key := countKey{group: keep(g, by)}
		if cont := c.Processes[g.Owner()].Container; cont != nil && slices.Contains(by, "container") {
			key.container = strings.Join([]string{cont.ID, cont.Pod, cont.Name}, "\x00")
			containers[key.container] = cont
		}
		if !slices.Contains(by, "state") {
			counts[key] += t.Total()
			continue
		}
		for s, n := range t.States {
			if n > 0 {
				key.state = tcpvet.State(s)
				counts[key] += uint64(n)
			}
		}
	}
	out := Counts{By: by}
	l := jsonv1.InCensus(c)
	for key, n := range counts {
		row := CountRow{Count: n}
		for _, word := range by {
			text, value := countValue(c, l, key, containers[key.container], word)
			row.Text = append(row.Text, text)
			row.JSON = append(row.JSON, value)
		}
		out.Rows = append(out.Rows, row)
	}
	slices.SortFunc(out.Rows, func(a, b CountRow) int {
		if d := cmp.Compare(b.Count, a.Count); d != 0 {
			return d
		}
		return slices.Compare(a.Text, b.Text)
	})
	return out
}

func countStates(c *tcpvet.Census) Counts {
	out := Counts{By: []string{"state"}}
	total := c.TotalStates()
	for _, s := range tcpvet.States {
		out.Rows = append(out.Rows, CountRow{Text: []string{s.String()}, JSON: []any{s.String()}, Count: total[s],
			Unknown: total[s] == 0 && stateFacts[s] != 0 && !c.Facts.Has(stateFacts[s])})
	}
	return out
}

// keep gives g without what is not counted by.
func keep(g tcpvet.Group, by []string) tcpvet.Group {
	var k tcpvet.Group
	for _, word := range by {
		switch word {
		case "process":
			k.Holder, k.Former = g.Holder, g.Former
		case "netns":
			k.Netns = g.Netns
		case "service":
			k.Service = g.Service
		case "role":
			k.Role = g.Role
		case "local":
			k.Local = g.Local
		}
	}
	return k
}

// countValue gives a word's value as people read it, and for JSON.
func countValue(c *tcpvet.Census, l jsonv1.Lookup, k countKey, cont *tcpvet.Container, word string) (string, any) {
	switch word {
	case "state":
		return k.state.String(), k.state.String()
	case "process":
		if k.group.Holder == tcpvet.Nobody && k.group.Former != tcpvet.Nobody {
			return vet.FormerText(c, k.group.Former), l.FormerOf(k.group.Former)
		}
		return vet.ProcessText(c, k.group.Holder), l.ProcessOf(k.group.Holder)
	case "container":
		return vet.ContainerText(cont), jsonv1.ContainerOf(cont)
	case "netns":
		return vet.NetnsText(c, k.group.Netns), l.NetnsOf(k.group.Netns)
	case "service":
		text := jsonv1.Endpoint(k.group.Service)
		return text, text
	case "role":
		return k.group.Role.String(), k.group.Role.String()
	case "local":
		if !k.group.Local.IsValid() {
			return jsonv1.Other, jsonv1.Other
		}
		return k.group.Local.String(), k.group.Local.String()
	}
	return "", nil
}

// Document gives the counts in their JSON shape.
func (n Counts) Document(c *tcpvet.Census) jsonv1.Count {
	doc := jsonv1.Count{
		Schema: jsonv1.CountSchema, Taken: jsonv1.Time(c.Taken), Source: c.Source, Namespaces: len(c.Netns), Total: c.Selected,
		By: n.By, Groups: make([]jsonv1.CountGroup, 0, len(n.Rows)), Gaps: jsonv1.Gaps(c.Gaps),
	}
	for _, r := range n.Rows {
		doc.Groups = append(doc.Groups, jsonv1.CountGroup{Words: n.By, Values: r.JSON, Count: r.Count, Unknown: r.Unknown})
	}
	return doc
}

// Table prints the counts in columns, and their sum.
func (n Counts) Table(w io.Writer) error {
	widths := make([]int, len(n.By))
	for i, word := range n.By {
		widths[i] = len(word)
		for _, r := range n.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r.Text[i]))
		}
	}
	const sum = "total"
	widths[0] = max(widths[0], len(sum))
	out := bufio.NewWriter(w)
	line := func(cells []string, count string) {
		for i, cell := range cells {
			out.WriteString(cell)
			out.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		fmt.Fprintf(out, "%9s\n", count)
	}
	head := make([]string, len(n.By))
	for i, word := range n.By {
		head[i] = strings.ToUpper(word)
	}
	line(head, "COUNT")
	var total uint64
	for _, r := range n.Rows {
		total += r.Count
		line(r.Text, r.Number())
	}
	last := make([]string, len(n.By))
	last[0] = sum
	line(last, fmt.Sprint(total))
	return out.Flush()
}
