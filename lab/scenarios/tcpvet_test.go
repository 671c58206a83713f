package scenarios

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe/path"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/run"
	"github.com/tcpvet/tcpvet/source"
)

// brokenVariable names a verb of tcpvetCommand that does nothing but say that it did; or
// hasty, for a fix that does what it was to plan.
const (
	brokenVariable = "TCPVET_LAB_BROKEN"
	hasty          = "hasty"
)

// tcpvetCommand does in this test binary what tcpvet does at the commands of the
// scenarios, by the same packages. The scripts of cmd/tcpvet run the command itself.
func tcpvetCommand(args []string) int {
	broken := os.Getenv(brokenVariable) == args[0]
	var err error
	switch args[0] {
	case "fix":
		err = fixCommand(args[1], args[2:], broken)
	case "run":
		var status int
		if status, err = runCommand(args[1:], broken); err == nil {
			return status
		}
	case "probe":
		err = probeCommand(args[1], args[2:], broken)
	default:
		err = fmt.Errorf("no scenario runs tcpvet %s", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tcpvet:", err)
		return 125
	}
	return 0
}

func fixCommand(what string, args []string, broken bool) error {
	f := flag.NewFlagSet(what, flag.ContinueOnError)
	pid := f.Int("pid", 0, "")
	state := f.String("state", "", "")
	olderThan := f.Duration("older-than", 0, "")
	t := tcpvet.Timers{Keepalive: true}
	f.DurationVar(&t.Idle, "idle", 0, "")
	f.DurationVar(&t.Interval, "interval", 0, "")
	f.IntVar(&t.Count, "count", 0, "")
	// What comes last is "dst ENDPOINT", and perhaps --apply.
	apply := slices.Contains(args, "--apply")
	if err := f.Parse(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--apply" })); err != nil {
		return err
	}
	if f.NArg() != 2 || f.Arg(0) != "dst" {
		return fmt.Errorf("read the filter: %q", f.Args())
	}
	to, err := netip.ParseAddrPort(f.Arg(1))
	if err != nil {
		return err
	}
	src, err := source.Open("auto")
	if err != nil {
		return err
	}
	by := remedy.Selection{
		Source: src, Query: source.Query{Want: tcpvet.FactHolders | tcpvet.FactInfo},
		Match: func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool {
			return int(s.Holder.PID) == *pid && s.Remote == to
		},
	}
	ctx := context.Background()
	var p *remedy.Plan
	switch {
	case what == "close" && *state == "close-wait":
		p, err = remedy.PlanClose(ctx, remedy.CloseOptions{Selection: by, States: tcpvet.SetOf(tcpvet.CloseWait), OlderThan: *olderThan})
	case what == "keepalive":
		p, err = remedy.PlanKeepalive(ctx, remedy.KeepaliveOptions{Selection: by, Timers: t})
	default:
		err = errors.New("no scenario asks for that")
	}
	if err != nil {
		return err
	}
	if apply && !broken || os.Getenv(brokenVariable) == hasty {
		if err := p.Apply(ctx, &remedy.Journal{}); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d changes\n  - notes\n", what, len(p.Changes))
	return nil
}

func probeCommand(what string, args []string, broken bool) error {
	f := flag.NewFlagSet("probe", flag.ContinueOnError)
	most := f.Duration("most", 0, "")
	timeout := f.Duration("timeout", 0, "")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(args[0])
	if err != nil || what != "idle" {
		return fmt.Errorf("probe %s %s: no scenario asks for that: %w", what, args[0], err)
	}
	if broken {
		fmt.Println("KEPT ALL THE TIME")
		return nil
	}
	i, err := path.Idle(context.Background(), path.Options{Target: args[0], Host: to.Addr().String(), Port: to.Port(), Timeout: *timeout, Steps: path.Ladder(*most)})
	if err != nil {
		return err
	}
	return report.ProbeIdle(os.Stdout, i, false, report.Style{Width: 100})
}

func runCommand(args []string, broken bool) (status int, err error) {
	var o run.Options
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.Func("keepalive", "", func(text string) error {
		parts := strings.Split(text, ",")
		if text == "off" || len(parts) != 3 {
			return nil
		}
		o.Timers.Keepalive = true
		var errs [3]error
		o.Timers.Idle, errs[0] = time.ParseDuration(parts[0])
		o.Timers.Interval, errs[1] = time.ParseDuration(parts[1])
		o.Timers.Count, errs[2] = strconv.Atoi(parts[2])
		return errors.Join(errs[:]...)
	})
	f.Func("source-pool", "", func(text string) error {
		for a := range strings.SplitSeq(text, ",") {
			o.Pool = append(o.Pool, netip.MustParseAddr(a))
		}
		return nil
	})
	if err := f.Parse(args); err != nil {
		return 0, err
	}
	if broken {
		cmd := exec.Command(f.Arg(0), f.Args()[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		err := cmd.Run()
		fmt.Fprintln(os.Stderr, "tcpvet run: none failed")
		return 0, err
	}
	r, err := run.Command{Args: f.Args(), Options: o}.Run()
	if r == nil {
		return 0, err
	}
	for _, line := range r.Summary.Lines() {
		fmt.Fprintln(os.Stderr, "tcpvet run:", line)
	}
	return r.Status, err
}
