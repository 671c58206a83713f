package cli

import (
	"io"
	"testing"
)

// A verb that is made alone is the one that the whole tree has below that name.
func TestCommandFor(t *testing.T) {
	stdio := IO{Out: io.Discard, Err: io.Discard}
	whole := Command(stdio)
	if n := len(whole.Commands()); n != len(makers) {
		t.Errorf("%d verbs, want %d", n, len(makers))
	}
	for _, m := range makers {
		alone := commandFor(stdio, []string{m.verb, "--help"})
		if all := alone.Commands(); len(all) != 1 || all[0].Name() != m.verb {
			t.Errorf("%s gives %v", m.verb, verbs(alone))
		}
		if cmd, _, err := whole.Find([]string{m.verb}); err != nil || cmd.Name() != m.verb {
			t.Errorf("the tree has no %s: %v", m.verb, err)
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"help", "ls"}, {"sl"}, {"completion", "bash"}, {"__complete", "l"}} {
		if n := len(commandFor(stdio, args).Commands()); n < len(makers) {
			t.Errorf("%q: %d verbs", args, n)
		}
	}
}
