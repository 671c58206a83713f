package tcpvet_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestLeakOwn(t *testing.T) {
	lib, own := tcpvet.Frame{Symbol: "connect", Module: "libc.so.6"}, tcpvet.Frame{Symbol: "leak", Module: "app"}
	type stack = []tcpvet.Frame
	for _, test := range []struct {
		stack, asker stack
		best         int // of which stack: 0 or 1
		want         int
	}{
		{nil, nil, 0, -1}, {stack{lib, lib}, nil, 0, -1}, {stack{own, lib}, nil, 0, 0}, {stack{lib, own, own, lib}, nil, 0, 1},
		{stack{lib, lib}, stack{lib, own}, 1, 1}, {stack{lib, own}, stack{lib}, 0, 1}, {stack{own}, stack{lib, lib, own}, 1, 2},
	} {
		got, at := (&tcpvet.Leak{Stack: test.stack, Asker: test.asker}).Own()
		if want := []stack{test.stack, test.asker}[test.best]; at != test.want || len(got) != len(want) {
			t.Errorf("%v, asked by %v: frame %d of %v, want %d of %v", test.stack, test.asker, at, got, test.want, want)
		}
	}
}

func TestLeaksCount(t *testing.T) {
	l := tcpvet.Leaks{Groups: []tcpvet.Leak{{Count: 30}, {Count: 12}}}
	if n := l.Count(); n != 42 {
		t.Errorf("%d, want 42", n)
	}
}

// The words of docs/json.md.
func TestStackKnownBy(t *testing.T) {
	for by, want := range map[tcpvet.StackKnownBy]string{
		tcpvet.StackMissing: "missing", tcpvet.StackBefore: "before", tcpvet.StackUntraced: "untraced",
		tcpvet.StackNoRoom: "no-room", tcpvet.StackConnect: "connect", tcpvet.StackAccept: "accept",
	} {
		if got := by.String(); got != want {
			t.Errorf("%d: %q, want %q", by, got, want)
		}
	}
}
