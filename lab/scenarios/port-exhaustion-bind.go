package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// PortExhaustionBind is a client that binds to a source address before it
// connects, and so has one range for all destinations together.
var PortExhaustionBind = &lab.Scenario{
	Name:        "port-exhaustion-bind",
	Title:       "bind() before connect() uses up the ports of all destinations at once",
	Source:      "ip(7), IP_BIND_ADDRESS_NO_PORT; kernel functions inet_csk_get_port and __inet_hash_connect",
	Expects:     []string{"port-exhaustion"},
	Acts:        []lab.Act{idleServer, portTaker},
	Descriptors: holdsPorts(2),
	Constants:   []string{"port 0"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		ports := portsOf(s.Ports)
		b := &bindFirst{Stage: s, ports: ports, first: ports * 3 / 5}
		return inOrder(ctx, b.open, b.two, b.plain, b.diagnosis, b.rest, b.late)
	},
}

// bindFirst is a play of PortExhaustionBind under way.
type bindFirst struct {
	*lab.Stage
	ports, first int // of the range; of these, taken by connections to stock
	client       *lab.Process
}

func (b *bindFirst) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A client that chooses its source address"}
	if err := setRange(&step, b.Host, b.ports); err != nil {
		return err
	}
	if err := keepTimeWaits(&step, b.Host); err != nil {
		return err
	}
	server, err := startServer(ctx, b.Host, stock, prices, bills)
	if err != nil {
		return err
	}
	if b.client, err = b.Host.Start(portTaker, "shop-client", "--bind", stock.Addr().String()); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) listens on %s, %s and %s. shop-client (process %s) calls bind() with the address %s and port 0, then connect().",
		step.ID("server_pid", server.PID), stock, prices, bills, step.ID("client_pid", b.client.PID), stock.Addr()))
	b.Tell(step)
	return nil
}

// take has the client make connections.
func (b *bindFirst) take(ctx context.Context, order takeOrder) (r taken, err error) {
	err = b.client.Cue(ctx, takerTake, order, &r)
	return r, err
}

func (b *bindFirst) two(ctx context.Context) error {
	step := lab.Step{Name: "bind", Title: "Two services share one range"}
	one, err := b.take(ctx, takeOrder{Count: b.first, Bind: stock.Addr(), To: stock})
	if err != nil {
		return err
	}
	if one.Failure != nil {
		return fmt.Errorf("connection %d to %s: %v", one.Count+1, stock, one.Failure)
	}
	two, err := b.take(ctx, takeOrder{Count: b.ports, Bind: stock.Addr(), To: prices})
	if err != nil {
		return err
	}
	if err := failsBy(two.Failure, "bind", "EADDRINUSE"); err != nil {
		return err
	}
	if err := exactly("connections to both services over the ports of the range", one.Count+two.Count, b.ports); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("It opens %s connections to %s, and as many as it can to %s.", step.Count("first_count", one.Count), stock, prices)}
	step.Shown = []string{
		fmt.Sprintf("%s connections to %s succeed. Then:", step.Count("second_count", two.Count), prices),
		told(&step, two.Failure),
	}
	step.Means = []string{
		fmt.Sprintf("%s and %s make %s: together the two have used up the range, and neither by itself. bind() has to choose a port before it knows where the connection goes, "+
			"so it takes one that no other socket has, whatever its destination.", step.Count("first_count", one.Count), step.Count("second_count", two.Count), step.Count("range_count", b.ports)),
		"The error is another one too: bind() fails, and says that an address is in use. connect() was never called.",
	}
	b.Tell(step)
	return nil
}

// plain shows whom these sockets keep from the ports.
func (b *bindFirst) plain(ctx context.Context) error {
	step := lab.Step{Name: "plain", Title: "They keep the ports from everybody"}
	r, err := b.take(ctx, takeOrder{Count: 1, To: prices})
	if err != nil {
		return err
	}
	if err := failsBy(r.Failure, "connect", "EADDRNOTAVAIL"); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("Now it connects to %s without bind().", prices)}
	step.Shown = []string{told(&step, r.Failure)}
	step.Means = []string{fmt.Sprintf("connect() chooses a port for the one destination, but leaves out every port that a socket got from bind(), though %s of them have no connection to %s.",
		step.Count("first_count", b.first), prices)}
	b.Tell(step)
	return nil
}

