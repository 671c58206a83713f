package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func probeCommand(stdio IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "measure how long a server, or the way to it, keeps an idle connection",
		Long: `probe opens a few connections to a peer, leaves them idle, and watches what
becomes of them: measured, where one would otherwise look a limit up and trust it.

It is bounded in time, by --most, and in connections, all of which are open at the
same time: a limit of 75 s takes about 75 s to measure. Ctrl-C ends it, and what
was measured so far is told. It says what it cannot tell.

It measures from the network namespace that it runs in. From that of a process, say
in a container: nsenter -t PID -n tcpvet probe …

Exit status: 0 measured, 1 it does not fit what it was compared with, idle
connections are forgotten, or probes are not answered, 2 wrong usage, 3 it could not
be measured.`,
		Example: `  tcpvet probe http http://10.0.3.7:8080/health
  tcpvet probe idle 10.0.3.7:5432
  tcpvet probe keepalive 10.0.3.7:5432`,
		Args: noSuchProbe,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(probeHTTPCommand(stdio), probeIdleCommand(stdio), probeKeepaliveCommand(stdio))
	return cmd
}

func noSuchProbe(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("probe %q: expected one of %s; see tcpvet probe --help", args[0], strings.Join(verbs(cmd), ", "))
}
