package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// crowd is a process that plays socketCrowd.
type crowd struct{ *lab.Process }

// startCrowd starts a process for a service. No signal of Go's scheduler is to end
// one of its calls early.
func startCrowd(on *lab.Host, own lab.Setup, name string, service netip.AddrPort) (crowd, error) {
	own.Env = append(own.Env, "GODEBUG=asyncpreemptoff=1")
	p, err := on.StartWith(own, socketCrowd, name, service.String())
	return crowd{p}, err
}

// try makes calls, of which some may fail: see many.Failure.
func (c crowd) try(ctx context.Context, cue string, order any) (m many, err error) {
	err = c.Cue(ctx, cue, order, &m)
	return m, err
}

// must makes calls that have to succeed.
func (c crowd) must(ctx context.Context, cue string, order any) (many, error) {
	m, err := c.try(ctx, cue, order)
	if err == nil && m.Failure != nil {
		err = fmt.Errorf("%s[%d]: %s: after %d: %v (%s)", c.Name, c.PID, cue, m.Count, m.Failure, m.Failure.name())
	}
	return m, err
}

// crowds is a client and a server with many connections between them.
type crowds struct {
	service        netip.AddrPort
	client, server crowd
}

// startCrowds starts both, and has the server listen.
func startCrowds(ctx context.Context, client, server *lab.Host, service netip.AddrPort, backlog int) (c crowds, err error) {
	c.service = service
	if c.server, err = startCrowd(server, lab.Setup{}, "stock-server", service); err != nil {
		return c, err
	}
	if _, err = c.server.must(ctx, crowdListen, listenOrderOf{service, backlog}); err != nil {
		return c, err
	}
	c.client, err = startCrowd(client, lab.Setup{}, "shop-client", service)
	return c, err
}

// connect opens n connections to a service of the server, which accepts them.
func (c *crowds) connect(ctx context.Context, to netip.AddrPort, n int) (many, error) {
	opened, err := c.client.must(ctx, crowdConnect, connectOrder{To: to, Count: n})
	if err != nil {
		return opened, err
	}
	_, err = c.server.must(ctx, crowdAccept, acceptOrder{On: to, Count: n})
	return opened, err
}

// introduce tells who takes part.
func (c *crowds) introduce(step *lab.Step) {
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) listens on %s. shop-client (process %s) will connect to it.",
		step.ID("server_pid", c.server.PID), c.service, step.ID("client_pid", c.client.PID)))
}

// tunnelCrowds makes a host for the server, joined by a tunnel, and starts both.
func tunnelCrowds(ctx context.Context, s *lab.Stage, step *lab.Step, backlog int) (c crowds, server *lab.Host, tunnel *lab.Tunnel, err error) {
	if server, err = s.NewHost(ctx, "server"); err != nil {
		return c, nil, nil, err
	}
	if tunnel, err = s.Tunnel(ctx, s.Host, server, lab.LinkOptions{}); err != nil {
		return c, nil, nil, err
	}
	if c, err = startCrowds(ctx, s.Host, server, netip.AddrPortFrom(tunnel.B.Addr4, 8080), backlog); err != nil {
		return c, nil, nil, err
	}
	step.Done = append(step.Done, fmt.Sprintf("The client's host has the address %s, the server's %s. Every packet between them goes through the stage, which can lose it.",
		tunnel.A.Addr4, tunnel.B.Addr4))
	c.introduce(step)
	return c, server, tunnel, nil
}

// closeInTurn closes all connections of a service at the client, and, once its FINs
// have come, at the server: a server that is quicker would be in TIME-WAIT too.
func (c *crowds) closeInTurn(ctx context.Context, s *lab.Stage, service netip.AddrPort) error {
	closed, err := c.client.must(ctx, crowdClose, crowdOf{service})
	if err != nil {
		return err
	}
	return c.closeSecond(ctx, s, service, closed.Count)
}

// closeSecond closes n connections of a service at the server, once the client's
// FINs have come.
func (c *crowds) closeSecond(ctx context.Context, s *lab.Stage, service netip.AddrPort, n int) error {
	_, err := s.Settled(ctx, service, "the client's FINs to arrive", func(e lab.Ends) bool { return e.Server[tcpvet.CloseWait] == uint64(n) })
	if err != nil {
		return err
	}
	_, err = c.server.must(ctx, crowdClose, crowdOf{service})
	return err
}

// judgeEach judges a moment at which a rule has to find several things. The verdicts
// are alike, so that the step shows only the last one, and each that is no match.
func judgeEach(ctx context.Context, s *lab.Stage, step *lab.Step, e lab.Expect, rule string, each ...lab.Particulars) error {
	before := len(step.Judged)
	for _, p := range each {
		e.Of = map[string]lab.Particulars{rule: p}
		if err := s.Judge(ctx, step, e); err != nil {
			return err
		}
	}
	judged := step.Judged[before:]
	last := judged[len(judged)-1]
	step.Judged = append(step.Judged[:before], slices.DeleteFunc(judged, func(j *lab.Judged) bool {
		return j != last && !slices.ContainsFunc(j.Views, func(v lab.View) bool { return len(v.Mismatches) > 0 })
	})...)
	return nil
}

// allAre says what the connections of a service have to be: so many in one state at
// the client's end, so many in one at the server's, and no others.
func allAre(n uint64, client tcpvet.State, m uint64, server tcpvet.State) func(lab.Ends) bool {
	var want lab.Ends
	want.Client[client], want.Server[server] = n, m
	return func(e lab.Ends) bool { return e.Client == want.Client && e.Server == want.Server }
}

// fromPort matches what one connection of a client sends and gets.
func fromPort(port uint16) lab.Match { return lab.OnPort(port, lab.AnySegment) }

// at gives the time of a segment.
func at(c *lab.Crossing) time.Time { return time.Unix(0, c.Segment.At) }
