package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/lab"
)

// BoundPorts is a program that binds sockets and forgets them.
var BoundPorts = &lab.Scenario{
	Name:        "bound-ports",
	Title:       "sockets that are merely bound keep local ports from everybody",
	Source:      "bind(2), ip(7); kernel functions inet_csk_get_port and __inet_hash_connect",
	Needs:       []lab.Need{lab.Feature("a list of bound sockets", kernel.BoundInactive)},
	Expects:     []string{"bound-ports"},
	Acts:        []lab.Act{idleServer, portTaker},
	Descriptors: holdsPorts(1),
	Constants:   []string{"port 0"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		ports := portsOf(s.Ports)
		b := &bound{Stage: s, ports: ports, some: ports * 2 / 5}
		return inOrder(ctx, b.open, b.part, b.whole, b.closed)
	},
}

// bound is a play of BoundPorts under way.
type bound struct {
	*lab.Stage
	ports, some int
	holder      *lab.Process // binds
	client      *lab.Process // connects
}

func (b *bound) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "Two programs on one host"}
	if err := setRange(&step, b.Host, b.ports); err != nil {
		return err
	}
	server, err := startServer(ctx, b.Host, stock)
	if err != nil {
		return err
	}
	if b.holder, err = b.Host.Start(portTaker, "scanner", "--source", stock.Addr().String()); err != nil {
		return err
	}
	if b.client, err = b.Host.Start(portTaker, "shop-client", stock.String()); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) listens on %s. shop-client (process %s) will connect to it. scanner (process %s) has nothing to do with either.",
		step.ID("server_pid", server.PID), stock, step.ID("client_pid", b.client.PID), step.ID("holder_pid", b.holder.PID)))
	b.Tell(step)
	return nil
}

// bind has the holder bind n sockets.
func (b *bound) bind(ctx context.Context, n int) (r taken, err error) {
	err = b.holder.Cue(ctx, takerTake, takeOrder{Count: n, Bind: stock.Addr()}, &r)
	return r, err
}

// connect has the client connect once.
func (b *bound) connect(ctx context.Context) (r taken, err error) {
	err = b.client.Cue(ctx, takerTake, takeOrder{Count: 1, To: stock}, &r)
	return r, err
}

// listed counts the sockets that are merely bound.
func (b *bound) listed(ctx context.Context) (n int, err error) {
	sockets, err := b.Sockets(ctx, b.Host)
	for i := range sockets {
		if sockets[i].State == tcpvet.BoundInactive {
			n++
		}
	}
	return n, err
}

func (b *bound) part(ctx context.Context) error {
	step := lab.Step{Name: "part", Title: "bind() without connect() or listen()"}
	r, err := b.bind(ctx, b.some)
	if err != nil {
		return err
	}
	if r.Failure != nil {
		return fmt.Errorf("bind socket %d: %v", r.Count+1, r.Failure)
	}
	listed, err := b.listed(ctx)
	if err != nil {
		return err
	}
	if err := exactly("sockets that are merely bound", listed, b.some); err != nil {
		return err
	}
	err = b.Judge(ctx, &step, lab.Expect{
		Rules: []string{"bound-ports"},
		Of:    map[string]lab.Particulars{"bound-ports": {Severity: tcpvet.Warning}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("scanner opens %s sockets, calls bind() with the address %s and port 0 for each, and does nothing more with them, as a program does whose connect() failed and that forgot to close.",
		step.Count("bound_count", r.Count), stock.Addr())}
	step.Shown = []string{fmt.Sprintf("The kernel lists %s sockets as bound and inactive. It does so since Linux 6.8, where it is asked for them; /proc/net/tcp and older tools show none.",
		step.Count("listed_count", listed))}
	step.Means = []string{"No connection is there, and a good part of the range is gone for everybody: for each destination, and from each local address."}
	b.Tell(step)
	return nil
}

func (b *bound) whole(ctx context.Context) error {
	step := lab.Step{Name: "whole", Title: "The whole range"}
	r, err := b.bind(ctx, b.ports)
	if err != nil {
		return err
	}
	if err := failsBy(r.Failure, "bind", "EADDRINUSE"); err != nil {
		return err
	}
	if err := exactly("bound sockets over the ports of the range", b.some+r.Count, b.ports); err != nil {
		return err
	}
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	if err := failsBy(c.Failure, "connect", "EADDRNOTAVAIL"); err != nil {
		return err
	}
	ends, err := b.Ends(ctx, stock)
	if err != nil {
		return err
	}
	if ends != (lab.Ends{Service: stock}) {
		return fmt.Errorf("there are connections to %s: %v", stock, ends)
	}
	step.Done = []string{fmt.Sprintf("scanner goes on until bind() fails, after %s more. Then shop-client connects to %s.", step.Count("more_count", r.Count), stock)}
	step.Shown = []string{
		fmt.Sprintf("scanner: %v (errno %s, %s)", r.Failure, step.ID("bind_errno", r.Failure.Errno), r.Failure.name()),
		"shop-client: " + told(&step, c.Failure),
	}
	step.Means = []string{"shop-client has not one connection, and cannot open one. A count of connections finds nothing: the ports are held by sockets that have no remote end."}
	b.Tell(step)
	return nil
}

func (b *bound) closed(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "Closed sockets give their ports back at once"}
	var all taken
	if err := b.holder.Cue(ctx, takerRelease, struct{}{}, &all); err != nil {
		return err
	}
	if err := exactly("sockets closed", all.Count, b.ports); err != nil {
		return err
	}
	c, err := b.connect(ctx)
	if err != nil {
		return err
	}
	if c.Failure != nil {
		return fmt.Errorf("connect after the bound sockets were closed: %v", c.Failure)
	}
	if err := b.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("scanner closes all %s sockets, and shop-client connects again.", step.Count("closed_count", all.Count))}
	step.Shown = []string{fmt.Sprintf("It succeeds, from local port %s.", step.ID("client_port", int(c.Low)))}
	step.Means = []string{"What was merely bound leaves no TIME-WAIT. Where only the source address matters, IP_BIND_ADDRESS_NO_PORT keeps bind() from taking a port at all."}
	b.Tell(step)
	return nil
}
