package source_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/sourcetest"
	"github.com/tcpvet/tcpvet/store"
	"github.com/tcpvet/tcpvet/vet"
)

// tee passes a look on to a snapshot too.
type tee struct {
	tcpvet.Observer
	to *store.Writer
}

func (w tee) Host(h tcpvet.Host)   { w.Observer.Host(h); w.to.Host(h) }
func (w tee) Netns(n tcpvet.Netns) { w.Observer.Netns(n); w.to.Netns(n) }
func (w tee) Gap(g tcpvet.Gap)     { w.Observer.Gap(g); w.to.Gap(g) }
func (w tee) Changed(n uint64)     { w.Observer.Changed(n); w.to.Changed(n) }
func (w tee) Process(p tcpvet.Process, i tcpvet.ProcessInfo) {
	w.Observer.Process(p, i)
	w.to.Process(p, i)
}
func (w tee) Socket(s *tcpvet.Socket) error {
	if err := w.to.Socket(s); err != nil {
		return err
	}
	return w.Observer.Socket(s)
}

// equal compares Censuses and what rests on them: a gap that counts 0 counts 1,
// and no list is an empty list.
var equal = []cmp.Option{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
	cmp.Transformer("PortSet", func(s tcpvet.PortSet) (spans [][2]uint16) {
		for low, high := range s.Spans {
			spans = append(spans, [2]uint16{low, high})
		}
		return spans
	}),
	cmp.Transformer("Gap", func(g tcpvet.Gap) struct{ G any } {
		g.Count = max(g.Count, 1)
		type gap tcpvet.Gap
		return struct{ G any }{gap(g)}
	}),
}

// A snapshot of a look gives the Census of that look, and the findings: of a
// namespace with every state, by each live source, strictly.
func TestRootSnapshotIsTheLook(t *testing.T) {
	eachLive(t, func(t *testing.T, src source.Source) {
		id := sourcetest.Stage(t)
		q := ownOnly(t, everything)
		var file bytes.Buffer
		h := store.Header{Taken: time.Now(), Source: src.Name(), Facts: source.Known(src, q)}
		h.Self, h.Whole = source.Scope(src, q)
		w := store.NewWriter(&file, h)
		now, err := source.Take(t.Context(), src, q, source.TakeOptions{Watch: func(o tcpvet.Observer) tcpvet.Observer { return tee{o, w} }})
		must(t, err)
		must(t, w.Close())

		back, err := source.File(&file, source.FileOptions{})
		must(t, err)
		then, err := source.Take(t.Context(), back, source.Query{Want: everything, Netns: source.Namespaces{All: true}}, source.TakeOptions{})
		must(t, err)
		now.Taken, now.Duration, then.Taken = h.Taken, 0, h.Taken // as the header says, and as measured
		if diff := cmp.Diff(now, then, equal...); diff != "" {
			t.Errorf("live (-) and from the snapshot (+):\n%s", diff)
		}
		if now.Sockets < 50 || len(now.Groups) < 10 || len(now.Tuples) < 10 || len(now.Listeners) < 10 || now.Bound[id] == nil || now.Netns[id].Ports == nil {
			t.Errorf("too little to compare: %d sockets, %d groups, %d tuples, %d listeners", now.Sockets, len(now.Groups), len(now.Tuples), len(now.Listeners))
		}

		const patience = 50 * time.Millisecond // the stage is 300 ms old
		live := vet.Run(tcpvet.Case{Now: now, Patience: patience}, rules.All)
		saved := vet.Run(tcpvet.Case{Now: then, Patience: patience}, rules.All)
		if diff := cmp.Diff(live, saved, equal...); diff != "" {
			t.Errorf("findings live (-) and from the snapshot (+):\n%s", diff)
		}
		if len(live.Findings) == 0 {
			t.Error("nothing was found, which compares nothing")
		}
		t.Logf("%d findings, %d rules skipped", len(live.Findings), len(live.Skipped))
	})
}
