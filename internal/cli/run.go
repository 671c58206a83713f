package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/run"
)

// running holds the flags of run.
type running struct {
	fixing
	keepalive   string
	userTimeout time.Duration
	pool        []string
	quiet       bool

	pid       int
	cgroup    string
	container string
	detach    bool
	list      bool
	stop      string

	given func(flag string) bool
}

// wholeCgroup is the risk that processes nobody named are touched.
const wholeCgroup = "whole-cgroup"

func runCommand(stdio IO) *cobra.Command {
	r := &running{fixing: fixing{look: look{stdio: stdio}}}
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG ...]",
		Short: "run a program with its sockets kept alive, or give that to what runs already",
		Long: `run starts COMMAND so that every TCP socket which it and its children open
begins with keepalive, and with --user-timeout and --source-pool where these are
given. It needs nothing of the program: it may be static, and written in
whatever. Signals, the terminal, standard files and the exit status are the
command's own. At its end a line on standard error says how many connections
were opened, failed, and were left in CLOSE-WAIT.

Keepalive ends connections whose peer is gone, and keeps middleboxes from
forgetting them. It cures no leak: a CLOSE-WAIT whose peer is alive stays. A
program that sets its own values after it connected keeps those, as Go does; it
is named. While more than 500 such sockets live, each new one has an idle time
of its own, from half of IDLE to IDLE, so that their probes do not come all at
once: peers on this host would lose some.

  --source-pool  connections take these local addresses in turn: that many times
                 the local ports toward one destination, for programs that bind
                 no address of their own

With --pid, --cgroup or --container it does so for the new sockets of what runs
already, until Ctrl-C; with --detach for longer than this command, until --stop
or the next boot. What belongs to a cgroup gets it together: where others live
there too, --accept-risk whole-cgroup is needed.

It needs root, or CAP_BPF and CAP_NET_ADMIN and a cgroup to make groups in
(cgroup 2). Where that is missing tcpvet fix keepalive --watch does something
alike. In a network namespace: ip netns exec NAME tcpvet run -- COMMAND.

Exit status: that of the command, 128 + N where signal N ended it; 125 where
tcpvet itself failed, 126 where the command cannot be run, 127 where there is
none.`,
		Example: `  tcpvet run -- python3 app.py
  tcpvet run --keepalive 1m,10s,3 --user-timeout 30s -- ./crawler --jobs 8
  tcpvet run --source-pool 10.0.0.5,10.0.0.6 -- ./crawler
  tcpvet run --pid 4121
  tcpvet run --container api --detach
  tcpvet run --list
  tcpvet run --stop 20261129-1412`,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return ownFailure(fromEnvironment(cmd)) },
		RunE: func(cmd *cobra.Command, args []string) error {
			r.given = cmd.Flags().Changed
			status, err := r.run(args)
			if err != nil {
				return ownFailure(err)
			}
			return &exit{status: status}
		},
	}
	g := cmd.Flags()
	g.SetInterspersed(false) // the rest is the command's
	g.StringVar(&r.keepalive, "keepalive", "30s,3s,5", "`IDLE,INTERVAL,COUNT` of keepalive, as in 30s,3s,5; off leaves it to the program")
	g.DurationVar(&r.userTimeout, "user-timeout", 0, "end also what is not acknowledged, or not read by the peer, for this long (TCP_USER_TIMEOUT); 0 leaves it to the program")
	g.StringSliceVar(&r.pool, "source-pool", nil, "local `ADDRESSES` that connections take in turn, separated by commas")
	g.BoolVarP(&r.quiet, "quiet", "q", false, "say nothing at the end")
	g.IntVar(&r.pid, "pid", 0, "new sockets of this process, and of what is in its cgroup")
	g.StringVar(&r.cgroup, "cgroup", "", "new sockets of what is in this cgroup: a folder, or its `PATH` in the hierarchy")
	g.StringVar(&r.container, "container", "", "new sockets of this container (name, ID or its beginning, or pod)")
	g.BoolVar(&r.detach, "detach", false, "with --pid, --cgroup or --container: go on without this command, until --stop")
	g.BoolVar(&r.list, "list", false, "list the runs that go on by themselves")
	g.StringVar(&r.stop, "stop", "", "stop the run of this `ID`, or the beginning of one")
	r.accepting(cmd, wholeCgroup)
	r.journaling(cmd)
	r.out.flags(cmd, "table", "json")
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error { return ownFailure(check(cmd, args)) }
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return ownFailure(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	for _, flag := range [...]string{"pid", "cgroup", "container", "detach", "list", "stop"} {
		byHand(cmd, flag)
	}
	return cmd
}

// OwnSignals tells that a command line passes signals on to another program, and takes
// care of them itself.
func OwnSignals(args []string) bool { return len(args) > 0 && args[0] == "run" }

// ownFailure gives the exit status of what is no failure of the command.
func ownFailure(err error) error {
	if err == nil {
		return nil
	}
	status := run.StatusFailed
	if e, ok := errors.AsType[*run.StartError](err); ok {
		status = e.Status
	}
	if _, ok := errors.AsType[*run.MissingError](err); ok {
		err = fmt.Errorf("%w; tcpvet fix keepalive --watch does it for sockets of running programs without these, by looking again and again", err)
	}
	return &exit{status, err}
}

