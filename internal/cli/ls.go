package cli

import (
	"bufio"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/source"
)

func lsCommand(stdio IO) *cobra.Command {
	l := &look{stdio: stdio}
	o := new(output)
	cmd := &cobra.Command{
		Use:   "ls [FILTER]",
		Short: "list sockets with who holds them, and for how long they have been so",
		Long: `ls lists TCP sockets, one a line, each as it is read, in the columns of ss,
then the process that holds it (+N: others hold it too), its container, how
long it has been in its state, and how that is known:

  last-ack          since the last segment came in: for CLOSE-WAIT, the FIN
  last-ack-or-data  between that and the last data: something else may have
                    come in since the FIN
  timewait-timer    60 s less the rest of the timer
  last-data         ESTAB: since data last went either way

nobody means that no descriptor holds it: TIME-WAIT, an orphan, a connection
not yet accepted. "not seen" means that a process holds it which could not be
seen. A process in parentheses holds it no more: it closed it, as is remembered
while tcpvet trace runs; "ended" says that it has ended since.`,
		Example: `  tcpvet ls state close-wait
  tcpvet ls dst 10.0.3.7:8080 -o wide
  tcpvet ls --comm python3 'age > 5m'
  tcpvet ls -o jsonl | jq .local`,
		ValidArgsFunction: completeFilter,
		RunE:              func(cmd *cobra.Command, args []string) error { return ls(cmd.Context(), l, o, args) },
	}
	l.flags(cmd)
	o.flags(cmd, "table", "wide", "json", "jsonl", "csv")
	return cmd
}

func ls(ctx context.Context, l *look, o *output, args []string) error {
	sel, srcs, err := l.start(ctx, args, 1)
	if err != nil {
		return err
	}
	q := sel.query()
	q.Netns = l.namespaces()
	q.Want |= tcpvet.FactHolders | tcpvet.FactContainers | tcpvet.FactListeners | tcpvet.FactPortRange | tcpvet.FactInfo
	if !sel.holderless() {
		if err := answerable(srcs[0], sel.query()); err != nil {
			return err
		}
	}
	p := &listing{sel: sel, view: report.View{
		Processes: make(map[tcpvet.Process]tcpvet.ProcessInfo),
		Netns:     make(map[tcpvet.NetnsID]tcpvet.Netns),
		Holders:   srcs[0].Facts(q.Want).Has(tcpvet.FactHolders),
	}}
	flush, err := p.printer(l, o)
	if err != nil {
		return err
	}
	obs, end := tcpvet.Observer(p), func() {}
	if !terminal(l.stdio.Out) {
		obs, end = watch(l.stdio.Err, p)
	}
	err = srcs[0].Look(ctx, q, obs)
	end()
	l.tellSource(srcs[0])
	p.gaps = append(p.gaps, sel.blindSpots(srcs[0], q.States)...)
	if errors.Is(err, source.ErrInconsistent) {
		p.Gap(source.Inconsistent())
		err = nil
	}
	if ferr := flush(); err == nil {
		err = ferr
	}
	warnGaps(l.stdio.Err, p.gaps)
	return l.after(err, p.gaps)
}

// listing is an Observer that prints the sockets that are selected.
type listing struct {
	sel   *selection
	view  report.View
	print func(*tcpvet.Socket) error
	gaps  []tcpvet.Gap
}

func (p *listing) Host(tcpvet.Host)                                   {}
func (p *listing) Netns(n tcpvet.Netns)                               { p.view.Netns[n.ID] = n }
func (p *listing) Process(pr tcpvet.Process, info tcpvet.ProcessInfo) { p.view.Processes[pr] = info }
func (p *listing) Gap(g tcpvet.Gap)                                   { p.gaps = append(p.gaps, g) }
func (p *listing) Changed(uint64)                                     {}
func (p *listing) info(pr tcpvet.Process) tcpvet.ProcessInfo          { return p.view.Processes[pr] }

func (p *listing) Socket(s *tcpvet.Socket) error {
	if !p.sel.match(s, p.info) {
		return nil
	}
	return p.print(s)
}

// printer sets how to print, and gives what ends it.
func (p *listing) printer(l *look, o *output) (flush func() error, err error) {
	switch o.format {
	case "json", "jsonl":
		out := bufio.NewWriterSize(l.stdio.Out, 1<<16)
		lookup := jsonv1.Lookup{
			Process: func(pr tcpvet.Process) (tcpvet.ProcessInfo, bool) { i, ok := p.view.Processes[pr]; return i, ok },
			Netns:   func(id tcpvet.NetnsID) (tcpvet.Netns, bool) { n, ok := p.view.Netns[id]; return n, ok },
		}
		var line []byte
		p.print = func(s *tcpvet.Socket) error {
			line = append(lookup.AppendSocket(line[:0], s, p.view.Holders), '\n')
			_, err := out.Write(line)
			return err
		}
		return out.Flush, nil
	case "csv":
		list := report.NewCSV(l.stdio.Out, report.WideColumns)
		list.View, p.print = p.view, list.Socket
		return list.Flush, list.Head()
	}
	columns := report.Columns
	if o.format == "wide" {
		columns = report.WideColumns
	}
	list := report.NewList(l.stdio.Out, columns)
	list.View, p.print = p.view, list.Socket
	list.Head()
	return list.Flush, nil
}
