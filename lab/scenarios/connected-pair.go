package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// caller is a process that plays socketCalls.
type caller struct{ *lab.Process }

// startCaller starts a process for a service. No signal of Go's scheduler is to
// end one of its calls early.
func startCaller(on *lab.Host, name string, service netip.AddrPort) (caller, error) {
	p, err := on.StartWith(lab.Setup{Env: []string{"GODEBUG=asyncpreemptoff=1"}}, socketCalls, name, service.String())
	return caller{p}, err
}

// try makes calls, which may fail: see returned.Failure.
func (c caller) try(ctx context.Context, cue string, order any) (r returned, err error) {
	err = c.Cue(ctx, cue, order, &r)
	return r, err
}

// must makes calls that have to succeed.
func (c caller) must(ctx context.Context, cue string, order any) (returned, error) {
	r, err := c.try(ctx, cue, order)
	if err == nil && r.Failure != nil {
		err = fmt.Errorf("%s[%d]: %v (%s)", c.Name, c.PID, r.Failure, r.Failure.name())
	}
	return r, err
}

// mustFail makes calls of which one has to fail in a certain way.
func (c caller) mustFail(ctx context.Context, cue string, order any, call, errno string) (returned, error) {
	r, err := c.try(ctx, cue, order)
	switch {
	case err != nil:
	case r.Failure == nil:
		err = fmt.Errorf("%s[%d]: %s succeeded, and was to fail with %s", c.Name, c.PID, call, errno)
	case r.Failure.Call != call || r.Failure.name() != errno:
		err = fmt.Errorf("%s[%d]: %v (%s), where %s was to fail with %s", c.Name, c.PID, r.Failure, r.Failure.name(), call, errno)
	}
	return r, err
}

// connectedPair is a client and a server, each on a host, with a connection
// between them.
type connectedPair struct {
	service        netip.AddrPort
	client, server caller
	from           netip.AddrPort // the client's endpoint

	// Descriptors: of the connection in the client and in the server, and
	// of the listener.
	inClient, inServer, listener int
}

// connectPair starts both and connects them.
func connectPair(ctx context.Context, client, server *lab.Host, service netip.AddrPort) (*connectedPair, error) {
	p := &connectedPair{service: service}
	if err := p.serve(ctx, server); err != nil {
		return nil, err
	}
	var err error
	if p.client, err = startCaller(client, "shop-client", service); err != nil {
		return nil, err
	}
	return p, p.connect(ctx, netip.AddrPort{})
}

// serve starts the server.
func (p *connectedPair) serve(ctx context.Context, on *lab.Host) (err error) {
	if p.server, err = startCaller(on, "stock-server", p.service); err != nil {
		return err
	}
	l, err := p.server.must(ctx, callListen, listenCall{On: p.service, Reuse: true})
	p.listener = l.FD
	return err
}

// connect opens the connection, from an endpoint of the client or, with the zero
// one, from a port that the kernel chooses.
func (p *connectedPair) connect(ctx context.Context, from netip.AddrPort) error {
	c, err := p.client.must(ctx, callConnect, connectCall{To: p.service, From: from})
	if err != nil {
		return err
	}
	s, err := p.server.must(ctx, callAccept, socketCall{p.listener})
	p.inClient, p.from, p.inServer = c.FD, c.Local, s.FD
	return err
}

// introduce tells who takes part.
func (p *connectedPair) introduce(step *lab.Step) {
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) listens on %s. shop-client (process %s) connects to it, from local port %s.",
		step.ID("server_pid", p.server.PID), p.service, step.ID("client_pid", p.client.PID), step.ID("client_port", int(p.from.Port()))))
}

// clientSends matches what the client sends; serverSends what the server does.
func (p *connectedPair) clientSends(m lab.Match) lab.Match {
	return func(c *lab.Crossing) bool { return c.Segment.Src == p.from && c.Segment.Dst == p.service && m(c) }
}

func (p *connectedPair) serverSends(m lab.Match) lab.Match {
	return func(c *lab.Crossing) bool { return c.Segment.Src == p.service && c.Segment.Dst == p.from && m(c) }
}

