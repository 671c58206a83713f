package source_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/sourcetest"
)

// The totals that the kernel counted are those that come of every socket that
// sock_diag and the descriptors tell, group by group and field by field: looked at
// before and after, until nothing moved meanwhile.
func TestRootCountedAsTold(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	sourcetest.Stage(t)
	population(t, 1000)
	told, counting := live("netlink")(t), live("bpf")(t)
	take := func(src source.Source) tcpvet.Census {
		c, err := source.Take(t.Context(), src, ownOnly(t, everything), source.TakeOptions{})
		must(t, err)
		return c
	}
	for deadline := time.Now().Add(4 * time.Minute); ; {
		before := take(told)
		counted := take(counting)
		after := take(told)
		moved := differences(&before, &after)
		if moved == "" {
			if diff := differences(&before, &counted); diff != "" {
				t.Errorf("by netlink (-), by bpf (+):\n%s", diff)
			}
			if counted.Source != "bpf" || counted.Facts != before.Facts {
				t.Errorf("by %s, which knows %v and not %v", counted.Source, counted.Facts&^before.Facts, before.Facts&^counted.Facts)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the sockets never stay as they are: %s", moved)
		}
	}
}

// differences compares two censuses, but for what another look makes different:
// ages, and the descriptors of the one who looks.
func differences(a, b *tcpvet.Census) string {
	apart := b.Taken.Add(b.Duration).Sub(a.Taken) + 20*time.Millisecond // and two ticks of the kernel's clock
	close := func(x, y time.Duration) bool { return (x - y).Abs() <= apart }
	compare := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b tcpvet.PortSet) bool { return fmt.Sprint(spans(a)) == fmt.Sprint(spans(b)) }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b tcpvet.Age) bool { return a.By == b.By && close(a.Low, b.Low) && close(a.High, b.High) }),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".CloseWaitLongest" }, cmp.Comparer(close)),
		// Of several that are the oldest either may be named.
		cmp.FilterPath(func(p cmp.Path) bool {
			name := p.Last().String()
			return name == ".Local" || name == ".Remote" || name == ".Cookie" || name == ".Inode"
		}, cmp.Ignore()),
		cmp.FilterPath(func(p cmp.Path) bool {
			name := p.Last().String()
			return name == ".Timer" || name == ".Descriptors" || name == ".Sockets" || name == ".Counters"
		}, cmp.Ignore()),
	}
	alone := func(c *tcpvet.Census) map[tcpvet.Group][]*tcpvet.Exemplar {
		all := make(map[tcpvet.Group][]*tcpvet.Exemplar)
		for g, t := range c.Groups {
			if t.Total() == 1 {
				for _, e := range []*tcpvet.Exemplar{t.Oldest, t.MostIdle} {
					if e != nil {
						e := *e
						e.Age = tcpvet.Age{}
						all[g] = append(all[g], &e)
					}
				}
			}
		}
		return all
	}
	type part struct {
		Groups    map[tcpvet.Group]*tcpvet.Tally
		Tuples    map[tcpvet.Tuple]*tcpvet.Budget
		Listeners map[tcpvet.Listener]*tcpvet.Queue
		Bound     map[tcpvet.NetnsID]*tcpvet.PortSet
		Processes map[tcpvet.Process]tcpvet.ProcessInfo
		Netns     map[tcpvet.NetnsID]tcpvet.Netns
		Numbers   [2]uint64
		Alone     map[string]string
	}
	of := func(c *tcpvet.Census) part {
		p := part{c.Groups, c.Tuples, c.Listeners, c.Bound, c.Processes, c.Netns, [2]uint64{c.Sockets, c.Selected}, make(map[string]string)}
		for g, es := range alone(c) {
			for _, e := range es {
				p.Alone[fmt.Sprint(g)] += fmt.Sprint(*e)
			}
		}
		return p
	}
	return cmp.Diff(of(a), of(b), compare)
}

func spans(s tcpvet.PortSet) (all [][2]uint16) {
	for low, high := range s.Spans {
		all = append(all, [2]uint16{low, high})
	}
	return all
}

