package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/vet"
)

// closeUp shows one conversation, segment by segment.
type closeUp struct {
	number int
	svg    string
	all    bool

	lines []report.LadderLine
	more  uint64 // segments beyond mostLines
	told  *tcpvet.Conversation
}

// mostLines bounds how many segments of one conversation are kept.
const mostLines = 200_000

func (u *closeUp) flags(cmd *cobra.Command) {
	g := cmd.Flags()
	g.IntVar(&u.number, "conversation", 0, "show conversation `N` as a ladder, with the states of both ends beside it")
	g.StringVar(&u.svg, "svg", "", "with --conversation: write the ladder to `FILE` as a picture")
	g.BoolVar(&u.all, "all", false, "with --conversation: every segment, also where many are alike")
}

func (u *closeUp) check(f *follow, files []string) error {
	switch {
	case u.number < 0:
		return usage("--conversation %d: they are numbered from 1", u.number)
	case u.number == 0 && (u.svg != "" || u.all):
		return usage("--svg and --all go with --conversation")
	case u.number == 0:
		return nil
	case len(files) != 1:
		return usage("--conversation: each recording has numbers of its own: name one file")
	case f.packets || f.summary:
		return usage("--conversation goes without --packets and --summary")
	case f.out.format != "table":
		return usage("-o %s: a ladder is drawn as text, or with --svg as a picture", f.out.format)
	}
	return nil
}

func (u *closeUp) segment(s *capture.Segment, step capture.Step) error {
	switch {
	case step.Number != u.number:
	case len(u.lines) < mostLines:
		u.lines = append(u.lines, report.LadderLineOf(s, step))
	default:
		u.more++
	}
	return nil
}

func (u *closeUp) conversation(c *tcpvet.Conversation) error {
	if c.Number == u.number {
		u.told = c
	}
	return nil
}

func (u *closeUp) flush() error { return nil }

// print draws what was kept.
func (u *closeUp) print(f *follow) error {
	if u.told == nil {
		err := fmt.Errorf("--conversation %d: the recording has %s", u.number, vet.Counted(f.traffic.Conversations, "conversation"))
		if f.selects != nil && !f.selects.All() {
			err = fmt.Errorf("%w that --filter selects", err)
		}
		return &exit{statusUsage, err}
	}
	o := report.LadderOptions{
		Style: report.Style{Color: f.out.colored(f.stdio.Out), Width: width(f.stdio.Out, 0)},
		ASCII: !unicodeTerminal(), All: u.all, Absolute: f.absolute,
	}
	if u.svg != "" {
		var picture bytes.Buffer
		if err := report.WriteSVG(&picture, u.told, u.lines, report.SVGOptions{All: u.all, Absolute: f.absolute}); err != nil {
			return err
		}
		if err := os.WriteFile(u.svg, picture.Bytes(), 0o644); err != nil {
			return &exit{statusBlind, fmt.Errorf("write the picture: %w", err)}
		}
	} else if err := report.WriteLadder(f.stdio.Out, u.told, u.lines, o); err != nil {
		return err
	}
	if u.more > 0 {
		fmt.Fprintf(f.stdio.Err, "not shown: %s behind the first %s\n", vet.Counted(u.more, "segment"), vet.Count(mostLines))
	}
	return nil
}

// unicodeTerminal tells what the locale says of the characters that can be
// shown (locale(7)).
func unicodeTerminal() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}
