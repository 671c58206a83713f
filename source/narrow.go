package source

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
)

// narrowed passes on what a query asks for of a look that saw more.
type narrowed struct {
	tcpvet.Observer
	ctx    context.Context
	states tcpvet.StateSet
	only   Namespaces
	self   tcpvet.NetnsID
	wanted map[tcpvet.NetnsID]bool
	met    []bool // by index into only.Names

	// waiting holds processes until a socket of theirs passes: what holds
	// none of those asked for is no part of the answer. told holds those that
	// were: what comes of them later is more.
	waiting map[tcpvet.Process]tcpvet.ProcessInfo
	told    map[tcpvet.Process]bool
}

// narrow passes what q asks for on to o. self is the namespace of the one who
// looked, 0 where that is not known.
func narrow(ctx context.Context, q Query, self tcpvet.NetnsID, o tcpvet.Observer) *narrowed {
	return &narrowed{
		Observer: o, ctx: ctx, states: q.states(), only: q.Netns, self: self, met: make([]bool, len(q.Netns.Names)),
		wanted: make(map[tcpvet.NetnsID]bool), waiting: make(map[tcpvet.Process]tcpvet.ProcessInfo),
		told: make(map[tcpvet.Process]bool),
	}
}

// wants tells whether the query asks for a namespace, by a name or its inode,
// and remembers which of the names that met.
func (n *narrowed) wants(id tcpvet.NetnsID, names []string) bool {
	switch {
	case n.only.All:
		return true
	case len(n.only.Names) == 0:
		return n.self == 0 || n.self == id
	}
	wanted := false
	for i, name := range n.only.Names {
		if inode, ok := netns.ParseID(name); ok && inode == id || slices.Contains(names, name) {
			n.met[i], wanted = true, true
		}
	}
	return wanted
}

// end ends a look at a file that was told to its end, or to where it was cut.
func (n *narrowed) end(cut bool) error {
	if err := n.unmet(); err != nil {
		return err
	}
	n.tellTableless()
	if cut {
		return ErrCut
	}
	return nil
}

// tellTableless passes on the processes of namespaces that are asked for which
// hold sockets in no table, and so none that could have passed.
func (n *narrowed) tellTableless() {
	var late []tcpvet.Process
	for p, info := range n.waiting {
		if t := info.Tableless; t != nil && t.Total() > 0 && (n.wanted[info.Netns] || n.wants(info.Netns, nil)) {
			late = append(late, p)
		}
	}
	slices.SortFunc(late, func(a, b tcpvet.Process) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Start, b.Start))
	})
	for _, p := range late {
		n.tell(p)
	}
}

// unmet is the error where a name stands for no namespace of the file: nothing
// found there would otherwise look like nothing wrong.
func (n *narrowed) unmet() error {
	for i, name := range n.only.Names {
		if !n.only.All && !n.met[i] {
			return fmt.Errorf("select namespace %q: %w: the file has none of that name or inode", name, ErrBlind)
		}
	}
	return nil
}

func (n *narrowed) Netns(ns tcpvet.Netns) {
	if n.wanted[ns.ID] = n.wants(ns.ID, ns.Names); n.wanted[ns.ID] {
		n.Observer.Netns(ns)
	}
}

func (n *narrowed) Process(p tcpvet.Process, info tcpvet.ProcessInfo) {
	if n.told[p] {
		n.Observer.Process(p, info)
		return
	}
	n.waiting[p] = info
}

// Gap passes on what is about the host or about a namespace that is asked for,
// which need not be among those that were seen.
func (n *narrowed) Gap(g tcpvet.Gap) {
	if g.Netns == 0 || n.wanted[g.Netns] || n.wants(g.Netns, nil) {
		n.Observer.Gap(g)
	}
}

func (n *narrowed) Socket(s *tcpvet.Socket) error {
	if err := n.ctx.Err(); err != nil {
		return err
	}
	wanted, ok := n.wanted[s.Netns]
	if !ok {
		wanted = n.wants(s.Netns, nil)
		n.wanted[s.Netns] = wanted
	}
	if !wanted || !n.states.Has(s.State) {
		return nil
	}
	n.tell(s.Holder)
	n.tell(s.Former)
	for _, p := range s.SharedWith {
		n.tell(p)
	}
	return n.Observer.Socket(s)
}

func (n *narrowed) tell(p tcpvet.Process) {
	if info, ok := n.waiting[p]; ok {
		delete(n.waiting, p)
		n.told[p] = true
		n.Observer.Process(p, info)
	}
}
