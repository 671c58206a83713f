package source_test

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
)

// holding is what a process that plays hold says of itself.
type holding struct {
	Netns tcpvet.NetnsID
	Port  uint16
}

// hold listens and waits for its end. In a namespace that is new there is no
// address yet but the one that stands for all.
func hold() error {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	defer l.Close()
	id, err := netns.Self()
	if err != nil {
		return err
	}
	if err := kerneltest.Say(holding{id, uint16(l.Addr().(*net.TCPAddr).Port)}); err != nil {
		return err
	}
	kerneltest.UntilEnd()
	return nil
}

// holder starts a process that listens in a namespace of its own.
func holder(t *testing.T, env ...string) (*kerneltest.Actor, holding) {
	t.Helper()
	var h holding
	a := kerneltest.Start(t, "hold", &h, func(c *exec.Cmd) {
		c.Env = append(c.Env, env...)
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	})
	return a, h
}

// listed is an Observer that keeps what it is told.
type listed struct {
	spaces  []tcpvet.NetnsID
	sockets []tcpvet.Socket
	procs   map[tcpvet.Process]tcpvet.ProcessInfo
	gaps    []tcpvet.Gap
	onNetns func(tcpvet.NetnsID)
	onEach  func(*tcpvet.Socket) error
}

func (l *listed) Host(tcpvet.Host) {}
func (l *listed) Netns(n tcpvet.Netns) {
	l.spaces = append(l.spaces, n.ID)
	if l.onNetns != nil {
		l.onNetns(n.ID)
	}
}
func (l *listed) Process(p tcpvet.Process, i tcpvet.ProcessInfo) {
	if l.procs == nil {
		l.procs = make(map[tcpvet.Process]tcpvet.ProcessInfo)
	}
	l.procs[p] = i
}
func (l *listed) Gap(g tcpvet.Gap) { l.gaps = append(l.gaps, g) }
func (l *listed) Changed(uint64)   {}
func (l *listed) Socket(s *tcpvet.Socket) error {
	kept := *s
	kept.SharedWith = slices.Clone(s.SharedWith)
	l.sockets = append(l.sockets, kept)
	if l.onEach != nil {
		return l.onEach(s)
	}
	return nil
}

// listeners gives the ports that were told to listen in a namespace.
func (l *listed) listeners(id tcpvet.NetnsID) (ports []uint16) {
	for _, s := range l.sockets {
		if s.Netns == id && s.State == tcpvet.Listen {
			ports = append(ports, s.Local.Port())
		}
	}
	return ports
}

func eachLive(t *testing.T, test func(t *testing.T, src source.Source)) {
	kerneltest.Root(t)
	for kind, open := range map[string]opener{"netlink": live("netlink"), "procfs": live("procfs"), "bpf": withBPF} {
		t.Run(kind, func(t *testing.T) { test(t, open(t)) })
	}
}

func TestRootNamespaces(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		a, inA := holder(t)
		_, inB := holder(t)
		self, err := netns.Self()
		must(t, err)
		own, err := net.Listen("tcp4", "127.0.0.1:0")
		must(t, err)
		defer own.Close()
		ownPort := uint16(own.Addr().(*net.TCPAddr).Port)

		for _, test := range []struct {
			name string
			q    source.Namespaces
			want []tcpvet.NetnsID // nil for all
		}{
			{"self", source.Namespaces{}, []tcpvet.NetnsID{self}},
			{"an inode", source.Namespaces{Names: []string{fmt.Sprint(inA.Netns)}}, []tcpvet.NetnsID{inA.Netns}},
			{"a link", source.Namespaces{Names: []string{fmt.Sprintf("net:[%d]", inB.Netns)}}, []tcpvet.NetnsID{inB.Netns}},
			{"a process and an inode", source.Namespaces{Names: []string{fmt.Sprint("pid:", a.Process.Pid), fmt.Sprint(inB.Netns)}}, []tcpvet.NetnsID{inA.Netns, inB.Netns}},
			{"one twice", source.Namespaces{Names: []string{fmt.Sprint("pid:", a.Process.Pid), fmt.Sprint(inA.Netns)}}, []tcpvet.NetnsID{inA.Netns}},
			{"all", source.Namespaces{All: true}, nil},
		} {
			var l listed
			must(t, src.Look(t.Context(), source.Query{Netns: test.q, Want: tcpvet.FactListeners}, &l))
			for id, port := range map[tcpvet.NetnsID]uint16{self: ownPort, inA.Netns: inA.Port, inB.Netns: inB.Port} {
				told := slices.Contains(l.listeners(id), port)
				if want := test.want == nil || slices.Contains(test.want, id); told != want {
					t.Errorf("%s: the listener at %d in %d was told: %v", test.name, port, id, told)
				}
			}
			slices.Sort(test.want)
			if test.want != nil && !slices.Equal(l.spaces, test.want) {
				t.Errorf("%s: namespaces %v, not %v", test.name, l.spaces, test.want)
			}
			if got := slices.Compact(slices.Sorted(slices.Values(l.spaces))); len(got) != len(l.spaces) {
				t.Errorf("%s: a namespace was told twice: %v", test.name, l.spaces)
			}
		}

		for _, name := range []string{"no-such-name", "1", "pid:0", "pid:x"} {
			err := src.Look(t.Context(), source.Query{Netns: source.Namespaces{Names: []string{name}}}, &listed{})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("namespace %q: %v", name, err)
			}
		}
	})
}

// A namespace that ends between being found and being looked at takes all that
// was in it along: it is no gap. Where it was the only one, nothing was seen.
func TestRootNamespaceVanishes(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		first, inFirst := holder(t)
		second, inSecond := holder(t)
		if inFirst.Netns > inSecond.Netns { // they are visited in this order
			first, inFirst, second, inSecond = second, inSecond, first, inFirst
		}
		q := source.Query{Netns: source.Namespaces{Names: []string{fmt.Sprint("pid:", first.Process.Pid), fmt.Sprint("pid:", second.Process.Pid)}}}
		l := listed{onNetns: func(tcpvet.NetnsID) { second.End() }}
		if err := src.Look(t.Context(), q, &l); err != nil {
			t.Fatal(err)
		}
		if len(l.gaps) != 0 || !slices.Equal(l.spaces, []tcpvet.NetnsID{inFirst.Netns}) || !slices.Equal(l.listeners(inFirst.Netns), []uint16{inFirst.Port}) {
			t.Errorf("gaps %v, namespaces %v, sockets %v", l.gaps, l.spaces, l.sockets)
		}

		q.Netns.Names = []string{fmt.Sprint("pid:", second.Process.Pid)}
		if err := src.Look(t.Context(), q, &listed{}); !errors.Is(err, netns.ErrGone) {
			t.Errorf("a process that has ended: %v", err)
		}
	})
}
