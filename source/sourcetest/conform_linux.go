package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
)

// everything asks for every fact that there is, or will be.
const everything = ^tcpvet.Facts(0)

// Conform stages sockets in a namespace of the test's own and checks that the
// source tells each of them once, in the order of Observer, as the kernel tells
// the owner of its descriptor: in each field that its Facts name; the others
// must be zero. open runs on the test's goroutine, which is in that namespace,
// after the sockets are made, once for each look: a source that reads what a
// command printed runs the command there.
//
// A source that tells namespaces is asked for that one by its inode. One that
// cannot see TIME-WAIT is taken to go by descriptors, and has to tell of what a
// process holds.
//
// It needs root, and a goroutine of its own: call it first in a test or subtest.
func Conform(t *testing.T, open func(t *testing.T) source.Source) {
	t.Helper()
	st := newStage(t)
	for _, c := range st.conform(t, open) {
		t.Error(c)
	}
}

// conform gives what is wrong with the source.
func (st *stage) conform(t *testing.T, open func(t *testing.T) source.Source) []string {
	t.Helper()
	all := st.whole(t, open)
	all = append(all, st.narrowed(t, open)...)
	return append(all, st.early(t, open)...)
}

func (st *stage) query(src source.Source) source.Query {
	q := source.Query{Want: everything, Netns: source.Namespaces{All: true}}
	if src.Facts(tcpvet.FactNetns) != 0 {
		q.Netns = source.Namespaces{Names: []string{fmt.Sprint(st.id)}}
	}
	return q
}

// look looks once, with everything wanted.
func (st *stage) look(t *testing.T, open func(t *testing.T) source.Source) (*look, *witness) {
	t.Helper()
	w := newWitness()
	l := &look{complaints: &w.complaints, st: st}
	l.cgroup, _ = st.ownCgroup()
	l.before, l.from = st.ask(), time.Now()
	src := open(t)
	l.facts = src.Facts(everything)
	if err := src.Look(t.Context(), st.query(src), w); err != nil {
		l.errorf("look: %v", err)
	}
	l.to, l.after = time.Now(), st.ask()
	if more := l.facts &^ knownFacts(); more != 0 {
		l.errorf("the source knows facts that have no name: %b", more)
	}
	if some := src.Facts(tcpvet.FactQueues | tcpvet.FactHolders); some&^(tcpvet.FactQueues|tcpvet.FactHolders) != 0 {
		l.errorf("asked for queues and holders it tells %v", some)
	}
	return l, w
}

func knownFacts() (f tcpvet.Facts) {
	for _, word := range everything.Words() {
		one, _ := tcpvet.ParseFact(word)
		f |= one
	}
	return f
}

// whole checks a look at everything.
func (st *stage) whole(t *testing.T, open func(t *testing.T) source.Source) []string {
	t.Helper()
	l, w := st.look(t, open)
	left := make(map[string]*staged)
	for _, s := range st.all {
		left[key(s.local, s.remote)] = s
	}
	seen := make(map[string]bool)
	for i := range w.sockets {
		s := &w.sockets[i]
		k := key(s.Local, s.Remote)
		made := left[k]
		switch {
		case seen[k]:
			l.errorf("%s was told twice", ends(s))
		case made == nil:
			l.errorf("%s was never made", ends(s))
		case !l.shows(made):
			l.errorf("%s: it was told, and the source says that it cannot see the like", made.name)
		default:
			l.socket(made, s)
		}
		seen[k] = true
		want := tcpvet.NetnsID(0)
		if l.facts.Has(tcpvet.FactNetns) {
			want = st.id
		}
		if s.Netns != want {
			l.errorf("%s is in namespace %d, not %d", ends(s), s.Netns, want)
		}
	}
	for k, s := range left {
		if !seen[k] && l.shows(s) {
			l.errorf("%s (%v) was not told", s.name, s.state)
		}
	}
	if w.hosts != 1 {
		l.errorf("the host was told %d times", w.hosts)
	}
	st.processes(l, w)
	st.settings(l, w)
	for _, g := range w.gaps {
		// That some process of the machine may not be read, even by root, is
		// no matter of the source.
		if g.What != "holders" && g.What != "namespaces" {
			l.errorf("gap: %+v", g)
		}
	}
	return w.list
}

// narrowed checks that a look for one state tells of listeners too, by which
// roles are known, and of nothing else.
func (st *stage) narrowed(t *testing.T, open func(t *testing.T) source.Source) []string {
	t.Helper()
	w := newWitness()
	src := open(t)
	q := st.query(src)
	q.States, q.Want = tcpvet.SetOf(tcpvet.CloseWait), tcpvet.FactListeners
	if err := src.Look(t.Context(), q, w); err != nil {
		w.errorf("look for CLOSE-WAIT: %v", err)
	}
	want := make(map[tcpvet.State]int)
	for _, s := range st.all {
		if s.state == tcpvet.CloseWait || s.state == tcpvet.Listen {
			want[s.state]++
		}
	}
	got := make(map[tcpvet.State]int)
	for i := range w.sockets {
		s := &w.sockets[i]
		if got[s.State]++; s.State == tcpvet.CloseWait && s.Role != tcpvet.Client {
			w.errorf("asked for CLOSE-WAIT: %s is a %v", ends(s), s.Role)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.errorf("asked for CLOSE-WAIT and the listeners: %v were told, not %v", got, want)
	}
	return w.list
}

// early checks that an error of the observer and the end of the context end a
// look, and are what Look returns.
func (st *stage) early(t *testing.T, open func(t *testing.T) source.Source) []string {
	t.Helper()
	enough := errors.New("enough")
	w := newWitness()
	w.fail, w.most = enough, 3
	src := open(t)
	if err := src.Look(t.Context(), st.query(src), w); err != enough {
		w.errorf("the observer's error is returned as: %v", err)
	}
	if len(w.sockets) != w.most+1 {
		w.errorf("%d sockets were told, and the observer returned an error for the fourth", len(w.sockets))
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	after := newWitness()
	src = open(t)
	if err := src.Look(ctx, st.query(src), after); !errors.Is(err, context.Canceled) {
		w.errorf("a look whose context is over ends with: %v", err)
	}
	if len(after.sockets) > 0 {
		w.errorf("a look whose context is over told %d sockets", len(after.sockets))
	}
	return w.list
}

// Stage stages what Conform stages, for tests that look at it on their own, and
// gives the namespace. Like Conform it is called first in a test.
func Stage(t testing.TB) tcpvet.NetnsID {
	t.Helper()
	return newStage(t).id
}