// states says what both ends of the only connection of a service have to be; 0
// for none that is left.
func states(client, server tcpvet.State) func(lab.Ends) bool {
	return func(e lab.Ends) bool {
		for _, s := range tcpvet.States {
			if e.Client[s] != one(s == client) || e.Server[s] != one(s == server) {
				return false
			}
		}
		return true
	}
}

func one(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// arrived matches what was not lost under way.
func arrived(m lab.Match) lab.Match {
	return func(c *lab.Crossing) bool { return (c.Fate == lab.Passed || c.Fate == lab.Forged) && m(c) }
}

// since gives what crossed from the first segment that matches on.
func since(crossed []lab.Crossing, m lab.Match) []lab.Crossing {
	for i := range crossed {
		if m(&crossed[i]) {
			return crossed[i:]
		}
	}
	return nil
}

// linkedPair is a connectedPair on two hosts that are joined by a veth link,
// with a tap on the client's end of it.
type linkedPair struct {
	*connectedPair
	link *lab.Link
	tap  *lab.Tap
}

// linkPair makes a host for the server, and connects.
func linkPair(ctx context.Context, s *lab.Stage, step *lab.Step) (*linkedPair, error) {
	server, err := s.NewHost(ctx, "server")
	if err != nil {
		return nil, err
	}
	link, err := s.Link(ctx, s.Host, server, lab.LinkOptions{})
	if err != nil {
		return nil, err
	}
	tap, err := s.Host.Tap(ctx, link.A.Interface)
	if err != nil {
		return nil, err
	}
	pair, err := connectPair(ctx, s.Host, server, netip.AddrPortFrom(link.B.Addr4, 8080))
	if err != nil {
		return nil, err
	}
	step.Done = append(step.Done, fmt.Sprintf("The client's host has the address %s, the server's %s. What crosses the link between them is recorded at the client's end.",
		link.A.Addr4, link.B.Addr4))
	pair.introduce(step)
	return &linkedPair{pair, link, tap}, nil
}

// tunnelPair makes a host for the server, joined by a tunnel, and connects.
func tunnelPair(ctx context.Context, s *lab.Stage, step *lab.Step) (*connectedPair, *lab.Tunnel, error) {
	server, err := s.NewHost(ctx, "server")
	if err != nil {
		return nil, nil, err
	}
	tunnel, err := s.Tunnel(ctx, s.Host, server, lab.LinkOptions{})
	if err != nil {
		return nil, nil, err
	}
	pair, err := connectPair(ctx, s.Host, server, netip.AddrPortFrom(tunnel.B.Addr4, 8080))
	if err != nil {
		return nil, nil, err
	}
	step.Done = append(step.Done, fmt.Sprintf("The client's host has the address %s, the server's %s. Every packet between them goes through the stage, which can keep it back or lose it.",
		tunnel.A.Addr4, tunnel.B.Addr4))
	pair.introduce(step)
	return pair, tunnel, nil
}

// inOrder calls the steps of a play.
func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// socketAt finds the socket of a host with these endpoints, nil for none.
func socketAt(ctx context.Context, s *lab.Stage, h *lab.Host, local, remote netip.AddrPort) (*tcpvet.Socket, error) {
	sockets, err := s.Sockets(ctx, h)
	if err != nil {
		return nil, err
	}
	for i := range sockets {
		if tcpvet.Unmap(sockets[i].Local) == local && tcpvet.Unmap(sockets[i].Remote) == remote {
			return &sockets[i], nil
		}
	}
	return nil, nil
}

// quiet judges a moment at which no rule is to find anything, and says why.
func quiet(ctx context.Context, s *lab.Stage, means string) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	if err := s.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Means = []string{means}
	s.Tell(step)
	return nil
}

// counter gives a counter of a host's network namespace, by the name that nstat
// gives it.
func counter(ctx context.Context, s *lab.Stage, h *lab.Host, name string) (uint64, error) {
	census, err := s.Census(ctx)
	if err != nil {
		return 0, err
	}
	id, err := h.Netns()
	if err != nil {
		return 0, err
	}
	n, ok := census.Netns[id].Counters[name]
	if !ok {
		return 0, fmt.Errorf("read the counter %s of %s: the look has none", name, h.Name)
	}
	return n, nil
}
