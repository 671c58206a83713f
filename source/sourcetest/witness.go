package sourcetest

import (
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// witness is an Observer that keeps what it is told, and complains where the
// order is not the one that Observer states.
type witness struct {
	complaints
	hosts   int
	spaces  map[tcpvet.NetnsID]tcpvet.Netns
	procs   map[tcpvet.Process]tcpvet.ProcessInfo
	sockets []tcpvet.Socket
	gaps    []tcpvet.Gap

	rest map[tcpvet.NetnsID]bool // namespaces of which a socket that is no listener was told

	fail error // where it is not nil, what Socket returns after sockets are failAfter
	most int
}

// complaints collects what is wrong.
type complaints struct{ list []string }

func (c *complaints) errorf(format string, args ...any) {
	c.list = append(c.list, fmt.Sprintf(format, args...))
}

func newWitness() *witness {
	return &witness{
		spaces: make(map[tcpvet.NetnsID]tcpvet.Netns), procs: make(map[tcpvet.Process]tcpvet.ProcessInfo), rest: make(map[tcpvet.NetnsID]bool),
	}
}

func (w *witness) Host(tcpvet.Host) {
	if w.hosts++; w.hosts > 1 {
		w.errorf("the host was told %d times", w.hosts)
	}
	if len(w.spaces) > 0 || len(w.sockets) > 0 {
		w.errorf("the host came after namespaces or sockets")
	}
}

func (w *witness) Netns(n tcpvet.Netns) {
	if w.hosts == 0 {
		w.errorf("namespace %d came before the host", n.ID)
	}
	if _, twice := w.spaces[n.ID]; twice {
		w.errorf("namespace %d was told twice", n.ID)
	}
	w.spaces[n.ID] = n
}

func (w *witness) Process(p tcpvet.Process, info tcpvet.ProcessInfo) {
	if !p.Known() {
		w.errorf("%v was told as a process", p)
	}
	if _, twice := w.procs[p]; twice {
		w.errorf("process %d was told twice", p.PID)
	}
	w.procs[p] = info
}

func (w *witness) Gap(g tcpvet.Gap) {
	if g.What == "" || g.Err == "" {
		w.errorf("a gap does not say what or why: %+v", g)
	}
	w.gaps = append(w.gaps, g)
}

func (w *witness) Changed(n uint64) {
	if n == 0 {
		w.errorf("Changed(0)")
	}
}

func (w *witness) Socket(s *tcpvet.Socket) error {
	if w.fail != nil && len(w.sockets) >= w.most {
		w.sockets = append(w.sockets, *s)
		return w.fail
	}
	if _, told := w.spaces[s.Netns]; !told {
		w.errorf("%s came before its namespace %d", ends(s), s.Netns)
	}
	if s.State != tcpvet.Listen {
		w.rest[s.Netns] = true
	} else if w.rest[s.Netns] {
		w.errorf("listener %s came after sockets that do not listen", ends(s))
	}
	for _, p := range append([]tcpvet.Process{s.Holder}, s.SharedWith...) {
		if _, told := w.procs[p]; p.Known() && !told {
			w.errorf("%s came before process %d, which holds it", ends(s), p.PID)
		}
	}
	kept := *s
	kept.SharedWith = slices.Clone(s.SharedWith)
	w.sockets = append(w.sockets, kept)
	// It belongs to the source, which must not rely on what is left of it.
	*s = tcpvet.Socket{SharedWith: s.SharedWith[:0]}
	return nil
}

func ends(s *tcpvet.Socket) string {
	return fmt.Sprintf("%v %v -> %v", s.State, s.Local, s.Remote)
}
