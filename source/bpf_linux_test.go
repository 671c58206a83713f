package source_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
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
			// Where /proc hides a process, that explains them and they are not counted.
			named := slices.ContainsFunc(gaps, func(g tcpvet.Gap) bool {
				return g.What == "holders" && (g.Count == 3 && g.Needs == "" || src.Name() != "bpf")
			})
			if !maps.Equal(got, want) || !named {
				t.Errorf("%s: nobody was seen with %v (gaps %+v), want %v and a gap that counts 3", way, got, gaps, want)
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
