package cli

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/probe/path"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// probingPath holds the flags of probe idle and probe keepalive.
type probingPath struct {
	most      time.Duration
	steps     []time.Duration
	timeout   time.Duration
	write     string
	four, six bool
	probes    int

	mostGiven bool
}

const (
	mostSteps  = 10
	mostProbes = 100
	mostWrite  = 1 << 16 // characters: it is one request
)

func probeIdleCommand(stdio IO) *cobra.Command {
	o := new(output)
	p := new(probingPath)
	cmd := &cobra.Command{
		Use:   "idle HOST:PORT",
		Short: "measure how long the way to a peer keeps a connection on which nothing is sent",
		Long: `idle opens up to 20 connections to HOST:PORT, leaves each idle for longer than the
last, and then asks each whether it is still known: by a keepalive probe, a segment
without data that the kernel of the peer answers. So it measures any TCP service,
and sends no data unless --write says what. As soon as one is lost all others are
asked, among them some that were idle for a little less, so that the limit is
enclosed closely and takes about as long to measure as it is.

A connection survived, or was answered by RST, or not at all; or the server closed it
by itself (FIN), which is its own limit and no middlebox's: with --write its limit for
a connection that was used, without it maybe its patience for who says nothing. Where
the way has a limit it gives keepalive that stays inside of it, for tcpvet run, tcpvet
fix keepalive and sysctl. tcpvet diagnose --probe judges the connections of this host by what was
measured: keep it with -o json.

It needs no privilege. What a server's own keepalive keeps open cannot be measured,
and it says so. A server may keep its ends of the connections that were lost on the
way until it notices: they are as many as were lost, 20 at most.

Exit status: 0 no connection was lost, but by the server's closing it; 1 idle
connections are forgotten; 2 wrong usage; 3 it could not be measured.`,
		Example: `  tcpvet probe idle 10.0.3.7:5432
  tcpvet probe idle db.internal:5432 --most 20m
  tcpvet probe idle 10.0.3.7:5432 --steps 1m,5m,10m
  tcpvet probe idle 10.0.3.7:8080 --write 'GET / HTTP/1.1\r\nHost: shop\r\n\r\n'
  tcpvet probe idle 10.0.3.7:5432 -o json > way.json; tcpvet diagnose --probe way.json`,
		Args:              func(_ *cobra.Command, args []string) error { return oneProbed("idle", args) },
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.mostGiven = cmd.Flags().Changed("most")
			return p.idle(cmd.Context(), stdio, o, args[0])
		},
	}
	f := cmd.Flags()
	f.DurationVar(&p.most, "most", 6*time.Minute, "leave connections idle for no longer than this")
	f.DurationSliceVar(&p.steps, "steps", nil, "leave connections idle for just these `DURATIONS`, rising, separated by commas")
	f.StringVar(&p.write, "write", "", `send this `+"`TEXT`"+` on each connection first; \r \n \t \\ and \x00 stand for bytes`)
	byHand(cmd, "write") // other verbs have one that means something else, and this one sends
	p.flags(cmd)
	o.flags(cmd, "table", "wide", "json")
	return cmd
}

// flags adds those that probe idle and probe keepalive share.
func (p *probingPath) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.DurationVar(&p.timeout, "timeout", 5*time.Second, "how long to wait for a handshake, and for the answer to a probe")
	f.BoolVarP(&p.four, "ipv4", "4", false, "only IPv4 addresses")
	f.BoolVarP(&p.six, "ipv6", "6", false, "only IPv6 addresses")
}

func oneProbed(verb string, args []string) error {
	if len(args) != 1 {
		return usage("probe %s takes one HOST:PORT, and %d words were given", verb, len(args))
	}
	return nil
}

// options reads the target and the flags that both verbs have.
func (p *probingPath) options(target string) (o path.Options, err error) {
	o = path.Options{Target: target, Timeout: p.timeout, Probes: p.probes}
	if o.Host, o.Port, err = hostPort(target); err != nil {
		return o, err
	}
	switch {
	case p.four && p.six:
		return o, usage("-4 and -6 leave no address: give one of them")
	case p.timeout < leastProbeTime || p.timeout > mostTimeout:
		return o, usage("--timeout %s: expected %s to %s", p.timeout, leastProbeTime, vet.ShellDuration(mostTimeout))
	}
	if p.four {
		o.Family = 4
	}
	if p.six {
		o.Family = 6
	}
	if !ofFamily(o.Host, o.Family) {
		return o, usage("%s is not an IPv%d address, as -%d asks for", o.Host, o.Family, o.Family)
	}
	return o, nil
}

