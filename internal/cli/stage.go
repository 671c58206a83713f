package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/vet"
)

// stageLook looks at the hosts of a stage by a kind of source.
func stageLook(kind string) (lab.Look, error) {
	src, err := source.Open(kind)
	if err != nil {
		return lab.Look{}, err
	}
	query := func(namespaces []string) source.Query {
		// What the machine's files set at boot is none of the stage's business.
		return source.Query{Want: judged &^ tcpvet.FactSysctlConf, Netns: source.Namespaces{Names: namespaces}}
	}
	return lab.Look{
		Name: src.Name(),
		Take: func(ctx context.Context, namespaces []string) (tcpvet.Census, error) {
			return source.Take(ctx, src, query(namespaces), source.TakeOptions{})
		},
		Sockets: func(ctx context.Context, namespaces []string) ([]tcpvet.Socket, error) {
			var list socketList
			err := src.Look(ctx, query(namespaces), &list)
			return list.sockets, err
		},
	}, nil
}

// socketList keeps the sockets of a look.
type socketList struct{ sockets []tcpvet.Socket }

func (*socketList) Host(tcpvet.Host)                           {}
func (*socketList) Netns(tcpvet.Netns)                         {}
func (*socketList) Process(tcpvet.Process, tcpvet.ProcessInfo) {}
func (*socketList) Gap(tcpvet.Gap)                             {}
func (*socketList) Changed(uint64)                             {}
func (l *socketList) Socket(s *tcpvet.Socket) error {
	kept := *s
	kept.SharedWith = append([]tcpvet.Process(nil), s.SharedWith...)
	l.sockets = append(l.sockets, kept)
	return nil
}

// stageVerdict judges by all rules.
func stageVerdict(c tcpvet.Case) lab.Verdict {
	r := vet.Run(c, rules.All)
	v := lab.Verdict{Findings: r.Findings}
	for _, s := range r.Skipped {
		v.Skipped = append(v.Skipped, lab.Skipped{Rule: s.Rule, Missing: s.Missing.String()})
	}
	return v
}

// stageText prints a story. What commands of tcpvet print in it is as wide.
func stageText(stdio IO, o *output) *lab.Text {
	style := report.Style{Color: o.colored(stdio.Out), Width: min(width(stdio.Out, 100), 100)}
	_ = os.Setenv(columnsVariable, strconv.Itoa(style.Width))
	return &lab.Text{
		W: stdio.Out,
		Diagnose: func(w io.Writer, v *lab.View) error {
			return report.Text(w, v.Case, vet.Run(*v.Case, rules.All), style)
		},
	}
}

// playAloud plays a scenario and prints each step as it is done, and on a terminal what
// is being done meanwhile. A play whose steps cannot be printed ends early; unprinted
// says why they cannot.
func playAloud(ctx context.Context, sc *lab.Scenario, opt lab.Options, stdio IO, o *output) (story *lab.Story, played, unprinted error) {
	text, said := stageText(stdio, o), doing{w: stdio.Err}
	text.Begin(sc)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	opt.Doing = said.begin
	opt.Tell = func(s lab.Step) {
		said.stop()
		if text.Tell(s); text.Err != nil {
			end(text.Err)
		}
	}
	story, played = lab.Play(ctx, sc, opt)
	said.stop()
	return story, played, text.Err
}

// doing says on a terminal what a play does that takes a while.
type doing struct {
	w   io.Writer
	end func() // nil for nothing that is said
}

// begin says what is done from now on, until stop is called.
func (d *doing) begin(what string) {
	d.stop()
	if terminal(d.w) {
		d.end = sayEachSecond(d.w, func(took time.Duration) string { return fmt.Sprintf("%s, %.0f s", what, took.Seconds()) })
	}
}

func (d *doing) stop() {
	if d.end != nil {
		d.end()
		d.end = nil
	}
}
