package source

import (
	"errors"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/owner"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// mostFormer bounds the processes that are named for what they have closed: a script
// that calls a client ends one for each connection. Those beyond it are Several.
const mostFormer = 1 << 16

// remembering is an Observer that tells of sockets which nobody holds any more who
// closed them, where a Keeper remembers it.
type remembering struct {
	tcpvet.Observer
	owners    *owner.Reader // nil for none, or where it has failed
	processes procfs.Processes
	told      map[tcpvet.Process]bool
	former    int
}

// remembered gives what asks the Keepers that live, if who holds what is asked for. It
// is o where there are none, which costs a look into one folder.
func (l *live) remembered(want tcpvet.Facts, o tcpvet.Observer) (with tcpvet.Observer, end func()) {
	none := func() {}
	if !want.Has(tcpvet.FactHolders) {
		return o, none
	}
	owners, err := owner.Open("")
	if err != nil {
		forgot(o, err)
	}
	if owners == nil {
		return o, none
	}
	r := &remembering{Observer: o, owners: owners, processes: procfs.Processes{FS: l.fs}, told: make(map[tcpvet.Process]bool)}
	return r, func() { owners.Close() }
}

func forgot(o tcpvet.Observer, err error) {
	o.Gap(tcpvet.Gap{What: "owners of TIME-WAIT", Err: err.Error()})
}

// Process notes that it was told: with more than is known here.
func (r *remembering) Process(p tcpvet.Process, info tcpvet.ProcessInfo) {
	r.told[p] = true
	r.Observer.Process(p, info)
}

// Socket sets Former, which no source does.
func (r *remembering) Socket(s *tcpvet.Socket) error {
	if r.owners != nil && s.Holder == tcpvet.Nobody && closedFirst.Has(s.State) && s.Knows(tcpvet.FactCookie) {
		r.ask(s)
	}
	return r.Observer.Socket(s)
}

// closedFirst are the states of an end that sent the first FIN.
var closedFirst = tcpvet.SetOf(tcpvet.FinWait1, tcpvet.FinWait2, tcpvet.Closing, tcpvet.TimeWait)

func (r *remembering) ask(s *tcpvet.Socket) {
	p, ok, err := r.owners.Lookup(s.Cookie)
	if err != nil {
		forgot(r.Observer, err)
		r.owners = nil // end closes it
		return
	}
	if ok && r.tell(p) {
		s.Former = p
	} else if ok {
		s.Former = tcpvet.Several
	}
}

// tell tells of a process before the first socket that it has closed. false where there
// are too many.
func (r *remembering) tell(p tcpvet.Process) bool {
	if r.told[p] {
		return true
	}
	if r.former >= mostFormer {
		return false
	}
	r.former++
	info, err := r.processes.Info(p)
	switch {
	case errors.Is(err, procfs.ErrEnded):
		info = tcpvet.ProcessInfo{Comm: r.owners.Comm(p), Ended: true}
	case err != nil:
		info.Comm = r.owners.Comm(p)
		r.Gap(tcpvet.Gap{What: "process", Err: err.Error()})
	}
	r.Process(p, info)
	return true
}
