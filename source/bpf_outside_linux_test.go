package source_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

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

// seenOutside is what was counted and told by bpf, and could not be seen.
type seenOutside struct {
	Counted, Told map[tcpvet.NetnsID]int // listeners
	Gaps          [2][]tcpvet.Gap
}

// lookOutside looks at every namespace by bpf.
func lookOutside() error {
	src, err := source.Open("bpf")
	if err != nil {
		return err
	}
	s := seenOutside{make(map[tcpvet.NetnsID]int), make(map[tcpvet.NetnsID]int), [2][]tcpvet.Gap{}}
	all := source.Query{Want: everything, Netns: source.Namespaces{All: true}}
	c, err := source.Take(context.Background(), src, all, source.TakeOptions{})
	if err != nil {
		return err
	}
	for at := range c.Listeners {
		s.Counted[at.Netns]++
	}
	var l listed
	if err := src.Look(context.Background(), all, &l); err != nil {
		return err
	}
	for _, socket := range l.sockets {
		if socket.State == tcpvet.Listen {
			s.Told[socket.Netns]++
		}
	}
	s.Gaps = [2][]tcpvet.Gap{c.Gaps, l.gaps}
	return kerneltest.Say(s)
}

// What a namespace that may not be entered may have beside the sockets that were seen
// is told: its settings, what no process holds, and what MPTCP sockets listen by, of
// which Go's listeners are.
func TestRootNamespaceNotEntered(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	_, h := holder(t)
	for name, test := range map[string]struct {
		caps []uintptr
		why  string
	}{
		"found":     {[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}, "enter network namespace"},
		"not found": {[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON}, "processes whose namespaces may not be read"},
	} {
		var s seenOutside
		kerneltest.Play(t, "outside", &s, func(c *exec.Cmd) {
			c.Dir = "/"
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: test.caps}
		})
		for i, seen := range []int{s.Counted[h.Netns], s.Told[h.Netns]} {
			told := make(map[string]int)
			for _, g := range s.Gaps[i] {
				if g.Netns != h.Netns {
					continue
				}
				switch told[g.What]++; {
				case strings.Contains(g.What, "MPTCP"):
					seen += g.Count
				case !strings.Contains(g.Err, test.why):
					t.Errorf("%s: gap %+v, want %q", name, g, test.why)
				}
			}
			if seen != 1 || told["settings, and sockets that no process holds"] != 1 || len(told) > 2 {
				t.Errorf("%s: %d listeners were seen or are told as missing, want 1; gaps: %v", name, seen, told)
			}
		}
	}
}

// A namespace whose last process ends before it is entered has ended with all that was
// in it, unless a later pass meets a socket there: then what is missing is told.
func TestRootNamespaceLosesProcess(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	const plain = "GODEBUG=multipathtcp=0"
	type states = map[tcpvet.State]int
	for _, test := range []struct {
		name   string
		env    []string // of the process that ends
		kept   bool     // this one has sockets there
		states tcpvet.StateSet
		want   states
		gap    bool
	}{
		{"kept", nil, true, 0, states{tcpvet.Listen: 1, tcpvet.Established: 2}, true},
		{"ended, a listener told before", []string{plain}, false, 0, states{tcpvet.Listen: 1}, false},
		{"ended, listeners alone", nil, false, tcpvet.SetOf(tcpvet.Listen), nil, false}, // of MPTCP, where the kernel has it
	} {
		t.Run(test.name, func(t *testing.T) {
			first, inFirst := holder(t, test.env...)
			second, inSecond := holder(t, test.env...)
			if inFirst.Netns > inSecond.Netns { // they are visited in this order
				first, inFirst, second, inSecond = second, inSecond, first, inFirst
			}
			if test.kept {
				connectedIn(t, second)
			}
			l := listed{onNetns: func(id tcpvet.NetnsID) {
				if id == inFirst.Netns {
					second.End()
				}
			}}
			names := []string{fmt.Sprint(inFirst.Netns), fmt.Sprint(inSecond.Netns)}
			must(t, live("bpf")(t).Look(t.Context(), source.Query{States: test.states, Want: everything, Netns: source.Namespaces{Names: names}}, &l))
			if first.ProcessState != nil {
				t.Fatal("the first process has ended too")
			}
			told := make(states)
			for _, s := range l.sockets {
				if s.Netns == inSecond.Netns {
					told[s.State]++
				}
			}
			gap := slices.ContainsFunc(l.gaps, func(g tcpvet.Gap) bool { return g.Netns == inSecond.Netns })
			if test.want != nil && !maps.Equal(told, test.want) || gap != test.gap || len(slices.Compact(slices.Clone(l.spaces))) != len(l.spaces) {
				t.Errorf("told %v of namespace %d, want %v; namespaces %v, gaps %+v, want one: %v", told, inSecond.Netns, test.want, l.spaces, l.gaps, test.gap)
			}
		})
	}
}

// connectedIn makes sockets in the namespace of another process, which this one holds.
func connectedIn(t *testing.T, other *kerneltest.Actor) {
	t.Helper()
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", other.Process.Pid))
	must(t, err)
	defer space.Close()
	var fds []int
	made := make(chan error)
	go func() {
		lockForever() // the thread ends, and leaves the sockets
		err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			fds, err = connected()
		}
		made <- err
	}()
	err = <-made
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	must(t, err)
}
