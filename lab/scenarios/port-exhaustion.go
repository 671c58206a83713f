package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// PortExhaustion is the use of all local ports by connections that are open and
// in order.
var PortExhaustion = &lab.Scenario{
	Name:        "port-exhaustion",
	Title:       "open connections use up the local ports to one service",
	Source:      "connect(2), EADDRNOTAVAIL; kernel function __inet_hash_connect; article: errno 99",
	Claims:      []int{2, 14},
	Expects:     []string{"port-exhaustion"},
	Acts:        []lab.Act{idleServer, portTaker},
	Descriptors: holdsPorts(1),
	Play: func(ctx context.Context, s *lab.Stage) error {
		e := &exhaustion{Stage: s, ports: portsOf(s.Ports)}
		return inOrder(ctx, e.open, e.fill, e.elsewhere, e.diagnosis, e.wider)
	},
}

// exhaustion is a play of PortExhaustion under way.
type exhaustion struct {
	*lab.Stage
	ports  int
	client *lab.Process
}

func (e *exhaustion) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A client, two services, and a range of local ports"}
	if err := setRange(&step, e.Host, e.ports); err != nil {
		return err
	}
	server, err := startServer(ctx, e.Host, stock, prices)
	if err != nil {
		return err
	}
	if e.client, err = e.Host.Start(portTaker, "shop-client", stock.String()); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) listens on %s and %s, and closes nothing by itself. shop-client (process %s) will connect to it.",
		step.ID("server_pid", server.PID), stock, prices, step.ID("client_pid", e.client.PID)))
	e.Tell(step)
	return nil
}

func (e *exhaustion) fill(ctx context.Context) error {
	step := lab.Step{Name: "fill", Title: "A connection for each port, all of them open"}
	var r taken
	if err := e.client.Cue(ctx, takerTake, takeOrder{Count: e.ports + 1, To: stock}, &r); err != nil {
		return err
	}
	if err := failsBy(r.Failure, "connect", "EADDRNOTAVAIL"); err != nil {
		return err
	}
	if err := exactly("connections over the ports of the range", r.Count, e.ports); err != nil {
		return err
	}
	ends, err := e.Settled(ctx, stock, "the connections to be open", func(ends lab.Ends) bool {
		return ends.Client[tcpvet.Established] == uint64(e.ports) && ends.Server[tcpvet.Established] == uint64(e.ports)
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client connects to %s and keeps each connection, as a pool without a bound does.", stock)}
	step.Shown = []string{
		fmt.Sprintf("%s connections are open, from local ports %s to %s. The next connect() fails:", step.Count("connections_count", r.Count),
			step.ID("lowest_port", int(r.Low)), step.ID("highest_port", int(r.High))),
		told(&step, r.Failure),
	}
	step.Means = []string{
		"Nothing leaks here, and nothing waits: each connection is open at both ends. It takes a port all the same.",
	}
	e.Tell(step)
	return nil
}

func (e *exhaustion) elsewhere(ctx context.Context) error {
	step := lab.Step{Name: "elsewhere", Title: "The same ports serve another destination"}
	var r taken
	const few = 10
	if err := e.client.Cue(ctx, takerTake, takeOrder{Count: few, To: prices}, &r); err != nil {
		return err
	}
	if r.Failure != nil {
		return fmt.Errorf("connect to %s while the ports to %s are used up: %v", prices, stock, r.Failure)
	}
	if r.Low < rangeLow || int(r.High) >= rangeLow+e.ports {
		return fmt.Errorf("ports %d to %d are not of the range", r.Low, r.High)
	}
	step.Done = []string{fmt.Sprintf("The same process connects to %s, %s times.", prices, step.Count("other_count", r.Count))}
	step.Shown = []string{fmt.Sprintf("All succeed, from local ports %s to %s, each of which a connection to %s has too.",
		step.ID("other_lowest_port", int(r.Low)), step.ID("other_highest_port", int(r.High)), stock)}
	step.Means = []string{"A connection is four numbers: two addresses and two ports. Two of them may share a local port as long as something else differs. " +
		"So the count that matters is the one for one local address and one remote endpoint, never a total."}
	e.Tell(step)
	return nil
}

func (e *exhaustion) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := e.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion"},
		Of:    map[string]lab.Particulars{"port-exhaustion": {Kind: "exhausted", Severity: tcpvet.Critical, Service: stock}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"It counts per tuple, so it names the one service that is out of reach, and who holds its ports."}
	e.Tell(step)
	return nil
}

func (e *exhaustion) wider(ctx context.Context) error {
	step := lab.Step{Name: "wider-range", Title: "More ports, or fewer connections"}
	if err := e.Host.SetPortRange(rangeLow, uint16(rangeLow+e.ports+widening-1)); err != nil {
		return err
	}
	var r taken
	if err := e.client.Cue(ctx, takerTake, takeOrder{Count: widening + 1, To: stock}, &r); err != nil {
		return err
	}
	if err := failsBy(r.Failure, "connect", "EADDRNOTAVAIL"); err != nil {
		return err
	}
	if err := exactly("connections after the range was widened", r.Count, widening); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("The range is widened by %s ports, and the client goes on.", step.Count("added_count", widening))}
	step.Shown = []string{fmt.Sprintf("%s more connections, then errno %s again.", step.Count("more_count", r.Count), step.ID("errno", r.Failure.Errno))}
	step.Means = []string{"A wider range does help where many connections are wanted, by as many ports as it adds, and only puts off the end where their number has no bound. " +
		"A bound on the pool is the cure, or more addresses, at either side: each pair has a range of its own."}
	e.Tell(step)
	return nil
}
