package trace

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The stack of an event is read if the event is chosen, and kept once something is known
// of each of its frames.
func TestRootOpeners(t *testing.T) { kerneltest.Undisturbed(t, testOpeners) }

func testOpeners(t testing.TB) {
	read, chosen := 0, false
	answers := [][]tcpvet.Frame{
		{{Module: "app"}, {Address: 1}},
		{{Module: "app"}, {Symbol: "main"}},
		{{Module: "never asked for"}},
	}
	tr := stopped(t, Options{
		Kinds: Opens, Stacks: true,
		Frames: func(tcpvet.Process, *Stack) []tcpvet.Frame { read++; return answers[read-1] },
		Choose: func(e *tcpvet.Event) bool {
			if client := e.Role == tcpvet.Client; e.Kind != tcpvet.EventOpen || e.At.IsZero() || client && e.Comm == "" || e.Stack != nil {
				t.Errorf("asked of %+v, want all but the stack", e)
			}
			return chosen && e.Role == tcpvet.Client
		},
	})
	if m := tr.Missing(); len(m) > 0 {
		t.Fatalf("missing: %+v", m)
	}
	l, at := listen(t, lo4)
	for i, want := range []struct {
		chosen bool
		read   int
		stack  []tcpvet.Frame
	}{{false, 0, nil}, {true, 1, answers[0]}, {true, 2, answers[1]}, {true, 2, answers[1]}} {
		chosen = want.chosen
		connected(t, l, at)
		n := 0
		readOut(t, tr, func(e *tcpvet.Event) error {
			n++
			stack := want.stack
			if e.Role == tcpvet.Server {
				stack = nil
			}
			if len(e.Stack) != len(stack) || len(stack) > 0 && &e.Stack[0] != &stack[0] {
				t.Errorf("%d: stack %+v, want %+v", i, e.Stack, stack)
			}
			return nil
		})
		if n != 2 || read != want.read {
			t.Errorf("%d: %d events, %d stacks read; want 2 and %d", i, n, read, want.read)
		}
	}
}
