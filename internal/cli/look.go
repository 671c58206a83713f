package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/dump"
)

// look holds the flags of every verb that looks at sockets.
type look struct {
	stdio IO

	from      []string
	source    string
	netns     string
	lenient   bool
	strict    bool
	verbose   bool
	portRange string

	pids       []int
	comms      []string
	containers []string
	states     []string
}

func (l *look) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&l.from, "from", nil, "read a snapshot or pasted text in `FILE` (- for standard input) instead of the kernel")
	f.BoolVar(&l.lenient, "lenient", false, "with --from: count damaged lines instead of stopping at the first")
	f.BoolVar(&l.strict, "strict", false, "exit with 3 when anything could not be seen or judged")
	f.StringVar(&l.portRange, "port-range", "", "with --from: the local port range `LO-HI` of the machine that the text came from")
	l.sockets(cmd)
}

// sockets adds the flags that say which sockets of this machine are meant, and how
// they are looked at.
func (l *look) sockets(cmd *cobra.Command) {
	l.way(cmd)
	l.whose(cmd)
	cmd.Flags().StringSliceVar(&l.states, "state", nil, "only sockets in these states")
	completeList(cmd, "state", stateWords)
}

// way adds the flags that say how this machine is looked at.
func (l *look) way(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.source, "source", "auto", "where to read sockets: auto, bpf, netlink or procfs")
	f.BoolVarP(&l.verbose, "verbose", "v", false, "say on standard error by which source was looked, and why")
	complete(cmd, "source", source.Kinds...)
}

// whose adds the flags that say whose sockets are meant.
func (l *look) whose(cmd *cobra.Command) {
	f := cmd.Flags()
	l.where(cmd)
	f.IntSliceVar(&l.pids, "pid", nil, "only sockets held by these processes")
	f.StringSliceVar(&l.comms, "comm", nil, "only sockets held by processes of these names")
	f.StringSliceVar(&l.containers, "container", nil, "only sockets held in these containers (name, ID or its beginning, or pod)")
}

// where adds the flag that says in which network namespaces.
func (l *look) where(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.netns, "netns", "", "network namespaces: all, self, or names, inodes and pid:N, separated by commas (default all as seen from the host's first namespace, else self)")
	completeList(cmd, "netns", func() []string { return append([]string{"all", "self"}, netnsNames()...) })
}

func stateWords() []string {
	words := make([]string, 0, len(tcpvet.States))
	for _, s := range tcpvet.States {
		words = append(words, s.String())
	}
	return words
}

func netnsNames() []string {
	found, _, err := netns.Find(netns.Options{})
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Names...)
	}
	return names
}

// mostPID is the largest that Linux gives (PID_MAX_LIMIT in
// include/linux/threads.h).
const mostPID = 1 << 22

// namespaces reads --netns.
func (l *look) namespaces() source.Namespaces {
	switch l.netns {
	case "all":
		return source.Namespaces{All: true}
	case "self":
		return source.Namespaces{}
	case "":
		if len(l.from) > 0 {
			return source.Namespaces{All: true}
		}
		initial, err := netns.Initial()
		return source.Namespaces{All: err == nil && initial}
	}
	names := strings.Split(l.netns, ",")
	for i, name := range names {
		if id, err := netns.Self(); name == "self" && err == nil && len(l.from) == 0 {
			names[i] = strconv.FormatUint(uint64(id), 10)
		}
	}
	return source.Namespaces{All: slices.Contains(names, "all"), Names: names}
}

// checkNetns refuses what can name no namespace.
func (l *look) checkNetns() error {
	if l.netns == "" {
		return nil
	}
	for name := range strings.SplitSeq(l.netns, ",") {
		if strings.TrimSpace(name) == "" {
			return usage("--netns %q: expected all, self, or names, inodes and pid:N, separated by commas", l.netns)
		}
		if text, ok := strings.CutPrefix(name, "pid:"); ok {
			if pid, err := strconv.ParseInt(text, 10, 32); err != nil || pid <= 0 || pid > mostPID {
				return usage("--netns %q: expected a process ID from 1 to %d behind pid:", name, mostPID)
			}
		}
	}
	return nil
}

// start gives what a verb with a FILTER begins with: what is selected, and the
// sources as of open.
func (l *look) start(ctx context.Context, args []string, most int) (*selection, []source.Source, error) {
	sel, err := l.selection(args)
	if err != nil {
		return nil, nil, err
	}
	srcs, err := l.open(ctx, most)
	return sel, srcs, err
}

