package source_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/sourcetest"
)

// Counting alone comes to what a whole look comes to, in every state; and so it
// does where the kernel's counters cannot be had.
func TestRootCountStates(t *testing.T) {
	id := sourcetest.Stage(t)
	src := live("netlink")(t)
	counter, ok := src.(source.StateCounter)
	if !ok {
		t.Fatal("netlink cannot count")
	}
	whole, err := source.Take(t.Context(), src, ownOnly(t, tcpvet.FactListeners), source.TakeOptions{})
	must(t, err)
	want := whole.TotalStates()
	for _, s := range tcpvet.States {
		if s != tcpvet.Unconn && want[s] == 0 {
			t.Errorf("no socket in %v", s)
		}
	}
	short, err := counter.CountStates(t.Context(), ownOnly(t, 0))
	must(t, err)
	if got := short.TotalStates(); got != want || short.Sockets != whole.Sockets || short.Selected != whole.Sockets {
		t.Errorf("counted %v (%d), looked at %v (%d)", got, short.Sockets, want, whole.Sockets)
	}
	if len(short.Gaps) > 0 || len(short.Netns) != 1 || short.Whole || short.Source != "netlink" {
		t.Errorf("counted: %+v", short)
	}
	for g := range short.Groups {
		if g != (tcpvet.Group{Netns: id}) {
			t.Errorf("group %+v", g)
		}
	}
	full, err := source.CountHere(t.Context(), t.TempDir())
	must(t, err)
	if got := full.TotalStates(); got != want || len(full.Gaps) > 0 {
		t.Errorf("without counters: %v, not %v; gaps %v", got, want, full.Gaps)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := counter.CountStates(ctx, ownOnly(t, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	if _, err := counter.CountStates(t.Context(), source.Query{Netns: source.Namespaces{Names: []string{"none"}}}); err == nil {
		t.Error("a namespace that is not there was counted")
	}
}