// run does what the flags say, and gives the exit status.
func (r *running) run(args []string) (int, error) {
	if err := r.checkModes(args); err != nil {
		return 0, err
	}
	switch {
	case r.list:
		return statusOK, r.printRuns()
	case r.given("stop"):
		return statusOK, r.stopRun(context.Background())
	}
	o, err := r.options()
	if err != nil {
		return 0, err
	}
	if len(args) == 0 {
		return statusOK, r.group(o)
	}
	result, err := run.Command{Args: args, Options: o}.Run()
	if result == nil {
		return 0, err
	}
	if err != nil {
		fmt.Fprintln(r.stdio.Err, "tcpvet run:", err)
	}
	r.summary(&result.Summary)
	if len(result.Left) > 0 && !r.quiet {
		fmt.Fprintf(r.stdio.Err, "tcpvet run: still running: %s; their new sockets get nothing any more: tcpvet run --cgroup %s --detach goes on for them\n",
			membersText(result.Left), result.Group)
	}
	return result.Status, nil
}

// checkModes refuses flags that do not go together.
func (r *running) checkModes(args []string) error {
	if err := r.checkAccepted(wholeCgroup); err != nil {
		return err
	}
	var modes []string
	for _, flag := range [...]string{"pid", "cgroup", "container", "list", "stop"} {
		if r.given(flag) {
			modes = append(modes, "--"+flag)
		}
	}
	if len(args) > 0 {
		modes = append(modes, "a command")
	}
	group := r.given("pid") || r.given("cgroup") || r.given("container")
	switch {
	case len(modes) == 0:
		return usage("nothing is named to run: give a command, as tcpvet run -- python3 app.py, or --pid, --cgroup, --container, --list or --stop")
	case len(modes) > 1:
		return usage("%s: give one of them", strings.Join(modes, " and "))
	case r.detach && !group:
		return usage("--detach goes with --pid, --cgroup or --container")
	case len(r.accept) > 0 && !group:
		return usage("--accept-risk goes with --pid, --cgroup or --container")
	case r.out.format == "json" && !r.list && !r.detach && !r.given("stop"):
		return usage("-o json goes with --list, --detach and --stop")
	case (r.list || r.given("stop")) && (r.given("keepalive") || r.given("user-timeout") || r.given("source-pool")):
		return usage("--keepalive, --user-timeout and --source-pool say what new sockets get: leave them or %s out", modes[0])
	case r.given("pid") && (r.pid < 1 || r.pid > mostPID):
		return usage("--pid %d: expected a process ID from 1 to %d", r.pid, mostPID)
	case r.given("source-pool") && len(r.pool) == 0:
		return usage("--source-pool: expected addresses of this host, and it is empty")
	case r.given("cgroup") && r.cgroup == "", r.given("container") && r.container == "", r.given("stop") && r.stop == "":
		return usage("%s: expected a value, and it is empty", modes[0])
	}
	return nil
}

// options reads what new sockets get.
func (r *running) options() (o run.Options, err error) {
	if o.Timers, err = parseKeepalive(r.keepalive); err != nil {
		return o, err
	}
	o.Timers.UserTimeout = r.userTimeout
	for _, word := range r.pool {
		a, err := netip.ParseAddr(strings.Trim(word, "[]"))
		if err != nil {
			return o, usage("--source-pool %q: expected addresses of this host, separated by commas, as 10.0.0.5,10.0.0.6", word)
		}
		o.Pool = append(o.Pool, a)
	}
	err = o.Check()
	if e, ok := errors.AsType[*tcpvet.TimerError](err); ok {
		flag := "--user-timeout"
		if e.Timer != "user timeout" {
			flag = fmt.Sprintf("--keepalive %q: %s", r.keepalive, e.Timer)
		}
		return o, usage("%s %s: expected %s", flag, e.Value, e.Want)
	}
	return o, err
}

// parseKeepalive reads IDLE,INTERVAL,COUNT, where a time without a unit is in seconds;
// off gives the zero value.
func parseKeepalive(text string) (t tcpvet.Timers, err error) {
	if text == "off" {
		return t, nil
	}
	wrong := usage("--keepalive %q: expected IDLE,INTERVAL,COUNT as in 30s,3s,5, or off", text)
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return t, wrong
	}
	t.Keepalive = true
	for i, to := range [...]*time.Duration{&t.Idle, &t.Interval} {
		part := strings.TrimSpace(parts[i])
		if _, err := strconv.Atoi(part); err == nil {
			part += "s"
		}
		if *to, err = time.ParseDuration(part); err != nil {
			return tcpvet.Timers{}, wrong
		}
	}
	if t.Count, err = strconv.Atoi(strings.TrimSpace(parts[2])); err != nil {
		return tcpvet.Timers{}, wrong
	}
	return t, nil
}

// summary says what became of the connections.
func (r *running) summary(s *run.Summary) {
	if r.quiet {
		return
	}
	style := report.Style{Width: width(r.stdio.Err, 0)}
	for _, line := range s.Lines() {
		_ = report.Remark(r.stdio.Err, "tcpvet run: ", line, style) // the exit status is the command's own
	}
}
