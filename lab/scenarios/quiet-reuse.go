package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// QuietReuse fills the range of a client with TIME-WAITs of which the kernel reuses
// each: over loopback, by default.
var QuietReuse = &lab.Scenario{
	Name:      "quiet-reuse",
	Title:     "no fault: every port to a service of this host rests in TIME-WAIT, and is reused",
	Source:    "ip-sysctl.rst, tcp_tw_reuse and tcp_tw_reuse_delay; pages of port-exhaustion and time-wait-pressure",
	Acts:      []lab.Act{idleServer, portTaker},
	Constants: []string{"since 4.19", "60 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		q := &quietReuse{Stage: s, churner: churner{ports: portsOf(s.Ports)}}
		return inOrder(ctx, q.open, q.fill, q.goOn, q.again)
	},
}

// quietReuse is a play of QuietReuse under way.
type quietReuse struct {
	*lab.Stage
	churner
}

// reuseByDefault is tcp_tw_reuse where nobody has set it.
const reuseByDefault = 2

// recycled is the counter of TIME-WAITs whose port a new connection got.
const recycled = "TcpExtTWRecycled"

func (q *quietReuse) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "A test suite and a service, on one host"}
	if err := setRange(&step, q.Host, q.ports); err != nil {
		return err
	}
	server, err := startServer(ctx, q.Host, stock)
	if err != nil {
		return err
	}
	if err := q.begin(q.Host, reuseByDefault); err != nil {
		return err
	}
	stamps, err := setting(q.Host, "tcp_timestamps")
	if err != nil {
		return err
	}
	if stamps != 1 {
		return fmt.Errorf("net.ipv4.tcp_timestamps is %d, and its default is 1", stamps)
	}
	step.Done = append(step.Done,
		fmt.Sprintf("stock-server (process %s) listens on %s. crawler (process %s) will make requests there.", step.ID("server_pid", server.PID), stock, step.ID("client_pid", q.client.PID)),
		fmt.Sprintf("net.ipv4.tcp_tw_reuse is %s, its default since 4.19: over loopback the kernel gives a port in TIME-WAIT to a new connection after %s. net.ipv4.tcp_timestamps is %s.",
			step.ID("reuse", reuseByDefault), step.Seconds("delay_seconds", q.delay), step.ID("timestamps", stamps)))
	q.Tell(step)
	return nil
}

// fill takes every port. With reuse on it would never get so far.
func (q *quietReuse) fill(ctx context.Context) error {
	step := lab.Step{Name: "fill", Title: "Every port in TIME-WAIT"}
	r, err := q.use(ctx, stock)
	if err != nil {
		return err
	}
	ends, err := q.resting(ctx)
	if err != nil {
		return err
	}
	if err := lab.Wait(ctx, q.delay+q.delay/4); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("crawler makes one request after the other, with a connection each, which it closes first. So that every port comes to rest, net.ipv4.tcp_tw_reuse is %s meanwhile, until connect() fails; then it has its default again.", step.ID("off", 0))}
	step.Shown = []string{fmt.Sprintf("%s requests in %s have taken all %s ports:", step.Count("requests_count", r.Count), step.Seconds("requests_seconds", r.Took), step.Count("range_count", q.ports))}
	step.Means = []string{fmt.Sprintf("Counted by state alone, no port is left to %s for the rest of the 60 s.", stock)}
	q.Tell(step)
	return nil
}

// resting waits until all ports are in TIME-WAIT.
func (q *quietReuse) resting(ctx context.Context) (lab.Ends, error) {
	return q.Settled(ctx, stock, "the connections to be closed", func(e lab.Ends) bool {
		return e.Client[tcpvet.TimeWait] == uint64(q.ports) && e.Server == [tcpvet.NumStates]uint64{}
	})
}

// batch is how many requests are made at once, so that two batches may rest for less
// than the delay: port-exhaustion speaks from half of the ports on, time-wait-pressure
// from 80 %.
func (q *quietReuse) batch() int { return q.ports / 5 }

// requests makes a batch, of which each has to get a port that rests.
func (q *quietReuse) requests(ctx context.Context, step *lab.Step) error {
	before, err := counter(ctx, q.Stage, q.Host, recycled)
	if err != nil {
		return err
	}
	r, err := q.all(ctx, churnOrder{To: stock, Count: q.batch()})
	if err != nil {
		return err
	}
	after, err := counter(ctx, q.Stage, q.Host, recycled)
	if err != nil {
		return err
	}
	if err := exactly("TIME-WAITs that the kernel says it has reused", int(after-before), r.Count); err != nil {
		return err
	}
	ends, err := q.resting(ctx)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Shown = []string{fmt.Sprintf("%s requests are answered in %s, at once. The kernel's counter TWRecycled has risen by %s. All ports are in TIME-WAIT as before:",
		step.Count("requests_count", r.Count), step.Seconds("requests_seconds", r.Took), step.Count("recycled_count", int(after-before)))}
	return nil
}

func (q *quietReuse) goOn(ctx context.Context) error {
	step := lab.Step{Name: "go-on", Title: "And requests go on"}
	if err := q.requests(ctx, &step); err != nil {
		return err
	}
	err := inOrderTo(ctx, q.Stage, &step, lab.Expect{},
		onlooker{"port-exhaustion", fmt.Sprintf("a TIME-WAIT that the kernel would reuse now takes no port from anybody. That rests on timestamps, which no list of sockets shows; "+
			"but both ends are of this kernel, timestamps are on, and TWRecycled says that it has reused %s already.", step.Count("recycled_count", q.batch()))})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("crawler makes %s more requests.", step.Count("requests_count", q.batch()))}
	q.Tell(step)
	return nil
}

func (q *quietReuse) again(ctx context.Context) error {
	step := lab.Step{Name: "again", Title: "The same between two looks"}
	before, err := q.Before(ctx)
	if err != nil {
		return err
	}
	if err := q.requests(ctx, &step); err != nil {
		return err
	}
	err = inOrderTo(ctx, q.Stage, &step, lab.Expect{Before: before},
		onlooker{"time-wait-pressure", fmt.Sprintf("what rests for less than %s is what holds ports, and that is %s of %s at most, twice what was asked for at once. "+
			"The ports bear %s here, not %s: a rate of TIME-WAITs beyond ports / 60 s is no fault where they are reused.",
			step.Seconds("delay_seconds", q.delay), step.Count("young_count", 2*q.batch()), step.Count("range_count", q.ports),
			step.Rate("bears_per_s", float64(q.ports)/q.delay.Seconds()), step.Rate("without_reuse_per_s", float64(q.ports)/timeWait.Seconds()))},
		onlooker{"port-exhaustion", "as many sockets as before, all of them free for the next connection but for the youngest."})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("After a first look crawler makes %s more. Then comes the second look.", step.Count("requests_count", q.batch()))}
	q.Tell(step)
	return nil
}
