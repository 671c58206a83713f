package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// QuietShort is a client that opens a connection for each request and closes it
// first, to several services, in bursts that its ports bear.
var QuietShort = &lab.Scenario{
	Name:        "quiet-short",
	Title:       "no fault: short connections that stay under the limit",
	Source:      "RFC 9293, section 3.6.1; pages of time-wait-pressure and port-exhaustion",
	Acts:        []lab.Act{idleServer, portTaker, socketCrowd},
	Descriptors: func(o lab.Options) int { return sentAway(portsOf(o.Ports)) + ownDescriptors },
	Constants:   []string{"/ 60 s", "for 60 s", "last 10 s", "last 60 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		q := &quietShort{Stage: s, churner: churner{ports: portsOf(s.Ports)}}
		return inOrder(ctx, q.open, q.bursts, q.again, q.atServer)
	},
}

// shortServices is how many there are: together they get more than the ports of
// one bear, none of them does.
const shortServices = 6

// burst is how many connections each service gets in either burst: two of them in
// 10 s are 72 % of the rate that the ports to it bear. From 80 % on
// time-wait-pressure speaks.
func burst(ports int) int { return ports * 6 / 100 }

// sentAway is how many connections a server closes first: it has that many
// TIME-WAITs, where a client would hear of half of the ports.
func sentAway(ports int) int { return ports * 6 / 10 }

// waiting is how many connections wait for accept() at once.
const waiting = 500

// quietShort is a play of QuietShort under way.
type quietShort struct {
	*lab.Stage
	churner
	services []netip.AddrPort
	first    time.Time // the first connection
	crowds   crowds
}

func (q *quietShort) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "A crawler, and services on another host"}
	far, err := q.NewHost(ctx, "far")
	if err != nil {
		return err
	}
	link, err := q.Link(ctx, q.Host, far, lab.LinkOptions{})
	if err != nil {
		return err
	}
	for i := range shortServices {
		q.services = append(q.services, netip.AddrPortFrom(link.B.Addr4, stock.Port()+uint16(i)))
	}
	if err := setRange(&step, q.Host, q.ports); err != nil {
		return err
	}
	server, err := startServer(ctx, far, q.services...)
	if err != nil {
		return err
	}
	const loopbackOnly = 2
	if err := q.begin(q.Host, loopbackOnly); err != nil {
		return err
	}
	if q.crowds, err = startCrowds(ctx, q.Host, far, netip.AddrPortFrom(link.B.Addr4, 9090), 2*waiting); err != nil {
		return err
	}
	step.Done = append(step.Done,
		fmt.Sprintf("stock-server (process %s) listens on %s ports of another host, %s and up. crawler (process %s) will make requests.",
			step.ID("server_pid", server.PID), step.Count("services_count", len(q.services)), q.services[0], step.ID("client_pid", q.client.PID)),
		fmt.Sprintf("net.ipv4.tcp_tw_reuse has its default, %s: over a link nothing is reused.", step.ID("reuse", loopbackOnly)))
	q.Tell(step)
	return nil
}

// all makes a burst of requests to each service.
func (q *quietShort) all(ctx context.Context) (took time.Duration, err error) {
	if q.first.IsZero() {
		q.first = time.Now()
	}
	for _, to := range q.services {
		r, err := q.churner.all(ctx, churnOrder{To: to, Count: burst(q.ports)})
		if err != nil {
			return 0, err
		}
		took += r.Took
	}
	return took, nil
}

// resting waits until so many TIME-WAITs are at the client's end of each service,
// and gives both ends of the first.
func (q *quietShort) resting(ctx context.Context, n int) (first lab.Ends, err error) {
	for i, to := range q.services {
		ends, err := q.Settled(ctx, to, "the connections to be closed", func(e lab.Ends) bool {
			return e.Client[tcpvet.TimeWait] == uint64(n) && e.Server == [tcpvet.NumStates]uint64{}
		})
		if err != nil {
			return first, err
		}
		if i == 0 {
			first = ends
		}
	}
	return first, nil
}

func (q *quietShort) bursts(ctx context.Context) error {
	step := lab.Step{Name: "burst", Title: "A burst to each service"}
	took, err := q.all(ctx)
	if err != nil {
		return err
	}
	ends, err := q.resting(ctx, burst(q.ports))
	if err != nil {
		return err
	}
	step.Ends = &ends
	each, bears := burst(q.ports), float64(q.ports)/timeWait.Seconds()
	total := each * len(q.services)
	rate := float64(total) / took.Seconds()
	if rate < bears {
		return fmt.Errorf("the burst was slower, at %.1f/s, than what the ports bear for good: this machine is too busy for it", rate)
	}
	err = inOrderTo(ctx, q.Stage, &step, lab.Expect{},
		onlooker{"time-wait-pressure", fmt.Sprintf("for good the ports bear %s / 60 s = %s to one service, and this was %s. But a burst is no rate that goes on. "+
			"The rule counts what has closed in the last 10 s and in the last 60 s, for each service by itself.",
			step.Count("range_count", q.ports), step.Rate("sustainable_per_s", bears), step.Rate("burst_per_s", rate))})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("crawler makes %s requests to each of the %s services, one after the other, with a connection each, which it closes first.",
		step.Count("each_count", each), step.Count("services_count", len(q.services)))}
	step.Shown = []string{fmt.Sprintf("%s connections in %s. The two ends of those to %s:", step.Count("total_count", total), step.Seconds("burst_seconds", took), q.services[0])}
	q.Tell(step)
	return nil
}