// A namespace that only descriptors keep is in no process and under no mount: the
// pass over the descriptors meets its sockets, and that it could not be entered is
// told.
func TestRootNamespaceOfDescriptors(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	var id tcpvet.NetnsID
	var fds []int
	made := make(chan error)
	go func() {
		lockForever() // the thread ends, and leaves the sockets
		made <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if id, err = netns.Self(); err != nil {
				return err
			}
			fds, err = connected()
			return err
		}()
	}()
	must(t, <-made)
	for _, fd := range fds {
		defer unix.Close(fd)
	}
	all := source.Query{Want: everything, Netns: source.Namespaces{All: true}}
	gap := func(g tcpvet.Gap) bool { return g.Netns == id && strings.Contains(g.Err, "descriptors") }
	type kind struct {
		tcpvet.State
		tcpvet.Role
	}
	want := map[kind]int{{tcpvet.Listen, tcpvet.Server}: 1, {tcpvet.Established, tcpvet.Client}: 1, {tcpvet.Established, tcpvet.Server}: 1}
	check := func(way string, kinds map[kind]int, told bool, gaps []tcpvet.Gap) {
		t.Helper()
		if !maps.Equal(kinds, want) || !told || !slices.ContainsFunc(gaps, gap) {
			t.Errorf("%s: %v in the namespace (told: %v), gaps %+v; want %v and a gap", way, kinds, told, gaps, want)
		}
	}
	src := live("bpf")(t)
	c, err := source.Take(t.Context(), src, all, source.TakeOptions{})
	must(t, err)
	kinds := make(map[kind]int)
	for g, tally := range c.Groups {
		for s, n := range tally.States {
			if g.Netns == id && n > 0 {
				kinds[kind{tcpvet.State(s), g.Role}] += int(n)
				if int(g.Holder.PID) != os.Getpid() {
					t.Errorf("held by %v, not by %d", g.Holder, os.Getpid())
				}
			}
		}
	}
	_, told := c.Netns[id]
	check("counted", kinds, told, c.Gaps)

	var l listed
	must(t, src.Look(t.Context(), all, &l))
	clear(kinds)
	for _, s := range l.sockets {
		if s.Netns == id {
			kinds[kind{s.State, s.Role}]++
		}
	}
	check("told", kinds, slices.Contains(l.spaces, id), l.gaps)

	// Whoever asks for another namespace gets nothing of it.
	c, err = source.Take(t.Context(), src, ownOnly(t, everything), source.TakeOptions{})
	must(t, err)
	for g := range c.Groups {
		if g.Netns == id {
			t.Errorf("asked for the own namespace: %+v", g)
		}
	}
	if slices.ContainsFunc(c.Gaps, gap) {
		t.Errorf("asked for the own namespace: gaps %+v", c.Gaps)
	}
}

// Sockets whose only descriptor is a message on its way belong to a process that
// nobody can tell. They are told and counted all the same, listeners first.
func TestRootSocketsOnTheirWay(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		kerneltest.Netns(t)
		keepNetns(t)
		fds, err := connected()
		must(t, err)
		way, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(way[0])
		defer unix.Close(way[1])
		must(t, unix.Sendmsg(way[0], []byte{0}, unix.UnixRights(fds...), nil, 0))
		for _, fd := range fds {
			unix.Close(fd)
		}
		want := map[tcpvet.State]int{tcpvet.Listen: 1, tcpvet.Established: 2}
		check := func(way string, got map[tcpvet.State]int, gaps []tcpvet.Gap) {
			t.Helper()
			named := slices.ContainsFunc(gaps, func(g tcpvet.Gap) bool { return g.What == "holders" })
			if !maps.Equal(got, want) || !named {
				t.Errorf("%s: nobody was seen with %v (gaps %+v), want %v and a gap", way, got, gaps, want)
			}
		}
		c, err := source.Take(t.Context(), src, ownOnly(t, everything), source.TakeOptions{})
		must(t, err)
		counted := make(map[tcpvet.State]int)
		for g, tally := range c.Groups {
			for s, n := range tally.States {
				if g.Holder == tcpvet.Unseen && n > 0 {
					counted[tcpvet.State(s)] += int(n)
				}
			}
		}
		check("counted", counted, c.Gaps)
		var l listed
		must(t, src.Look(t.Context(), ownOnly(t, everything), &l))
		told := make(map[tcpvet.State]int)
		for _, s := range l.sockets {
			if s.Holder == tcpvet.Unseen {
				told[s.State]++
			}
		}
		check("told", told, l.gaps)
		if len(l.sockets) > 0 && l.sockets[0].State != tcpvet.Listen {
			t.Errorf("the first that is told is in %v", l.sockets[0].State)
		}
	})
}

