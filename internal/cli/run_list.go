package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/run"
	"github.com/tcpvet/tcpvet/vet"
)

// printRuns lists the runs that go on by themselves.
func (r *running) printRuns() error {
	all, err := run.Runs{}.List()
	if err != nil {
		return err
	}
	if r.out.format == "json" {
		return document(r.stdio.Out, runsOf(all))
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(r.stdio.Out, "no run goes on by itself")
		return err
	}
	w := tabwriter.NewWriter(r.stdio.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Run\tSince\tOpened\tAccepted\tFailed\tClose-wait\tGives\tCgroup")
	for i := range all {
		d := &all[i]
		if d.Err != nil {
			fmt.Fprintf(w, "%s\t-\t-\t-\t-\t-\tnot whole: %s\t-\n", vet.Plain(d.ID), vet.Plain(d.Err.Error()))
			continue
		}
		at := vet.Plain(d.Path)
		if d.Gone {
			at += " (removed)"
		}
		s := &d.Summary
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", vet.Plain(d.ID), d.Since.Format("2006-01-02 15:04:05"),
			vet.Count(int64(s.Opened)), vet.Count(int64(s.Accepted)), vet.Count(int64(s.Failed.Total())), vet.Count(int64(s.CloseWait)), d.Options.String(), at)
	}
	return w.Flush()
}

// runsOf gives the document.
func runsOf(all []run.Detached) jsonv1.Runs {
	out := jsonv1.Runs{Schema: jsonv1.RunsSchema, Runs: []jsonv1.Run{}}
	for i := range all {
		d := &all[i]
		one := jsonv1.Run{
			ID: d.ID, Since: jsonv1.Time(d.Since), Cgroup: optional(d.Path), CgroupGone: d.Gone,
			Timers: jsonv1.TimersOf(d.Options.Timers), SourcePool: []string{},
		}
		for _, a := range d.Options.Pool {
			one.SourcePool = append(one.SourcePool, a.String())
		}
		if d.Err != nil {
			one.Error = optional(d.Err.Error())
		} else {
			one.Counts = countsOf(&d.Summary)
		}
		out.Runs = append(out.Runs, one)
	}
	return out
}

func countsOf(s *run.Summary) *jsonv1.RunCounts {
	out := &jsonv1.RunCounts{
		Opened: s.Opened, Accepted: s.Accepted,
		Failed:    jsonv1.RunFailed{NoPort: s.Failed.NoPort, NoSYN: s.Failed.NoSYN, Unanswered: s.Failed.Unanswered, GivenUp: s.Failed.GivenUp},
		CloseWait: s.CloseWait, MostCloseWait: s.MostCloseWait, Leaked: s.Leaked, Refused: s.Refused, Unbound: s.Unbound, OwnValues: []jsonv1.RunOwn{},
	}
	for _, o := range s.Own {
		own := jsonv1.RunOwn{Comm: o.Opener.Comm, Timers: jsonv1.TimersOf(o.Timers), Connections: o.Connections}
		if o.Opener.PID != 0 {
			own.PID = &o.Opener.PID
		}
		out.OwnValues = append(out.OwnValues, own)
	}
	return out
}
