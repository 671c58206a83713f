package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
)

// tracing holds the flags of trace.
type tracing struct {
	look
	out output

	states   bool
	failures bool
	leaks    bool
	summary  bool
	stacks   bool

	olderThan time.Duration
	interval  time.Duration
	duration  time.Duration
	limit     uint64
	utc       bool
	forget    bool
	ring      int

	sel    *selection
	choice *choice // of events
}

// leakAge is from when on a socket in CLOSE-WAIT is taken for leaked, unless
// --older-than says otherwise: the patience of diagnose.
const leakAge = time.Minute

func traceCommand(stdio IO) *cobra.Command {
	t := &tracing{look: look{stdio: stdio, source: "auto"}}
	cmd := &cobra.Command{
		Use:   "trace [FILTER]",
		Short: "follow connections as they open, fail and close: who, why, who first, and which line",
		Long: `trace follows the TCP sockets of this host as the kernel changes them, and prints
a line for each connection that opens, fails to open, or closes: at one of its
ends here, or at both, each for itself. > opened it, < was opened by the other end.

  open    connected in: from connect() to the end of the handshake; or accepted
  fail    the call, its errno, and the cause as a word (tcpvet explain causes).
          A connect() that finds no local port sends nothing and moves no counter
          of the kernel: it shows here
  close   which end sent the first FIN or RST, how it ended, after how long, and
          how long of that it was in CLOSE-WAIT

  --states    each change of state too, with the time in the state before
  --failures  failures alone, each explained by a look around it: at ports-exhausted
              which states take the ports, and whose
  --leaks     at the end: what has been in CLOSE-WAIT for --older-than, by the line
              that opened it
  --summary   nothing but counts: opened, failed by cause, closed by how and by whom

A FILTER is as in ls, of what an event tells: src, dst, sport, dport, role, cookie,
and with --states the state that a socket comes to; with --leaks, of sockets. The
process is the one that was running in a call of its own, or is known by the socket;
a dash where it is neither.

It runs until Ctrl-C, or --duration, or --limit. What was lost, for too much came
at once, is counted and told. While it runs it remembers who had the
connections that are in TIME-WAIT, so that ls, count and budget can name them.

It needs root, or CAP_BPF and CAP_PERFMON. Exit status: 0 done, 2 wrong usage, 3
nothing could be traced.`,
		Example: `  tcpvet trace
  tcpvet trace --failures                        why does connect() fail?
  tcpvet trace --leaks --pid 4121 --duration 5m  which line opens what is never closed?
  tcpvet trace --comm nginx 'sport = :443' --states
  tcpvet trace --summary --interval 10s
  tcpvet trace -o jsonl | jq 'select(.how == "rst")'`,
		ValidArgsFunction: completeFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.check(cmd, args); err != nil {
				return err
			}
			return t.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&t.states, "states", false, "print each change of state too")
	f.BoolVar(&t.failures, "failures", false, "print what fails to open, and nothing else, with the reason")
	f.BoolVar(&t.leaks, "leaks", false, "print at the end what stays in CLOSE-WAIT, by the line that opened it")
	f.BoolVar(&t.summary, "summary", false, "count, and print no single event")
	f.BoolVar(&t.stacks, "stacks", false, "print the calls that opened each connection below it")
	f.DurationVar(&t.olderThan, "older-than", leakAge, "with --leaks: only what has been in CLOSE-WAIT for so long")
	f.DurationVar(&t.interval, "interval", 0, "with --summary: print the counts of each such time too")
	f.DurationVar(&t.duration, "duration", 0, "end after this long")
	f.Uint64Var(&t.limit, "limit", 0, "end after so many events")
	f.BoolVar(&t.utc, "utc", false, "print times in UTC instead of local time")
	f.BoolVar(&t.forget, "no-remember", false, "do not remember whose the connections in TIME-WAIT were")
	f.IntVar(&t.ring, "ring", 0, "bytes for events that wait to be read")
	_ = f.MarkHidden("ring") // a small one loses events, for tests
	t.whose(cmd)
	for flag, whose := range map[string]string{"pid": "these processes", "comm": "processes of these names", "container": "these containers (name, ID or its beginning, or pod)"} {
		f.Lookup(flag).Usage = "only connections of " + whose
	}
	t.out.flags(cmd, "table", "wide", "json", "jsonl", "csv")
	return cmd
}