// schedule reads for how long to be idle, and what to write.
func (p *probingPath) schedule(o *path.Options) (err error) {
	if p.most < path.Least || p.most > mostProbeTime {
		return usage("--most %s: expected %s to %s", p.most, path.Least, vet.ShellDuration(mostProbeTime))
	}
	if o.Write, err = escaped(p.write); err != nil {
		return err
	}
	if o.Steps = path.Ladder(p.most); len(p.steps) == 0 {
		return nil
	}
	if p.mostGiven {
		return usage("--most and --steps both say for how long: give one of them")
	}
	if len(p.steps) > mostSteps {
		return usage("--steps: expected at most %d, not %d: each is a connection", mostSteps, len(p.steps))
	}
	before := time.Duration(0)
	for _, s := range p.steps {
		if s < path.Least || s > mostProbeTime {
			return usage("--steps %s: expected %s to %s", s, path.Least, vet.ShellDuration(mostProbeTime))
		}
		if s <= before {
			return usage("--steps: %s comes after %s: expected rising ones", s, before)
		}
		before = s
	}
	o.Steps = p.steps
	return nil
}

// escaped reads the text of --write.
func escaped(text string) ([]byte, error) {
	if len(text) > mostWrite {
		return nil, usage("--write: expected at most %d characters, not %d", mostWrite, len(text))
	}
	var out []byte
	for rest := text; rest != ""; {
		r, multibyte, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			return nil, usage("--write %q: at %q: expected \\r, \\n, \\t, \\\\, \\x and two hexadecimal digits, or plain text", text, rest[:min(len(rest), 4)])
		}
		if multibyte {
			out = append(out, string(r)...)
		} else {
			out = append(out, byte(r))
		}
		rest = tail
	}
	return out, nil
}

func (p *probingPath) idle(ctx context.Context, stdio IO, o *output, target string) error {
	options, err := p.options(target)
	if err == nil {
		err = p.schedule(&options)
	}
	if err != nil {
		return err
	}
	var last atomic.Pointer[path.Progress]
	last.Store(&path.Progress{Most: options.Steps[len(options.Steps)-1]})
	options.Tell = func(p path.Progress) { last.Store(&p) }
	end := func() {}
	if terminal(stdio.Err) {
		end = sayEachSecond(stdio.Err, func(took time.Duration) string { return probeIdleLine(took, last.Load()) })
	}
	i, err := path.Idle(ctx, options)
	end()
	if err != nil {
		return unreached(ctx, target, err)
	}
	if o.format == "json" {
		err = document(stdio.Out, jsonv1.ProbeIdleOf(i))
	} else {
		err = report.ProbeIdle(stdio.Out, i, o.format == "wide", report.Style{Color: o.colored(stdio.Out), Width: width(stdio.Out, 100)})
	}
	if err != nil {
		return err
	}
	_, _, measured := i.Path()
	_, closes := i.Server()
	switch {
	case i.Forgets():
		return &exit{status: statusFindings}
	case i.Interrupted:
		return ctx.Err()
	case !measured && !closes:
		return &exit{status: statusBlind}
	}
	return nil
}

// unreached says that nothing was measured, and who knows why.
func unreached(ctx context.Context, target string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &exit{statusBlind, fmt.Errorf("%w: tcpvet why %s explains it", err, vet.Quote(target))}
}

// probeIdleLine says how far the measurement has come.
func probeIdleLine(took time.Duration, p *path.Progress) string {
	line := fmt.Sprintf("probing: %.0f s of at most %s, %d connections idle", took.Seconds(), vet.Duration(p.Most), p.Open)
	if p.Asked > 0 {
		line += fmt.Sprintf(", %d asked", p.Asked)
	}
	return line
}