func (b *bindFirst) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := b.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion"},
		Of:    map[string]lab.Particulars{"port-exhaustion": {Kind: "slow-connects", Severity: tcpvet.Warning, Service: stock}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"The kernel does not tell which connections began with bind() and port 0. So the ports are counted for each service as if connect() had chosen them, " +
		"and there are some left for either. The sign to go by is the error: EADDRINUSE, from bind()."}
	b.Tell(step)
	return nil
}

// rest shows what their TIME-WAITs do.
func (b *bindFirst) rest(ctx context.Context) error {
	step := lab.Step{Name: "rest", Title: "Their TIME-WAITs are not reused"}
	var all taken
	if err := b.client.Cue(ctx, takerRelease, struct{}{}, &all); err != nil {
		return err
	}
	if err := exactly("connections closed", all.Count, b.ports); err != nil {
		return err
	}
	for service, n := range map[netip.AddrPort]int{stock: b.first, prices: b.ports - b.first} {
		_, err := b.Settled(ctx, service, "the connections to be closed", func(e lab.Ends) bool { return e.Client[tcpvet.TimeWait] == uint64(n) })
		if err != nil {
			return err
		}
	}
	c := churner{host: b.Host, client: b.client, ports: b.ports}
	if err := c.readDelay(b.Host); err != nil {
		return err
	}
	if err := set(b.Host, map[string]int{"tcp_tw_reuse": 1}); err != nil {
		return err
	}
	none, err := c.none(ctx, bills)
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client closes all of them. net.ipv4.tcp_tw_reuse is set to %s, by which a connect() may have a port whose TIME-WAIT is older than %s. It waits for longer than that, and tries to connect to %s, without bind().",
		step.ID("reuse", 1), step.Seconds("delay_seconds", c.delay), bills)}
	step.Shown = []string{fmt.Sprintf("connect() to %s: %s.", bills, none)}
	step.Means = []string{fmt.Sprintf("To %s there never was a connection. A port that bind() has chosen is kept from connect() for as long as any socket has it, one in TIME-WAIT too; reuse does not come into it.", bills)}
	b.Tell(step)
	return nil
}

// late is the cure.
func (b *bindFirst) late(ctx context.Context) error {
	step := lab.Step{Name: "late", Title: "The cure: IP_BIND_ADDRESS_NO_PORT"}
	low := rangeLow + b.ports
	if err := b.Host.SetPortRange(uint16(low), uint16(low+b.ports-1)); err != nil {
		return err
	}
	for _, to := range []netip.AddrPort{stock, prices} {
		r, err := b.take(ctx, takeOrder{Count: b.first, Bind: stock.Addr(), Late: true, To: to})
		if err != nil {
			return err
		}
		if r.Failure != nil {
			return fmt.Errorf("connection %d to %s: %v", r.Count+1, to, r.Failure)
		}
	}
	ends, err := b.Ends(ctx, prices)
	if err != nil {
		return err
	}
	if got := int(ends.Client[tcpvet.Established]); got != b.first {
		return fmt.Errorf("%d connections to %s are open, not %d", got, prices, b.first)
	}
	step.Done = []string{fmt.Sprintf("The range is moved to the next %s ports, \"%s %s\", since all others rest. The client begins again, and sets that option on each socket before bind().",
		step.Count("range_count", b.ports), step.ID("range_low", low), step.ID("range_high", low+b.ports-1))}
	step.Shown = []string{fmt.Sprintf("%s connections to %s and as many to %s are open at once: %s, over %s ports.", step.Count("first_count", b.first), stock,
		prices, step.Count("both_count", 2*b.first), step.Count("range_count", b.ports))}
	step.Means = []string{"With the option, since Linux 4.2, bind() takes the address and leaves the port to connect(), which knows the destination. Each service has the whole range again. " +
		"Not to bind at all does the same, where the route chooses the right address."}
	b.Tell(step)
	return nil
}