// check reads the flags and the filter.
func (t *tracing) check(cmd *cobra.Command, args []string) error {
	if err := t.checkModes(cmd); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	switch {
	case given("duration") && t.duration <= 0:
		return usage("--duration %s: expected more than 0", t.duration)
	case given("limit") && t.limit == 0:
		return usage("--limit 0: expected 1 or more")
	case t.olderThan < 0:
		return usage("--older-than %s: expected 0 or more", t.olderThan)
	case t.leaks && given("duration") && t.duration <= t.olderThan:
		return usage("--duration %s: nothing that opens in it can have been in CLOSE-WAIT for --older-than %s: give more of the one, or less of the other", t.duration, t.olderThan)
	case given("interval") && t.interval < 100*time.Millisecond:
		return usage("--interval %s: expected 100ms or more", t.interval)
	case given("ring") && t.ring <= 0:
		return usage("--ring %d: expected more than 0", t.ring)
	}
	if err := t.checkNetns(); err != nil {
		return err
	}
	var err error
	if t.sel, err = t.selection(args); err != nil {
		return err
	}
	if t.leaks {
		if !t.sel.filter.States().Has(tcpvet.CloseWait) {
			return usage("the filter leaves out CLOSE-WAIT, and --leaks looks at nothing else: leave out the state")
		}
		return nil
	}
	if t.summary && !t.sel.all() {
		return usage("--summary counts in the kernel, whosever the connections are: only --netns narrows it")
	}
	t.choice, err = newChoice(t.sel, t.states)
	return err
}

// checkModes refuses what does not go together.
func (t *tracing) checkModes(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	var mode string
	for _, m := range []struct {
		is   bool
		flag string
	}{{t.states, "--states"}, {t.failures, "--failures"}, {t.leaks, "--leaks"}, {t.summary, "--summary"}} {
		if m.is && mode != "" {
			return usage("%s and %s each say what to print: give one of them", mode, m.flag)
		}
		if m.is {
			mode = m.flag
		}
	}
	switch {
	case given("older-than") && !t.leaks:
		return usage("--older-than goes with --leaks")
	case given("interval") && !t.summary:
		return usage("--interval goes with --summary")
	case (t.leaks || t.summary) && t.limit > 0:
		return usage("--limit counts events, and %s prints none: end it by --duration or Ctrl-C", mode)
	case t.summary && t.stacks:
		return usage("--stacks goes with events, and --summary prints none")
	case t.leaks && (t.out.format == "jsonl" || t.out.format == "csv"):
		return usage("-o %s prints events: --leaks prints table, wide or json", t.out.format)
	case t.summary && t.out.format == "wide":
		return usage("-o wide prints events: --summary prints table, json, jsonl or csv")
	}
	return nil
}

// run traces until the time is over or it is interrupted, which is the normal end.
func (t *tracing) run(ctx context.Context) error {
	ctx, stop := endings(ctx)
	defer stop()
	defer brokenPipes()()
	switch {
	case t.summary:
		return quietly(t.count(ctx))
	case t.leaks:
		return quietly(t.leaking(ctx))
	}
	return quietly(t.follow(ctx))
}

// until gives the context that ends the trace, which has begun.
func (t *tracing) until(asked context.Context) (context.Context, context.CancelFunc) {
	if t.duration > 0 {
		return context.WithTimeout(asked, t.duration)
	}
	return context.WithCancel(asked)
}
