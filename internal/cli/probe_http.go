package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/probe/server"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// probingHTTP holds the flags of probe http.
type probingHTTP struct {
	most        time.Duration
	timeout     time.Duration
	clientIdle  time.Duration
	compares    bool // --client-idle was given
	connections int
	requests    int
	method      string
	header      []string
	insecure    bool
	http1, h2   bool
}

// What probe http may be told at most: it is to measure, and not to load.
const (
	mostProbeTime        = 24 * time.Hour
	leastProbeTime       = 100 * time.Millisecond
	mostProbeConnections = 64
	mostProbeRequests    = 100_000
)

func probeHTTPCommand(stdio IO) *cobra.Command {
	o := new(output)
	p := new(probingHTTP)
	cmd := &cobra.Command{
		Use:   "http URL",
		Short: "measure how long a server keeps an idle HTTP connection, and how it ends it",
		Long: `http makes a request on each of a few connections, leaves them idle, and watches
what becomes of them. Some are asked again on the way, and some shortly before the
first one is expected to end: a request that was answered proves that the server
kept the connection so long. So the limit is enclosed, and takes about as long to
measure as it is. On another connection requests are made one after the other until
the server ends it.

It says how long an idle connection is kept, by what it is ended (FIN, RST, TLS's
close_notify, GOAWAY, an answer such as 408), whether what the server announces
in Keep-Alive is true, how many requests a connection is given, and which clients
are too patient for it by their defaults. --client-idle names the limit of one
that you have.

Requests are GET or HEAD of that URL, over HTTP/1.1, or HTTP/2 where TLS is spoken
and the server chooses it. Redirects are not followed, and no proxy is used. With
a status such as 404 it measures as well.

Exit status: 0 measured; 1 --client-idle is too long for it; 2 wrong usage; 3 it
could not be measured, or not told whether --client-idle fits.`,
		Example: `  tcpvet probe http http://10.0.3.7:8080/health
  tcpvet probe http https://shop.internal/ --client-idle 90s
  tcpvet probe http http://10.0.3.7:8080/ --most 10m --method HEAD
  tcpvet probe http https://10.0.3.7/ --insecure --header 'Host: shop.internal'
  tcpvet probe http http://127.0.0.1:3000/ -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("probe http takes one URL, and %d words were given", len(args))
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.compares = cmd.Flags().Changed("client-idle")
			return p.run(cmd.Context(), stdio, o, args[0])
		},
	}
	f := cmd.Flags()
	f.DurationVar(&p.most, "most", 2*time.Minute, "leave connections idle for no longer than this")
	f.DurationVar(&p.clientIdle, "client-idle", 0, "judge a client that gives up an idle connection after this")
	f.DurationVar(&p.timeout, "timeout", 10*time.Second, "how long to wait for a connection, and for each answer")
	f.IntVar(&p.connections, "connections", 14, "leave so many connections idle")
	f.IntVar(&p.requests, "requests", 1100, "make no more requests than this on one connection; 0 for none")
	f.StringVar(&p.method, "method", http.MethodGet, "the method of the requests: GET or HEAD")
	f.StringArrayVarP(&p.header, "header", "H", nil, "send this `LINE` with each request: 'Name: value'; repeatable")
	f.BoolVar(&p.insecure, "insecure", false, "take any certificate")
	f.BoolVar(&p.http1, "http1", false, "speak HTTP/1.1 also where the server would choose HTTP/2")
	f.BoolVar(&p.h2, "h2", false, "speak HTTP/2, and nothing else")
	byHand(cmd, "header")
	byHand(cmd, "insecure")
	complete(cmd, "method", http.MethodGet, http.MethodHead)
	o.flags(cmd, "table", "wide", "json")
	return cmd
}

// options reads URL and flags.
func (p *probingHTTP) options(target string) (o server.Options, err error) {
	o = server.Options{
		Method: p.method, Insecure: p.insecure, Header: http.Header{"User-Agent": {"tcpvet"}, "Accept": {"*/*"}},
		Most: p.most, Timeout: p.timeout, Connections: p.connections, Requests: p.requests, ClientIdle: p.clientIdle,
	}
	switch {
	case p.most < leastProbeTime || p.most > mostProbeTime:
		return o, usage("--most %s: expected %s to %s", p.most, leastProbeTime, vet.ShellDuration(mostProbeTime))
	case p.timeout < leastProbeTime || p.timeout > mostTimeout:
		return o, usage("--timeout %s: expected %s to %s", p.timeout, leastProbeTime, vet.ShellDuration(mostTimeout))
	case p.compares && p.clientIdle <= 0:
		return o, usage("--client-idle %s: expected more than 0", p.clientIdle)
	case p.clientIdle >= p.most:
		return o, usage("--client-idle %s is not below --most %s, up to which it is measured: give --most %s", p.clientIdle, vet.ShellDuration(p.most), vet.ShellDuration(atLeastMost(p.clientIdle)))
	case p.connections < server.LeastConnections || p.connections > mostProbeConnections:
		return o, usage("--connections %d: expected %d to %d", p.connections, server.LeastConnections, mostProbeConnections)
	case p.requests < 0 || p.requests > mostProbeRequests:
		return o, usage("--requests %d: expected 0 to %d", p.requests, mostProbeRequests)
	case p.method != http.MethodGet && p.method != http.MethodHead:
		return o, usage("--method %q: expected GET or HEAD, which change nothing", p.method)
	case p.http1 && p.h2:
		return o, usage("--http1 and --h2 leave nothing to speak: give one of them")
	}
	for _, line := range p.header {
		name, value, err := server.ParseField(line)
		if err != nil {
			return o, usage("--header: %w", err)
		}
		if name == "User-Agent" || name == "Accept" {
			o.Header.Del(name)
		}
		o.Header.Add(name, value)
	}
	if o.URL, err = server.ParseURL(target); err != nil {
		return o, &exit{statusUsage, err}
	}
	switch {
	case p.http1:
		o.Protocol = server.HTTP1
	case p.h2 && o.URL.Scheme == "http":
		return o, usage("--h2: HTTP/2 is measured over TLS alone: give a URL with https://")
	case p.h2:
		o.Protocol = server.HTTP2
	}
	return o, nil
}

// atLeastMost gives a --most that a client's limit can be judged by.
func atLeastMost(client time.Duration) time.Duration {
	return (client + client/5 + 5*time.Second).Truncate(time.Second)
}

func (p *probingHTTP) run(ctx context.Context, stdio IO, o *output, target string) error {
	options, err := p.options(target)
	if err != nil {
		return err
	}
	m := server.New(options)
	end := func() {}
	if terminal(stdio.Err) {
		end = sayEachSecond(stdio.Err, func(took time.Duration) string { return probeHTTPLine(took, m.Progress(), options.Most) })
	}
	h, err := m.Run(ctx)
	end()
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return &exit{statusBlind, err}
	}
	if err := printProbeHTTP(stdio, o, h); err != nil {
		return err
	}
	k, measured := h.Keeping()
	switch fit := h.Fits(h.ClientIdle); {
	case h.Stopped && !k.Found():
		return ctx.Err()
	case !measured && !h.Answer.Close:
		return &exit{status: statusBlind}
	case h.ClientIdle > 0 && fit == probe.FitTooLong:
		return &exit{status: statusFindings}
	case h.ClientIdle > 0 && fit == probe.FitUnknown:
		return &exit{status: statusBlind}
	}
	return nil
}

func printProbeHTTP(stdio IO, o *output, h *probe.HTTP) error {
	if o.format == "json" {
		return document(stdio.Out, jsonv1.ProbeHTTPOf(h))
	}
	return report.ProbeHTTP(stdio.Out, h, o.format == "wide", report.Style{Color: o.colored(stdio.Out), Width: width(stdio.Out, 100)})
}

// probeHTTPLine says how far the measurement has come.
func probeHTTPLine(took time.Duration, p server.Progress, most time.Duration) string {
	line := fmt.Sprintf("probing: %.0f s of at most %s, %d connections open", took.Seconds(), vet.Duration(most), p.Open)
	if p.Ended > 0 {
		line += fmt.Sprintf(", %d ended", p.Ended)
	}
	if p.Survived > 0 {
		line += fmt.Sprintf(", answered after %s", vet.Duration(p.Survived))
	}
	if p.Requests > 0 {
		line += fmt.Sprintf(", %d requests on one", p.Requests)
	}
	return line
}
