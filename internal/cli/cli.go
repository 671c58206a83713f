// Package cli is the command line: one file per verb, which puts sources,
// rules and reports together and prints.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/lab/scenarios"
)

// IO is what a command reads and writes.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// The exit statuses. docs/json.md lists them by verb.
const (
	statusOK       = 0
	statusFindings = 1
	statusUsage    = 2
	statusBlind    = 3 // nothing could be looked at, or the input was cut
)

// exit is an error that decides the exit status. Its text is printed unless it
// is empty.
type exit struct {
	status int
	err    error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exit{statusUsage, fmt.Errorf(format, args...)}
}

// Main runs the command line args, without the program's name, and gives the
// exit status.
func Main(ctx context.Context, stdio IO, args []string) int {
	lab.Main(scenarios.All...)
	root := commandFor(stdio, args)
	root.SetArgs(args)
	return status(stdio, root.ExecuteContext(ctx))
}

// makers make the commands, each below the name of its verb.
var makers = [...]struct {
	verb    string
	command func(IO) *cobra.Command
}{
	{"diagnose", diagnoseCommand}, {"count", countCommand}, {"ls", lsCommand}, {"explain", explainCommand},
	{"budget", budgetCommand}, {"snapshot", snapshotCommand}, {"pcap", pcapCommand}, {"capture", captureCommand},
	{"why", whyCommand}, {"probe", probeCommand}, {"trace", traceCommand}, {"fix", fixCommand}, {"run", runCommand}, {"lab", labCommand}, {"demo", demoCommand}, {"version", versionCommand},
}

// Command gives the tree of verbs.
func Command(stdio IO) *cobra.Command {
	root := rootCommand(stdio)
	for _, m := range makers {
		root.AddCommand(m.command(stdio))
	}
	return root
}

// commandFor gives the tree, but with one verb alone where the arguments begin with
// it: most of what it takes to start is making the others.
func commandFor(stdio IO, args []string) *cobra.Command {
	for _, m := range makers {
		if len(args) > 0 && args[0] == m.verb {
			root := rootCommand(stdio)
			root.CompletionOptions.DisableDefaultCmd = true
			root.AddCommand(m.command(stdio))
			return root
		}
	}
	root := Command(stdio)
	strictCompletion(root)
	if len(args) > 0 && args[0] == cobra.ShellCompRequestCmd {
		plainUsage(root)
	}
	return root
}

func rootCommand(stdio IO) *cobra.Command {
	root := &cobra.Command{
		Use:   "tcpvet",
		Short: "vet the TCP connections of this host and its containers",
		Long: `tcpvet reads every TCP socket of this host and its containers, says what is
wrong with them, who does it, and what will and will not cure it.

It reads, and changes nothing, but by four verbs: fix, which shows what it would
change and does so with --apply alone; run, which gives the new sockets of a
program keepalive; and why and probe, which open connections. Every flag can also
be set by a variable, --port-range by TCPVET_PORT_RANGE, but those that let
something be changed.`,
		Example: `  tcpvet diagnose                        what is wrong here
  tcpvet count                           sockets by state
  tcpvet ls state close-wait             who holds what the peer has closed
  tcpvet why 10.0.3.7:8080               why it does not connect
  tcpvet trace --failures                what fails to connect from now on, and why
  tcpvet diagnose --from ticket.txt      judge what somebody pasted
  tcpvet fix close --pid 4121            what can be closed from outside: a plan
  tcpvet run -- python3 app.py           a program, its sockets kept alive
  tcpvet explain "errno 99"              cannot assign requested address
  tcpvet demo                            see the disease in a private namespace`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd) },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetIn(stdio.In)
	root.SetOut(stdio.Out)
	root.SetErr(stdio.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see %s --help", wrongValue(err), cmd.CommandPath())
	})
	root.SetHelpCommand(helpCommand())
	return root
}

// wrongValue says what a flag wants whose value cannot be read.
func wrongValue(err error) error {
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	want := map[string]string{
		"bool": "true or false", "duration": "a duration such as 30s or 5m", "float64": "a number",
		"int": "a whole number", "intSlice": "whole numbers, separated by commas", "uint": "a whole number of 0 or more",
	}[e.GetFlag().Value.Type()]
	if want == "" {
		return err
	}
	return fmt.Errorf("--%s %q: expected %s", e.GetFlag().Name, e.GetValue(), want)
}

// status prints err and gives the exit status that it means.
func status(stdio IO, err error) int {
	var e *exit
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stdio.Err, "tcpvet: interrupted")
		return statusBlind
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(stdio.Err, "tcpvet:", e.err)
		}
		return e.status
	}
	// What the system refused, as a write to a full disk, is no wrong usage.
	var refused syscall.Errno
	if errors.As(err, &refused) {
		fmt.Fprintln(stdio.Err, "tcpvet:", err)
		return statusBlind
	}
	fmt.Fprintln(stdio.Err, "tcpvet:", err)
	return statusUsage
}
