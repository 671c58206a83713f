package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// SlowHalf shows the early warning: connect() becomes slow once half of the ports
// to a service are taken.
var SlowHalf = &lab.Scenario{
	Name:        "slow-half",
	Title:       "connect() becomes slow when half of the local ports are taken",
	Source:      "kernel function __inet_hash_connect",
	Expects:     []string{"port-exhaustion"},
	Acts:        []lab.Act{idleServer, portTaker},
	Descriptors: func(lab.Options) int { return slowPorts + ownDescriptors },
	Play: func(ctx context.Context, s *lab.Stage) error {
		h := &slowHalf{Stage: s}
		return inOrder(ctx, h.open, h.first, h.second, h.relief)
	},
}

// slowPorts is the range: large enough that the search through half of it stands
// out from what a connect() takes anyway.
const slowPorts = 4000

// slowHalf is a play of SlowHalf under way.
type slowHalf struct {
	*lab.Stage
	client *lab.Process
	fast   time.Duration // the median in the first half
}

func (h *slowHalf) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A client that keeps its connections"}
	if err := setRange(&step, h.Host, slowPorts); err != nil {
		return err
	}
	server, err := startServer(ctx, h.Host, stock)
	if err != nil {
		return err
	}
	if h.client, err = h.Host.Start(portTaker, "shop-client", stock.String()); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) listens on %s. shop-client (process %s) connects, and times each connect().",
		step.ID("server_pid", server.PID), stock, step.ID("client_pid", h.client.PID)))
	h.Tell(step)
	return nil
}

func (h *slowHalf) take(ctx context.Context, n int) (r taken, err error) {
	err = h.client.Cue(ctx, takerTake, takeOrder{Count: n, To: stock}, &r)
	if err == nil && r.Failure != nil {
		err = fmt.Errorf("connection %d: %v", r.Count+1, r.Failure)
	}
	return r, err
}

func (h *slowHalf) first(ctx context.Context) error {
	step := lab.Step{Name: "first", Title: "The first half"}
	const n = slowPorts * 9 / 20
	r, err := h.take(ctx, n)
	if err != nil {
		return err
	}
	if err := exactly("odd ports in the first half", r.Odd, 0); err != nil {
		return err
	}
	h.fast = r.Median
	if err := h.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client opens %s connections, %s of the range.", step.Count("connections_count", n), step.Percent("taken_percent", float64(n)/slowPorts))}
	step.Shown = []string{
		fmt.Sprintf("A connect() takes %s (median).", step.Micros("connect_micros", r.Median)),
		fmt.Sprintf("%s of the ports are odd: the kernel tries every second port first, and finds one soon.", step.Count("odd_count", r.Odd)),
	}
	h.Tell(step)
	return nil
}

func (h *slowHalf) second(ctx context.Context) error {
	step := lab.Step{Name: "second", Title: "The second half"}
	const between, n = slowPorts / 10, slowPorts / 5
	if _, err := h.take(ctx, between); err != nil {
		return err
	}
	r, err := h.take(ctx, n)
	if err != nil {
		return err
	}
	if err := exactly("odd ports beyond the first half", r.Odd, r.Count); err != nil {
		return err
	}
	err = h.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion"},
		Of:    map[string]lab.Particulars{"port-exhaustion": {Kind: "slow-connects", Severity: tcpvet.Warning, Service: stock}},
	})
	if err != nil {
		return err
	}
	const all = slowPorts*9/20 + between + n
	step.Done = []string{fmt.Sprintf("It goes on to %s connections, %s of the range. The last %s of them are timed.", step.Count("connections_count", all),
		step.Percent("taken_percent", float64(all)/slowPorts), step.Count("timed_count", n))}
	step.Shown = []string{
		fmt.Sprintf("A connect() takes %s (median), where it took %s in the first half.", step.Micros("connect_micros", r.Median), step.Micros("first_half_micros", h.fast)),
		fmt.Sprintf("%s of these ports are odd.", step.Count("odd_count", r.Odd)),
	}
	if r.Median <= h.fast {
		return fmt.Errorf("a connect() in the second half took %s, and %s in the first", r.Median, h.fast)
	}
	step.Means = []string{
		"All even ports are taken, and each connect() tries every one of them before it comes to the odd ones. It spends that time in the kernel, on the processor.",
		"Nothing has failed yet. Slow connects to one service, and to no other, are the only sign that comes before the error: no counter of the kernel moves.",
	}
	h.Tell(step)
	return nil
}

func (h *slowHalf) relief(ctx context.Context) error {
	step := lab.Step{Name: "relief", Title: "Another local address has a range of its own"}
	var r taken
	other := stock.Addr().Next()
	const n = slowPorts / 20
	if err := h.client.Cue(ctx, takerTake, takeOrder{Count: n, Bind: other, Late: true, To: stock}, &r); err != nil {
		return err
	}
	if r.Failure != nil {
		return fmt.Errorf("connect from %s: %v", other, r.Failure)
	}
	if err := exactly("odd ports from the second address", r.Odd, 0); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("It opens %s connections more, from %s: with IP_BIND_ADDRESS_NO_PORT, so that bind() takes the address and no port.", step.Count("connections_count", n), other)}
	step.Shown = []string{fmt.Sprintf("A connect() takes %s (median) again, and %s of the ports are odd.", step.Micros("connect_micros", r.Median), step.Count("odd_count", r.Odd))}
	step.Means = []string{"Ports are chosen for a local address and a remote endpoint. A second address, at either side, begins with an empty range."}
	h.Tell(step)
	return nil
}
