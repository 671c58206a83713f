package cli

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/probe/live"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// asking holds the flags of why.
type asking struct {
	pid      int
	netns    string
	bind     string
	four     bool
	six      bool
	timeout  time.Duration
	attempts int

	pidGiven bool
}

// The most that why does for one address: it is to explain, not to load.
const (
	mostAttempts = 1000
	mostTimeout  = 10 * time.Minute
)

// mostName is the longest name that DNS carries, in characters (RFC 1035, section
// 3.1), with the dot that may end it.
const mostName = 254

func whyCommand(stdio IO) *cobra.Command {
	o := new(output)
	w := new(asking)
	cmd := &cobra.Command{
		Use:   "why HOST:PORT",
		Short: "try to connect, and explain why it fails, or how much room is left",
		Long: `why opens a connection to HOST:PORT as a program would, from here or in the
place of a process, and says why it fails: with the cause as a word (tcpvet
explain causes), the proof, and what helps. Where it connects it says how long
that took, how many local ports are left for that destination, and what a
connection will have of keepalive and timestamps.

HOST is an address or a name. With --pid the name is looked up in the hosts file
and the resolv.conf of that process's mount namespace, and the connection is
tried in its network namespace: localhost is then that of the container.

Nothing is sent but DNS questions, handshakes and orderly closes. An IPv6 address
stands in brackets: [::1]:80.

Exit status: 0 connected, 1 did not connect, 2 wrong usage, 3 could not try.`,
		Example: `  tcpvet why 10.0.3.7:8080
  tcpvet why localhost:80 --pid 4121     as that process sees it
  tcpvet why '[::1]:80' --netns blue
  tcpvet why db.internal:5432 --bind 10.0.0.5
  tcpvet why 10.0.3.7:8080 --attempts 20 -o json`,
		Args:              func(_ *cobra.Command, args []string) error { return oneTarget(args) },
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			w.pidGiven = cmd.Flags().Changed("pid")
			return why(cmd.Context(), stdio, o, w, args[0])
		},
	}
	f := cmd.Flags()
	f.IntVar(&w.pid, "pid", 0, "try in the network and mount namespaces of this process")
	f.StringVar(&w.netns, "netns", "", "try in this network namespace: self, a name, an inode or pid:N")
	f.StringVar(&w.bind, "bind", "", "bind to `ADDR[:PORT]` first, as a program that chooses its source does")
	f.BoolVarP(&w.four, "ipv4", "4", false, "only IPv4 addresses")
	f.BoolVarP(&w.six, "ipv6", "6", false, "only IPv6 addresses")
	f.DurationVar(&w.timeout, "timeout", 5*time.Second, "how long to wait for an answer to each attempt")
	f.IntVar(&w.attempts, "attempts", 1, "how often to try each address, one after the other")
	completeList(cmd, "netns", func() []string { return append([]string{"self"}, netnsNames()...) })
	o.flags(cmd, "table", "json")
	return cmd
}

func oneTarget(args []string) error {
	if len(args) != 1 {
		return usage("why takes one HOST:PORT, and %d words were given", len(args))
	}
	return nil
}

// question reads the target and the flags.
func (w *asking) question(target string) (live.Question, error) {
	q := live.Question{Target: target, Netns: w.netns, PID: w.pid, Timeout: w.timeout, Attempts: w.attempts}
	var err error
	if q.Host, q.Port, err = hostPort(target); err != nil {
		return q, err
	}
	switch {
	case w.pid < 0 || w.pid > mostPID || w.pidGiven && w.pid == 0:
		return q, usage("--pid %d: expected a process ID from 1 to %d", w.pid, mostPID)
	case w.pid != 0 && w.netns != "":
		return q, usage("--pid and --netns both say where to try: give one of them")
	case w.netns == "all" || strings.Contains(w.netns, ","):
		return q, usage("--netns %q: an attempt is made in one namespace", w.netns)
	case w.four && w.six:
		return q, usage("-4 and -6 leave no address: give one of them")
	case w.timeout <= 0 || w.timeout > mostTimeout:
		return q, usage("--timeout %s: expected more than 0 and at most %s", w.timeout, mostTimeout)
	case w.attempts < 1 || w.attempts > mostAttempts:
		return q, usage("--attempts %d: expected 1 to %d", w.attempts, mostAttempts)
	}
	if err := (&look{netns: w.netns}).checkNetns(); err != nil {
		return q, err
	}
	if w.four {
		q.Family = 4
	}
	if w.six {
		q.Family = 6
	}
	return q, w.source(&q)
}

// source reads --bind, which also settles the family.
func (w *asking) source(q *live.Question) error {
	if w.bind != "" {
		addr, err := netip.ParseAddr(strings.Trim(w.bind, "[]"))
		if err == nil {
			q.Bind = netip.AddrPortFrom(addr.Unmap(), 0)
		} else if q.Bind, err = netip.ParseAddrPort(w.bind); err != nil {
			return usage("--bind %q: expected an address as 10.0.0.5 or [::1], and :PORT behind it if need be", w.bind)
		}
		q.Bind = netip.AddrPortFrom(q.Bind.Addr().Unmap(), q.Bind.Port())
		family := 6
		if q.Bind.Addr().Is4() {
			family = 4
		}
		if q.Family != 0 && q.Family != family {
			return usage("--bind %s and -%d do not go together", w.bind, q.Family)
		}
		q.Family = family
	}
	if !ofFamily(q.Host, q.Family) {
		return usage("%s is not an IPv%d address, as -%d or --bind asks for", q.Host, q.Family, q.Family)
	}
	return nil
}

// ofFamily tells whether host is a name, or an address of the family: 4, 6, or 0 for either.
func ofFamily(host string, family int) bool {
	addr, err := netip.ParseAddr(host)
	return err != nil || family == 0 || (family == 4) == addr.Unmap().Is4()
}

// hostPort reads HOST:PORT.
func hostPort(target string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(target)
	if err != nil {
		return "", 0, usage("%q: expected HOST:PORT, as 10.0.3.7:8080, [::1]:80 or db.internal:5432", target)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, usage("%q: expected a port from 0 to 65535 behind the last colon, not %q", target, text)
	}
	if len(host) > mostName {
		return "", 0, usage("a name has at most %d characters, and %d stand before :%d", mostName, len(host), n)
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n/") {
		return "", 0, usage("%q: expected an address or a name before :%d", target, n)
	}
	return host, uint16(n), nil
}

func why(ctx context.Context, stdio IO, o *output, w *asking, target string) error {
	q, err := w.question(target)
	if err != nil {
		return err
	}
	a, err := live.Why(ctx, q)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if err != nil {
		return &exit{statusBlind, err}
	}
	if err := printWhy(stdio, o, a); err != nil {
		return err
	}
	if !a.Connected() {
		return &exit{status: statusFindings}
	}
	return nil
}

func printWhy(stdio IO, o *output, a *probe.Answer) error {
	if o.format == "json" {
		return document(stdio.Out, jsonv1.WhyOf(a))
	}
	return report.Why(stdio.Out, a, report.Style{Color: o.colored(stdio.Out), Width: width(stdio.Out, 100)})
}
