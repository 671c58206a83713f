package source

import (
	"context"
	"errors"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// ofHolders are the facts for which descriptors are looked through.
const ofHolders = tcpvet.FactHolders | tcpvet.FactContainers | tcpvet.FactLimits | tcpvet.FactTableless | tcpvet.FactHosts

// attribution tells who holds a socket: a hash join of the inodes that the
// descriptors of all processes name. A nil one has looked for nobody.
type attribution struct {
	holders   *procfs.Holders // nil where the sockets come with who holds them
	counted   func(tcpvet.Process) (descriptors, bool)
	processes procfs.Processes
	told      map[tcpvet.Process]bool
	tableless bool // sockets in no table are looked for
	o         tcpvet.Observer
	unseen    int  // sockets that some process holds and none was found with
	denied    bool // processes could not be read, which explains them
}

// descriptors is what was counted of the descriptors of a process.
type descriptors struct {
	procfs.Counts
	tableless *tcpvet.Tableless // nil where those are not looked for
}

// attribution reads the descriptors, if who holds what is asked for.
func (l *live) attribution(ctx context.Context, want tcpvet.Facts, o tcpvet.Observer) (*attribution, error) {
	if want&ofHolders == 0 {
		return nil, nil
	}
	scan, tableless := l.fs.ScanHolders, l.Facts(want).Has(tcpvet.FactTableless)
	if tableless {
		scan = l.fs.ScanDescriptors
	}
	holders, gaps, err := scan(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		o.Gap(tcpvet.Gap{What: "holders", Err: err.Error()})
		return nil, nil
	}
	for _, g := range gaps {
		o.Gap(g)
	}
	count := func(p tcpvet.Process) (c descriptors, ok bool) {
		c.Counts, ok = holders.Counts(p)
		if tableless {
			c.tableless = new(tcpvet.Tableless)
		}
		return c, ok
	}
	return &attribution{
		holders: holders, counted: count, processes: procfs.Processes{FS: l.fs, Hosts: want.Has(tcpvet.FactHosts)}, told: make(map[tcpvet.Process]bool), tableless: tableless, o: o, denied: len(gaps) > 0,
	}, nil
}

// attribute sets the holder of s, and tells the observer of processes that it
// does not know yet.
func (a *attribution) attribute(s *tcpvet.Socket) {
	s.Holder, s.SharedWith = tcpvet.Nobody, nil
	if s.Inode == 0 {
		return
	}
	if a == nil {
		s.Holder = tcpvet.Unseen
		return
	}
	first, others, ok := a.holders.Lookup(s.Inode)
	if !ok {
		s.Holder = tcpvet.Unseen
		a.unseen++
		return
	}
	s.Holder, s.SharedWith = first, others
	a.tell(first)
	for _, p := range others {
		a.tell(p)
	}
}

func (a *attribution) tell(p tcpvet.Process) {
	if a.told[p] {
		return
	}
	a.told[p] = true
	info, err := a.info(p)
	if err != nil && !errors.Is(err, procfs.ErrEnded) {
		a.o.Gap(tcpvet.Gap{What: "process", Err: err.Error()})
	}
	a.o.Process(p, info)
}

// info reads what is known of a process. Of its sockets in no table a scan of /proc
// knows nothing yet.
func (a *attribution) info(p tcpvet.Process) (tcpvet.ProcessInfo, error) {
	info, err := a.processes.Info(p)
	if c, ok := a.counted(p); ok {
		info.Descriptors, info.Sockets, info.LeaderExited, info.Tableless = c.Descriptors, c.Sockets, c.LeaderExited, c.tableless
	}
	return info, err
}

// end tells what was left open.
func (a *attribution) end(o tcpvet.Observer) {
	if a == nil {
		return
	}
	for _, g := range a.processes.Gaps() {
		o.Gap(g)
	}
	if a.unseen > 0 && !a.denied {
		o.Gap(tcpvet.Gap{
			What:  "holders",
			Err:   "no process was found with the socket: it was opened or passed on meanwhile, or a process outside of this PID namespace or the kernel itself holds it",
			Count: a.unseen,
		})
	}
}