// open gives the sources that the flags name: one, or two where most allows it
// and two --from were given.
func (l *look) open(ctx context.Context, most int) ([]source.Source, error) {
	if err := l.checkNetns(); err != nil {
		return nil, err
	}
	if len(l.from) == 0 {
		if l.lenient || l.portRange != "" {
			return nil, usage("--lenient and --port-range go with --from")
		}
		src, err := source.Open(l.source)
		if errors.Is(err, source.ErrUnknown) {
			return nil, usage("--source: %w", err)
		}
		if err != nil {
			return nil, &exit{statusBlind, err}
		}
		return []source.Source{src}, nil
	}
	if len(l.from) > most {
		return nil, usage("--from was given %d times: this verb takes %d", len(l.from), most)
	}
	if l.source != "auto" {
		return nil, usage("--source goes with a look at this machine, --from with a file: give one of them")
	}
	ports, err := parsePortRange(l.portRange)
	if err != nil {
		return nil, err
	}
	if slices.Equal(l.from, []string{"-", "-"}) {
		return nil, usage("--from - was given twice: standard input can be read once")
	}
	var srcs []source.Source
	for _, name := range l.from {
		src, err := l.file(ctx, name, source.FileOptions{Lenient: l.lenient, Ports: ports})
		if err != nil {
			return nil, &exit{statusBlind, err}
		}
		srcs = append(srcs, src)
	}
	return srcs, nil
}

func (l *look) file(ctx context.Context, name string, opt source.FileOptions) (source.Source, error) {
	in := l.stdio.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		in = f // read to its end by the look; the process ends after it
	} else {
		name = "standard input"
	}
	src, err := source.File(newInterruptible(ctx, in), opt)
	var damaged *dump.LineError
	if errors.As(err, &damaged) {
		return nil, fmt.Errorf("%s: %w; --lenient passes over such lines", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return src, nil
}

// parsePortRange reads LO-HI; nil for "".
func parsePortRange(s string) (*tcpvet.Ports, error) {
	if s == "" {
		return nil, nil
	}
	low, high, ok := strings.Cut(s, "-")
	lo, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	hi, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if !ok || err1 != nil || err2 != nil || lo == 0 || hi < lo {
		return nil, usage("--port-range %q: expected LO-HI as in 32768-60999", s)
	}
	return &tcpvet.Ports{Low: uint16(lo), High: uint16(hi)}, nil
}

// take folds one look, and says on a terminal how far it has come.
func (l *look) take(ctx context.Context, src source.Source, q source.Query, sel *selection) (tcpvet.Census, error) {
	defer l.tellSource(src)
	var opt source.TakeOptions
	end := func() {}
	defer func() { end() }()
	if sel.all() {
		opt.Count, end = watchCount(l.stdio.Err)
		return source.Take(ctx, src, q, opt)
	}
	opt.Fold.Select = sel.match
	opt.Watch = func(o tcpvet.Observer) tcpvet.Observer {
		end() // of a look that has to be taken again
		sel.unlinked = 0
		o, end = watch(l.stdio.Err, o)
		return o
	}
	return source.Take(ctx, src, q, opt)
}

// tellSource says by what was looked, if that was asked for.
func (l *look) tellSource(src source.Source) {
	if !l.verbose {
		return
	}
	why := source.Why(src)
	switch {
	case why != "":
		why = ": " + why
	case len(l.from) > 0:
		why = ": --from"
	default:
		why = ": --source"
	}
	fmt.Fprintf(l.stdio.Err, "looked by %s%s\n", src.Name(), why)
}

// after turns the outcome of a look into an error with its exit status: what
// ended early has told what was wrong, and what could not see is status 3.
func (l *look) after(err error, gaps []tcpvet.Gap) error {
	if err != nil {
		var e *exit
		if errors.As(err, &e) || errors.Is(err, context.Canceled) {
			return err
		}
		return &exit{statusBlind, err}
	}
	if l.strict && len(gaps) > 0 {
		return &exit{statusBlind, fmt.Errorf("something could not be seen (--strict): %s", report.GapText(gaps[0]))}
	}
	return nil
}

// warnGaps says on w what a look could not see.
func warnGaps(w io.Writer, gaps []tcpvet.Gap) {
	for _, g := range gaps {
		fmt.Fprintln(w, "not seen:", report.GapText(g))
	}
}
