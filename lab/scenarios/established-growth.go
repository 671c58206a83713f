package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// EstablishedGrowth is a client that opens a connection for each request and keeps
// them all, towards a server that keeps them too.
var EstablishedGrowth = &lab.Scenario{
	Name:    "established-growth",
	Title:   "a pool without a bound: connections grow in number while the old ones lie idle",
	Source:  "RFC 9112, section 9.4; article: long connections instead of short ones",
	Claims:  []int{12},
	Expects: []string{"established-growth"},
	Acts:    []lab.Act{idleServer, rawClient},
	Play: func(ctx context.Context, s *lab.Stage) error {
		g := &growth{Stage: s}
		return inOrder(ctx, g.open, g.oneLook, g.grow, g.reuse)
	},
}

const (
	growthFirst = 20 // connections at the first look
	growthMore  = 40 // and after it
)

// growth is a play of EstablishedGrowth under way.
type growth struct {
	*lab.Stage
	client *lab.Process
	opened time.Time // the last of the first connections
}

func (g *growth) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "Some requests, and a connection for each"}
	server, err := startServer(ctx, g.Host, stock)
	if err != nil {
		return err
	}
	if g.client, err = g.Host.Start(rawClient, "shop-client", "http://"+stock.String()+"/stock"); err != nil {
		return err
	}
	if err := g.leak(ctx, growthFirst); err != nil {
		return err
	}
	g.opened = time.Now()
	ends, err := g.counted(ctx, growthFirst)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("stock-server (process %s) listens on %s. It sends no idle client away.", step.ID("server_pid", server.PID), stock),
		fmt.Sprintf("shop-client (process %s) makes %s requests, one after the other. Each is answered in full, and each has a connection of its own, that stays open and is not used again: "+
			"a client object per request, or a pool to which nothing is given back.", step.ID("client_pid", g.client.PID), step.Count("requests_count", growthFirst)),
	}
	step.Shown = []string{"Both ends are in order:"}
	g.Tell(step)
	return nil
}

// leak makes requests over connections that are kept.
func (g *growth) leak(ctx context.Context, n int) error {
	var l leaked
	if err := g.client.Cue(ctx, clientLeak, leakOrder{To: stock, Limit: n}, &l); err != nil {
		return err
	}
	if l.Failure != nil {
		return fmt.Errorf("request %d to %s: %v", l.Opened+1, stock, l.Failure)
	}
	return nil
}

func (g *growth) counted(ctx context.Context, n uint64) (lab.Ends, error) {
	return g.Settled(ctx, stock, "the connections to be open", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == n && e.Server[tcpvet.Established] == n
	})
}

// oneLook judges without an earlier look.
func (g *growth) oneLook(ctx context.Context) error {
	step := lab.Step{Name: "one-look", Title: "One look finds nothing"}
	if err := lab.Wait(ctx, g.Patience); err != nil {
		return err
	}
	if err := g.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("The client does nothing for %s.", step.Seconds("idle_seconds", time.Since(g.opened)))}
	step.Means = []string{"That many open connections which idle are an ordinary pool, as far as one look tells."}
	g.Tell(step)
	return nil
}

// grow goes on between two looks.
func (g *growth) grow(ctx context.Context) error {
	step := lab.Step{Name: "two-looks", Title: "Two looks do"}
	before, err := g.Before(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := g.leak(ctx, growthMore); err != nil {
		return err
	}
	took := time.Since(begin)
	ends, err := g.counted(ctx, growthFirst+growthMore)
	if err != nil {
		return err
	}
	step.Ends = &ends
	err = g.Judge(ctx, &step, lab.Expect{
		Before: before,
		Rules:  []string{"established-growth"},
		Of:     map[string]lab.Particulars{"established-growth": {Kind: "client", Service: stock}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("After a first look the client makes %s more requests, in %s. Then comes the second look: tcpvet diagnose --interval.",
		step.Count("more_requests_count", growthMore), step.Seconds("more_seconds", took))}
	step.Shown = []string{fmt.Sprintf("Not one of the %s connections that were there was used for them. The sockets:", step.Count("idle_count", growthFirst))}
	step.Means = []string{
		"A pool opens a connection when none is idle. Here all were, and still there are more: the number follows the requests, and ends where the local ports or the descriptors do. " +
			"The server has the same number, and may run out of descriptors first.",
	}
	g.Tell(step)
	return nil
}

// reuse makes the same requests over one connection.
func (g *growth) reuse(ctx context.Context) error {
	step := lab.Step{Name: "reuse", Title: "The client as it should be"}
	before, err := g.Before(ctx)
	if err != nil {
		return err
	}
	var r reused
	if err := g.client.Cue(ctx, clientReuse, reuseOrder{To: stock, Times: growthMore}, &r); err != nil {
		return err
	}
	if err := g.Judge(ctx, &step, lab.Expect{Before: before}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("Between two more looks it makes %s requests over %s connection.", step.Count("reused_requests_count", r.Answered), step.Count("reused_connections_count", r.Connections))}
	step.Means = []string{
		"The article advises long connections instead of short ones, and that is right as far as they are used again. A connection that is long and used once costs a port and two descriptors for good: " +
			"share one client object, bound its pool, and give each connection back on every path.",
	}
	g.Tell(step)
	return nil
}