// While connections come and go the kernel counts those that stay to the last one,
// and the census says how many it may be off by.
func TestRootCountedWhileOthersChange(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	kerneltest.Netns(t)
	const held = 4000
	population(t, held)
	keepNetns(t)
	churn(t, 2)
	src := withBPF(t)
	changed := uint64(0)
	for deadline := time.Now().Add(2 * time.Minute); changed == 0; {
		c, err := source.Take(t.Context(), src, ownOnly(t, tcpvet.FactHolders|tcpvet.FactListeners), source.TakeOptions{})
		must(t, err)
		byService := make(map[netip.AddrPort][2]uint32) // as clients, as servers
		most := netip.AddrPort{}
		for g, tally := range c.Groups {
			n := byService[g.Service]
			if g.Role == tcpvet.Client {
				n[0] += tally.States[tcpvet.Established]
			} else {
				n[1] += tally.States[tcpvet.Established]
			}
			if byService[g.Service] = n; n[0] > byService[most][0] {
				most = g.Service
			}
		}
		if got := byService[most]; got != [2]uint32{held / 2, held / 2} {
			t.Errorf("%v of the stable %d are counted as clients and servers", got, held)
		}
		if changed = c.Changed; time.Now().After(deadline) {
			t.Fatal("connections come and go, and no census says that any changed")
		}
	}
}

// What is counted are the states that were asked for.
func TestRootCountsStatesAsked(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		kerneltest.Netns(t)
		fds, err := connected()
		must(t, err)
		for _, fd := range fds {
			defer unix.Close(fd)
		}
		keepNetns(t)
		q := ownOnly(t, tcpvet.FactHolders)
		q.States = tcpvet.SetOf(tcpvet.Established)
		c, err := source.Take(t.Context(), src, q, source.TakeOptions{})
		must(t, err)
		if got := c.TotalStates(); got[tcpvet.Established] != 2 || c.Sockets != 2 {
			t.Errorf("asked for the two in ESTAB: counted %v, %d sockets", got, c.Sockets)
		}
	})
}

// Who did not ask who holds sockets is not told, and no process either.
func TestRootHoldersNotAsked(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		kerneltest.Netns(t)
		fds, err := connected()
		must(t, err)
		for _, fd := range fds {
			defer unix.Close(fd)
		}
		keepNetns(t, fds[1])
		c, err := source.Take(t.Context(), src, ownOnly(t, tcpvet.FactListeners), source.TakeOptions{})
		must(t, err)
		for g, tally := range c.Groups {
			if g.Holder != tcpvet.Unseen || len(tally.Shared) > 0 {
				t.Errorf("counted for %v, shared with %v", g.Holder, tally.Shared)
			}
		}
		var l listed
		must(t, src.Look(t.Context(), ownOnly(t, tcpvet.FactListeners), &l))
		for _, s := range l.sockets {
			if s.Holder != tcpvet.Unseen || len(s.SharedWith) > 0 {
				t.Errorf("told as held by %v and %v", s.Holder, s.SharedWith)
			}
		}
		if c.Sockets != 4 || len(l.sockets) != 4 || len(c.Processes)+len(l.procs) > 0 || len(c.Gaps)+len(l.gaps) > 0 {
			t.Errorf("%d counted, %d told, want 4; processes %v %v, gaps %v %v", c.Sockets, len(l.sockets), c.Processes, l.procs, c.Gaps, l.gaps)
		}
	})
}
