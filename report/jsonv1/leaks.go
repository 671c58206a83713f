package jsonv1

import "github.com/tcpvet/tcpvet"

// LeaksSchema is the schema of Leaks.
const LeaksSchema = "tcpvet/leaks/v1"

// Leaks is the document of tcpvet/leaks/v1.
type Leaks struct {
	Schema      string  `json:"schema"`
	Taken       *string `json:"taken"`
	Source      string  `json:"source"`
	OlderThanMS int64   `json:"older_than_ms"`
	TracedMS    *int64  `json:"traced_ms"` // null where openings were not watched
	Total       uint64  `json:"total"`
	Younger     uint64  `json:"younger"`
	Groups      []Leak  `json:"groups"`
	Gaps        []Gap   `json:"gaps"`
}

// Leak is a group of connections that the same code opened.
type Leak struct {
	Count          uint64     `json:"count"`
	Unsure         uint64     `json:"unsure"` // of Count, those that may be younger than asked for
	Netns          Netns      `json:"netns"`
	Process        *Process   `json:"process"`
	Container      *Container `json:"container"`
	Role           string     `json:"role"`
	Service        string     `json:"service"`
	OldestMS       *int64     `json:"oldest_ms"` // at least
	OldestAtMostMS *int64     `json:"oldest_at_most_ms"`
	Stack          []Frame    `json:"stack"`
	StackKnownBy   string     `json:"stack_known_by"` // connect, accept; where stack is null before, untraced, no-room, missing
	StackCut       bool       `json:"stack_cut"`
	Own            *int       `json:"own"`      // index in stack of the innermost call outside of libraries
	AskedBy        []Frame    `json:"asked_by"` // stack of the goroutine that it was opened for
	AskedByOwn     *int       `json:"asked_by_own"`
	CreatedBy      []Frame    `json:"created_by"`
	OpenedBy       *Process   `json:"opened_by"` // where it is another process
	Thread         *string    `json:"thread"`
	Note           *string    `json:"note"`
	Advice         *string    `json:"advice"`
}

// LeaksOf gives the document.
func LeaksOf(l *tcpvet.Leaks) Leaks {
	look := InCensus(&l.Census)
	out := Leaks{
		Schema: LeaksSchema, Taken: Time(l.Census.Taken), Source: l.Census.Source, OlderThanMS: ms(l.OlderThan),
		Total: l.Count(), Younger: l.Younger, Groups: make([]Leak, 0, len(l.Groups)), Gaps: Gaps(l.Census.Gaps),
	}
	if l.Traced > 0 {
		traced := ms(l.Traced)
		out.TracedMS = &traced
	}
	for i := range l.Groups {
		out.Groups = append(out.Groups, look.leakOf(&l.Groups[i]))
	}
	return out
}

func (l Lookup) leakOf(g *tcpvet.Leak) Leak {
	out := Leak{
		Count: g.Count, Unsure: g.Unsure, Netns: l.NetnsOf(g.Netns), Process: l.ProcessOf(g.Process), Container: l.ContainerOf(g.Process),
		Role: g.Role.String(), Service: Endpoint(g.Service), Stack: FramesOf(g.Stack), StackKnownBy: g.KnownBy.String(), StackCut: g.Cut,
		AskedBy: FramesOf(g.Asker), CreatedBy: FramesOf(g.Creator), OpenedBy: l.ProcessOf(g.Opener), Thread: text(g.Thread), Note: text(g.Note), Advice: text(g.Advice),
	}
	if g.Oldest.By != "" {
		low, high := ms(g.Oldest.Low), ms(g.Oldest.High)
		out.OldestMS, out.OldestAtMostMS = &low, &high
	}
	out.Own, out.AskedByOwn = ownOf(g.Stack), ownOf(g.Asker)
	return out
}

func ownOf(stack []tcpvet.Frame) *int {
	if own := tcpvet.Own(stack); own >= 0 {
		return &own
	}
	return nil
}
