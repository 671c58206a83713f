package cli

import (
	"context"
	"io"

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

// stageText prints a story.
func stageText(stdio IO, o *output) *lab.Text {
	style := report.Style{Color: o.colored(stdio.Out), Width: min(width(stdio.Out, 100), 100)}
	return &lab.Text{
		W: stdio.Out,
		Diagnose: func(w io.Writer, v *lab.View) error {
			return report.Text(w, v.Case, vet.Run(*v.Case, rules.All), style)
		},
	}
}
