package bpfiter_test

import (
	"context"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/procfs"
	"github.com/tcpvet/tcpvet/source/sourcetest"
)

// streamFacts is what a Stream tells of a socket.
const streamFacts = tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactInode | tcpvet.FactUID |
	tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactCgroup | tcpvet.FactMini | tcpvet.FactTimeWait |
	tcpvet.FactBound | tcpvet.FactListeners | tcpvet.FactHolders | tcpvet.FactNetns

// streamed is the least Source over a Stream: it looks at the namespace of the
// calling thread.
type streamed struct{ *bpfiter.Stream }

func (streamed) Name() string                         { return "bpf" }
func (streamed) Facts(want tcpvet.Facts) tcpvet.Facts { return want & streamFacts }

func (s streamed) Look(ctx context.Context, q source.Query, o tcpvet.Observer) error {
	id, err := netns.Self()
	if err != nil {
		return err
	}
	o.Host(tcpvet.Host{})
	o.Netns(tcpvet.Netns{ID: id})
	told, listening := make(map[tcpvet.Process]bool), make(map[uint16]bool)
	tell := func(s *tcpvet.Socket) error {
		if s.Netns != id {
			return nil
		}
		for _, p := range append(s.SharedWith[:len(s.SharedWith):len(s.SharedWith)], s.Holder) {
			if p.Known() && !told[p] {
				told[p] = true
				info, _ := procfs.FS{}.ProcessInfo(p)
				o.Process(p, info)
			}
		}
		switch s.Role = tcpvet.Client; {
		case s.State == tcpvet.BoundInactive:
			s.Role = tcpvet.RoleUnknown
		case s.State == tcpvet.Listen, listening[s.Local.Port()]:
			listening[s.Local.Port()], s.Role = true, tcpvet.Server
		}
		return o.Socket(s)
	}
	states := q.States
	if states == 0 {
		states = tcpvet.AllStates
	}
	listen := tcpvet.SetOf(tcpvet.Listen)
	if q.Want.Has(tcpvet.FactListeners) {
		states |= listen
	}
	for _, part := range []tcpvet.StateSet{states & listen, states &^ listen} {
		if part == 0 {
			continue
		}
		if _, err := s.Held(ctx, part, tell); err != nil {
			return err
		}
		if _, err := s.Rest(ctx, part, tell); err != nil {
			return err
		}
	}
	return nil
}

// Each field of each socket is as the kernel tells it to the owner of the
// descriptor, by getsockopt(2) and others: every state that loopback can keep,
// IPv4, IPv6 and mapped, held by one process or two, or by none.
func TestRootStreamConforms(t *testing.T) {
	need(t)
	sourcetest.Conform(t, func(t *testing.T) source.Source {
		s, err := bpfiter.NewStream()
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return streamed{s}
	})
}
