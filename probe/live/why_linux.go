package live

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/source"
)

// Question says what to try, and where.
type Question struct {
	Target string // HOST:PORT as it is to be told
	Host   string // an address or a name
	Port   uint16

	Family   int            // 4 or 6 for that alone, 0 for both
	Bind     netip.AddrPort // to bind to first; the zero value for nothing, port 0 for any port
	Timeout  time.Duration  // of each attempt
	Attempts int            // at each address, 1 or more

	// Netns names the namespace as netns.Select reads it, PID a process in
	// whose network and mount namespaces to try. Where both are zero, it is
	// tried from here.
	Netns string
	PID   int
}

func (q *Question) fits(addr netip.Addr) bool {
	return q.Family == 0 || q.Family == 4 == addr.Is4()
}

// Why tries to connect and says why it does or does not. The addresses of the
// target are tried in order until one is reached. An error means that nothing
// could be tried; it wraps netns.ErrGone or netns.ErrNotPermitted where that is
// why.
func Why(ctx context.Context, q Question) (*probe.Answer, error) {
	space, err := q.place()
	if err != nil {
		return nil, err
	}
	a := &probe.Answer{Target: q.Target, Bind: q.Bind, Netns: space.ID}
	var r probe.Resolution
	var g ground
	err = space.Do(func() (err error) {
		g = readGround()
		a.Origins, r, err = resolve(ctx, &q, filesOf(q.PID, space.Names))
		for i := range a.Origins {
			a.Origins[i].Route = route(a.Origins[i].Addr, q.Bind.Addr())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", q.Host, err)
	}
	order(a.Origins)
	on := &onPort{space: space.ID, port: q.Bind.Port()}
	src, err := source.Open("auto")
	if err != nil {
		return nil, err
	}
	census, err := look(ctx, src, space.ID, ofPorts, on)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		census.Gaps = append(census.Gaps, tcpvet.Gap{What: "sockets", Err: err.Error()})
	}
	a.Census = &census
	if q.PID != 0 {
		if a.Process, err = process(&census, int32(q.PID)); err != nil {
			return nil, err
		}
	}
	if len(a.Origins) == 0 {
		a.Verdict = probe.NotFound(r)
		return a, nil
	}
	for _, o := range a.Origins {
		s := g.scene(&census, space.ID)
		s.Process, s.Target, s.Route = a.Process, q.Target, o.Route
		remote := netip.AddrPortFrom(o.Addr, q.Port)
		s.Same, s.OnPort = on.find(q.Bind.Addr(), remote)
		connected, err := q.try(ctx, src, space, &s, remote, a)
		if err != nil {
			return nil, fmt.Errorf("try to connect: %w", err)
		}
		if connected {
			break
		}
	}
	a.Conclude()
	main := &a.Tries[a.Main].Attempt
	i := slices.IndexFunc(a.Origins, func(o probe.Origin) bool { return o.Addr == main.Remote.Addr() })
	s := probe.Scene{Census: &census, Netns: space.ID}
	if i >= 0 {
		s.Route = a.Origins[i].Route
	}
	a.Use = s.Use(main)
	return a, nil
}

// place finds the namespace that was asked for.
func (q *Question) place() (netns.Found, error) {
	name := q.Netns
	if q.PID != 0 {
		name = "pid:" + strconv.Itoa(q.PID)
	}
	if name == "" || name == "self" {
		id, err := netns.Self()
		return netns.Found{ID: id}, err
	}
	found, _, err := netns.Find(netns.Options{})
	if err != nil {
		return netns.Found{}, err
	}
	picked, err := netns.Select(found, []string{name})
	if err != nil {
		return netns.Found{}, err
	}
	return picked[0], nil
}

// order puts what has a way and a source first, and of those IPv6, as resolvers do
// (RFC 6724, in short).
func order(all []probe.Origin) {
	rank := func(o probe.Origin) int {
		n := 0
		if o.Route.Known && (o.Route.Errno != 0 || !o.Route.Source.IsValid()) {
			n += 2
		}
		if o.Addr.Is4() {
			n++
		}
		return n
	}
	slices.SortStableFunc(all, func(a, b probe.Origin) int { return cmp.Compare(rank(a), rank(b)) })
}

// try makes the attempts at one address.
func (q *Question) try(ctx context.Context, src source.Source, space netns.Found, s *probe.Scene, remote netip.AddrPort, a *probe.Answer) (connected bool, err error) {
	for range q.Attempts {
		var t probe.Try
		err := space.Do(func() (err error) {
			before := insertFailedNow()
			t.Attempt, err = connect(ctx, remote, q.bindFor(remote.Addr()), q.Timeout)
			s.Lost = insertFailedNow() - before
			if s.NeighborFailed = false; t.Errno == probe.EHOSTUNREACH {
				s.NeighborFailed = neighborFailed(cmp.Or(s.Route.Via, remote.Addr()))
			}
			return err
		})
		if err != nil {
			return false, err
		}
		if abroad(s, &t.Attempt) && s.Others == nil {
			s.Others = others(ctx, src, space.ID, remote.Addr())
		}
		t.Verdict = probe.Judge(s, &t.Attempt)
		a.Tries = append(a.Tries, t)
		if t.Connected() {
			connected = true
			s.Earlier = append(s.Earlier, t.Local.Port())
		}
	}
	return connected, nil
}

// bindFor gives what to bind to for a target of that family: of an unspecified
// address, the one of the family.
func (q *Question) bindFor(remote netip.Addr) netip.AddrPort {
	if b := q.Bind; b.IsValid() && b.Addr().IsUnspecified() && remote.Is6() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), b.Port())
	}
	return q.Bind
}
