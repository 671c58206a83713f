package lab

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Said is a command of tcpvet that was run, and what it printed.
type Said struct {
	Command string   // as a person types it
	Status  int      // its exit status
	Lines   []string // of its standard output, and then of its standard error
}

// Until leaves out what was said from the first line on that begins so.
func (s *Said) Until(beginning string) *Said {
	for i, line := range s.Lines {
		if strings.HasPrefix(line, beginning) {
			cut := *s
			cut.Lines = append(slices.Clone(s.Lines[:i]), beginning+"...")
			return &cut
		}
	}
	return s
}

// print writes it as a terminal shows it.
func (s *Said) print(w io.Writer) {
	fmt.Fprintf(w, "\n$ %s\n", s.Command)
	for _, line := range s.Lines {
		fmt.Fprintln(w, line)
	}
	if s.Status != 0 {
		fmt.Fprintf(w, "(exit status %d)\n", s.Status)
	}
	fmt.Fprintln(w)
}

// lines gives the lines of what was printed, without empty ones at the end.
func lines(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// words splits a command line into its words. It takes those alone that a shell would
// split in the same way without any quoting.
func words(command string) ([]string, error) {
	if i := strings.IndexAny(command, "\"'\\$`*?[]{}()<>|&;~#!\n"); i >= 0 {
		return nil, fmt.Errorf("split the command %q: it has %q, which a shell takes for more than a letter", command, command[i])
	}
	split := strings.Fields(command)
	if len(split) < 2 || split[0] != "tcpvet" {
		return nil, fmt.Errorf("split the command %q: expected tcpvet and a verb", command)
	}
	return split, nil
}