func (q *quietShort) again(ctx context.Context) error {
	step := lab.Step{Name: "again", Title: "Another burst, between two looks"}
	before, err := q.Before(ctx)
	if err != nil {
		return err
	}
	if _, err := q.all(ctx); err != nil {
		return err
	}
	each := 2 * burst(q.ports)
	ends, err := q.resting(ctx, each)
	if err != nil {
		return err
	}
	step.Ends = &ends
	total, since := each*len(q.services), time.Since(q.first)
	if 2*total < q.ports {
		return fmt.Errorf("%d TIME-WAITs are less than half of %d ports", total, q.ports)
	}
	err = inOrderTo(ctx, q.Stage, &step, lab.Expect{Before: before},
		onlooker{"time-wait-pressure", fmt.Sprintf("%s TIME-WAITs are %s of the %s local ports, if one adds up the whole host. But a port in TIME-WAIT is taken for one service alone: "+
			"each has %s, which is %s. They came within %s, but the rule counts over the last 10 s: that is %s to each service, where its ports bear %s.",
			step.Count("total_count", total), step.Percent("total_percent", float64(total)/float64(q.ports)), step.Count("range_count", q.ports),
			step.Count("each_count", each), step.Percent("each_percent", float64(each)/float64(q.ports)),
			step.Seconds("since_seconds", since), step.Rate("counted_per_s", float64(each)/10), step.Rate("sustainable_per_s", float64(q.ports)/timeWait.Seconds()))},
		onlooker{"port-exhaustion", fmt.Sprintf("none of these TIME-WAITs would be reused, so all of them count as taken. %s of %s ports are left to each service.",
			step.Count("left_count", q.ports-each), step.Count("range_count", q.ports))})
	if err != nil {
		return err
	}
	step.Done = []string{"After a first look crawler does the same again. Then comes the second look."}
	step.Shown = []string{fmt.Sprintf("%s after the first connection every one of its TIME-WAITs is still there, as they are for 60 s. The two ends of those to %s:", step.Seconds("since_seconds", since), q.services[0])}
	q.Tell(step)
	return nil
}

// atServer has the server close first.
func (q *quietShort) atServer(ctx context.Context) error {
	step := lab.Step{Name: "server", Title: "Many more TIME-WAITs, at the server"}
	n := sentAway(q.ports)
	before, err := q.Before(ctx)
	if err != nil {
		return err
	}
	c := &q.crowds
	for left := n; left > 0; left -= waiting {
		if _, err := c.connect(ctx, c.service, min(left, waiting)); err != nil {
			return err
		}
	}
	if _, err := c.server.must(ctx, crowdClose, crowdOf{c.service}); err != nil {
		return err
	}
	// A client that is quicker than a FIN on its way would be in TIME-WAIT too.
	_, err = q.Settled(ctx, c.service, "the server's FINs to arrive", func(e lab.Ends) bool { return e.Client[tcpvet.CloseWait] == uint64(n) })
	if err != nil {
		return err
	}
	if _, err := c.client.must(ctx, crowdClose, crowdOf{c.service}); err != nil {
		return err
	}
	ends, err := q.Settled(ctx, c.service, "the connections to be closed", func(e lab.Ends) bool {
		return e.Server[tcpvet.TimeWait] == uint64(n) && e.Client == [tcpvet.NumStates]uint64{}
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	err = inOrderTo(ctx, q.Stage, &step, lab.Expect{Before: before},
		onlooker{"time-wait-pressure", "the server's ends share one port, its own, and no later client is in their way. They take no port of the client either. Such TIME-WAITs are how a server sends clients away, in whatever number."})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("Another client (process %s) opens %s connections to %s, and there the server (process %s) closes first. All this lies between two looks.",
		step.ID("crowd_client_pid", c.client.PID), step.Count("sent_away_count", n), c.service, step.ID("crowd_server_pid", c.server.PID))}
	step.Shown = []string{fmt.Sprintf("That is more than half of the client's %s ports, all at once:", step.Count("range_count", q.ports))}
	q.Tell(step)
	return nil
}
