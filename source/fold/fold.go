// Package fold turns a stream of sockets into a Census, whose size grows with
// the number of groups and is bounded.
package fold

import (
	"net/netip"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// DefaultBound is how many groups, and how many tuples, a Census keeps.
const DefaultBound = 65536

// Options bound and narrow a fold. The zero value counts every socket.
type Options struct {
	// Select says which sockets Census.Groups counts; nil selects all. The
	// tuples, listeners and bound ports always rest on every socket: a part
	// of a tuple's ports would say nothing. info tells what is known of a
	// process.
	Select func(s *tcpvet.Socket, info func(tcpvet.Process) tcpvet.ProcessInfo) bool

	// Groups and Tuples bound the maps of that name; 0 means DefaultBound.
	Groups, Tuples int
}

// Folder is an Observer that folds what it sees. The zero value is not usable;
// see New.
type Folder struct {
	opt    Options
	census tcpvet.Census
	groups *bounded[tcpvet.Group, tcpvet.Tally]
	tuples *bounded[tcpvet.Tuple, tcpvet.Budget]
	others map[tcpvet.Group]*tcpvet.Tally
	gone   map[tcpvet.NetnsID]*tcpvet.Budget // folded tuples, by namespace

	// spaces holds what the sockets of a namespace are judged by.
	spaces map[tcpvet.NetnsID]*space
	last   *space
}

type space struct {
	id       tcpvet.NetnsID
	ports    *tcpvet.Ports
	reuse    tcpvet.Reuse
	bound    *tcpvet.PortSet
	reserved bool
}

// New gives an empty fold.
func New(opt Options) *Folder {
	if opt.Groups <= 0 {
		opt.Groups = DefaultBound
	}
	if opt.Tuples <= 0 {
		opt.Tuples = DefaultBound
	}
	f := &Folder{
		opt: opt,
		census: tcpvet.Census{
			Listeners: make(map[tcpvet.Listener]*tcpvet.Queue),
			Bound:     make(map[tcpvet.NetnsID]*tcpvet.PortSet),
			Processes: make(map[tcpvet.Process]tcpvet.ProcessInfo),
			Netns:     make(map[tcpvet.NetnsID]tcpvet.Netns),
		},
		others: make(map[tcpvet.Group]*tcpvet.Tally),
		gone:   make(map[tcpvet.NetnsID]*tcpvet.Budget),
		spaces: make(map[tcpvet.NetnsID]*space),
	}
	f.groups = newBounded(opt.Groups, (*tcpvet.Tally).Total, f.foldGroup)
	f.tuples = newBounded(opt.Tuples, budgetWeight, f.foldTuple)
	return f
}

func budgetWeight(b *tcpvet.Budget) uint64 { return b.Total() + uint64(b.ReusableTimeWait) }

// Host keeps the host.
func (f *Folder) Host(h tcpvet.Host) { f.census.Host = h }

// Netns keeps the namespace, and its port range and reuse settings for the
// sockets that follow.
func (f *Folder) Netns(n tcpvet.Netns) {
	f.census.Netns[n.ID] = n
	sp := f.space(n.ID)
	sp.ports = n.Ports
	sp.reserved = n.Ports != nil && n.Ports.ReservedInside() > 0
	sp.reuse, _ = tcpvet.ReuseOf(&n)
}

// Process keeps what is known of the process.
func (f *Folder) Process(p tcpvet.Process, info tcpvet.ProcessInfo) { f.census.Processes[p] = info }

// Gap keeps the gap.
func (f *Folder) Gap(g tcpvet.Gap) { f.census.Gaps = append(f.census.Gaps, g) }

// Changed counts sockets that the source saw change during the look.
func (f *Folder) Changed(n uint64) { f.census.Changed += n }

// Socket counts one socket. It returns no error.
func (f *Folder) Socket(s *tcpvet.Socket) error {
	f.census.Sockets++
	sp, reusable := f.space(s.Netns), false
	switch {
	case s.State == tcpvet.Listen:
		f.listener(s)
		sp.take(f, s.Local.Port())
	case s.State == tcpvet.BoundInactive:
		sp.take(f, s.Local.Port())
	case s.Role == tcpvet.Client && sp.ports != nil && sp.ports.Contains(s.Local.Port()):
		reusable = f.tuple(s, sp)
	}
	if f.opt.Select != nil && !f.opt.Select(s, f.info) {
		return nil
	}
	f.census.Selected++
	t := f.groups.get(tcpvet.Group{
		Netns: s.Netns, Holder: s.Holder, Role: s.Role,
		Local: s.Local.Addr().Unmap(), Service: s.Service(), Former: s.Former,
	})
	t.Add(s)
	if reusable && s.Former != tcpvet.Nobody {
		t.Reusable++
	}
	return nil
}

func (f *Folder) info(p tcpvet.Process) tcpvet.ProcessInfo { return f.census.Processes[p] }

func (f *Folder) space(id tcpvet.NetnsID) *space {
	if f.last != nil && f.last.id == id {
		return f.last
	}
	sp := f.spaces[id]
	if sp == nil {
		sp = &space{id: id}
		f.spaces[id] = sp
	}
	f.last = sp
	return sp
}

func (sp *space) take(f *Folder, port uint16) {
	if port == 0 {
		return
	}
	if sp.bound == nil {
		sp.bound = new(tcpvet.PortSet)
		f.census.Bound[sp.id] = sp.bound
	}
	sp.bound.Add(port, port)
}

// tuple counts the port of a client, and tells whether the kernel would give it to
// another connection of the tuple now.
func (f *Folder) tuple(s *tcpvet.Socket, sp *space) (reusable bool) {
	b := f.tuples.get(tcpvet.Tuple{Netns: s.Netns, Local: s.Local.Addr().Unmap(), Remote: tcpvet.Unmap(s.Remote)})
	if s.State == tcpvet.TimeWait {
		if age, ok := s.Age(); ok {
			b.TimeWaitBorn.Add(age.High)
		}
		if sp.reuse.Allows(s) {
			b.ReusableTimeWait++
			return true
		}
	}
	b.Taken[s.State]++
	if sp.reserved && sp.ports.Reserved.Has(s.Local.Port()) {
		b.Reserved++
	}
	if s.State == tcpvet.CloseWait {
		if age, ok := s.Age(); ok {
			b.CloseWaitBorn.Add(age.High)
		}
	}
	return false
}

func (f *Folder) listener(s *tcpvet.Socket) {
	key := tcpvet.Listener{Netns: s.Netns, Local: s.Local}
	q := f.census.Listeners[key]
	if q == nil {
		q = &tcpvet.Queue{Holder: s.Holder, Known: tcpvet.FactBacklog | tcpvet.FactBacklogMax}
		f.census.Listeners[key] = q
	}
	q.Members++
	q.Known &= s.Known
	if !q.Holder.Known() {
		q.Holder = s.Holder
	}
	share(q, s.Holder)
	for _, p := range s.SharedWith {
		share(q, p)
	}
	one := tcpvet.Filled{Length: uint64(s.RecvQ), Limit: uint64(s.SendQ)}
	q.Length += one.Length
	q.Limit += one.Limit
	if q.Members == 1 || fuller(one, q.Fullest) {
		q.Fullest = one
	}
}

// share notes that p can accept from the listener too.
func share(q *tcpvet.Queue, p tcpvet.Process) {
	const most = 64
	if p.Known() && p != q.Holder && len(q.SharedWith) < most && !slices.Contains(q.SharedWith, p) {
		q.SharedWith = append(q.SharedWith, p)
	}
}

// foldGroup moves a group that had to go into the one that stands for the
// other services of its holder.
func (f *Folder) foldGroup(g tcpvet.Group, t *tcpvet.Tally) {
	g.Local, g.Service = netip.Addr{}, netip.AddrPort{}
	if f.others[g] == nil && len(f.others) >= f.opt.Groups {
		g.Holder, g.Former = tcpvet.Several, tcpvet.Nobody
	}
	if o := f.others[g]; o != nil {
		o.Merge(t)
		return
	}
	f.others[g] = t
}

func (f *Folder) foldTuple(t tcpvet.Tuple, b *tcpvet.Budget) {
	if o := f.gone[t.Netns]; o != nil {
		o.Merge(b)
		return
	}
	f.gone[t.Netns] = b
}

// fuller tells whether a is nearer its limit than b. The kernel lets the queue
// reach one more than its limit, so a limit of 0 holds one connection.
func fuller(a, b tcpvet.Filled) bool { return a.Length*(b.Limit+1) > b.Length*(a.Limit+1) }
