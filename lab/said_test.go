package lab

import (
	"slices"
	"strings"
	"testing"
)

// A command is split as a shell would, or not at all.
func TestWords(t *testing.T) {
	got, err := words("tcpvet  fix close --pid 4121 dst [::1]:80")
	if err == nil {
		t.Errorf("a word that a shell may take for names of files: got %q", got)
	}
	got, err = words("tcpvet  fix close --pid 4121 dst 10.0.0.1:80")
	if want := []string{"tcpvet", "fix", "close", "--pid", "4121", "dst", "10.0.0.1:80"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, command := range []string{
		"", "tcpvet", "ls -l", "tcpvet ls 'age > 5m'", `tcpvet ls "x"`, "tcpvet ls $HOME", "tcpvet ls `id`", "tcpvet ls; id", "tcpvet ls | wc", "tcpvet ls \\x",
		"tcpvet ls > f", "tcpvet ls # x", "tcpvet ls ~", "tcpvet ls\nid",
	} {
		if got, err := words(command); err == nil {
			t.Errorf("%q: got %q, want an error", command, got)
		}
	}
}

func TestSaidUntil(t *testing.T) {
	s := &Said{Command: "tcpvet x", Lines: []string{"head", "  - a", "  - b"}}
	if got := s.Until("  - "); !slices.Equal(got.Lines, []string{"head", "  - ..."}) || got.Command != s.Command || len(s.Lines) != 3 {
		t.Errorf("got %+v, and %+v is left", got, s)
	}
	if got := s.Until("none"); got != s {
		t.Errorf("got %+v, want it whole", got)
	}
}

// What was said stands between what was done and what was seen. Where something failed
// there is nothing that it would mean.
func TestTextOfCommands(t *testing.T) {
	var out strings.Builder
	text := Text{W: &out}
	step := Step{
		Title: "A cure", Done: []string{"This is run:"}, Shown: []string{"Nothing."}, Means: []string{"So."},
		Said: []*Said{{Command: "tcpvet fix close", Status: 3, Lines: []string{"a line that stays as it is, however long it may be, for it was printed by a command", ""}}, {Command: "tcpvet run"}},
	}
	step.Fails("%d ports were to be free", 7)
	text.Tell(step)
	const want = `
1. A cure
   done   This is run:

$ tcpvet fix close
a line that stays as it is, however long it may be, for it was printed by a command

(exit status 3)


$ tcpvet run

   seen   Nothing.
   failed 7 ports were to be free
`
	if out.String() != want || text.Err != nil {
		t.Errorf("got (%v):\n%s\nwant:\n%s", text.Err, out.String(), want)
	}
	story := Story{Steps: []Step{{Name: "cure", Failed: step.Failed}}}
	if got := story.Outcome().Mismatches; !slices.Equal(got, []string{"step cure: 7 ports were to be free"}) {
		t.Errorf("the outcome has %q", got)
	}
}
