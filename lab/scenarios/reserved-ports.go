package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// ReservedPorts is errno 99 without a single socket: two settings that contradict
// each other.
var ReservedPorts = &lab.Scenario{
	Name:      "reserved-ports",
	Title:     "reserved ports leave no local port to choose",
	Source:    "Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports",
	Expects:   []string{"port-exhaustion", "sysctl-antipattern"},
	Acts:      []lab.Act{idleServer, portTaker},
	Constants: []string{"port 0"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		r := &reserved{Stage: s, ports: 2 * soundRange}
		return inOrder(ctx, r.open, r.all, r.most, r.none)
	},
}

// reserved is a play of ReservedPorts under way.
type reserved struct {
	*lab.Stage
	ports  int
	client *lab.Process
}

const reservedSetting = "net.ipv4.ip_local_reserved_ports"

func (r *reserved) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "stage", Title: "A range of local ports, and nobody who uses it"}
	if err := setRange(&step, r.Host, r.ports); err != nil {
		return err
	}
	server, err := startServer(ctx, r.Host, stock)
	if err != nil {
		return err
	}
	if r.client, err = r.Host.Start(portTaker, "shop-client", stock.String()); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) listens on %s. shop-client (process %s) has no socket yet.",
		step.ID("server_pid", server.PID), stock, step.ID("client_pid", r.client.PID)))
	r.Tell(step)
	return nil
}

// reserve sets the reserved ports to the first n of the range.
func (r *reserved) reserve(n int) error {
	value := "\n" // nothing written would leave it as it is
	if n > 0 {
		value = fmt.Sprintf("%d-%d", rangeLow, rangeLow+n-1)
	}
	return r.Host.SetSysctl(reservedSetting, value)
}

func (r *reserved) take(ctx context.Context, order takeOrder) (t taken, err error) {
	err = r.client.Cue(ctx, takerTake, order, &t)
	return t, err
}

func (r *reserved) all(ctx context.Context) error {
	step := lab.Step{Name: "all", Title: "All of it is reserved"}
	if err := r.reserve(r.ports); err != nil {
		return err
	}
	connect, err := r.take(ctx, takeOrder{Count: 1, To: stock})
	if err != nil {
		return err
	}
	if err := failsBy(connect.Failure, "connect", "EADDRNOTAVAIL"); err != nil {
		return err
	}
	bind, err := r.take(ctx, takeOrder{Count: 1, Bind: stock.Addr()})
	if err != nil {
		return err
	}
	if err := failsBy(bind.Failure, "bind", "EADDRINUSE"); err != nil {
		return err
	}
	sockets, err := r.Sockets(ctx, r.Host)
	if err != nil {
		return err
	}
	if err := exactly("sockets, the listener among them", len(sockets), 1); err != nil {
		return err
	}
	err = r.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion"},
		Of:    map[string]lab.Particulars{"port-exhaustion": {Kind: "no-usable-port", Severity: tcpvet.Critical}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("%s is set to \"%s-%s\". shop-client connects, and then calls bind() with port 0.", reservedSetting,
		step.ID("range_low", rangeLow), step.ID("range_high", rangeLow+r.ports-1))}
	step.Shown = []string{
		told(&step, connect.Failure),
		fmt.Sprintf("%v (errno %s, %s)", bind.Failure, step.ID("bind_errno", bind.Failure.Errno), bind.Failure.name()),
		fmt.Sprintf("There is %s socket in the table: the listener.", step.Count("sockets_count", len(sockets))),
	}
	step.Means = []string{"The same error as from a leak, and no socket to be found. The setting keeps ports for programs that bind to them by number, and takes them from everybody else."}
	r.Tell(step)
	return nil
}

func (r *reserved) most(ctx context.Context) error {
	step := lab.Step{Name: "most", Title: "More than half is reserved"}
	n := r.ports * 3 / 5
	if err := r.reserve(n); err != nil {
		return err
	}
	const few = 10
	t, err := r.take(ctx, takeOrder{Count: few, To: stock})
	if err != nil {
		return err
	}
	if t.Failure != nil {
		return fmt.Errorf("connect: %v", t.Failure)
	}
	if int(t.Low) < rangeLow+n {
		return fmt.Errorf("connect() took port %d, which is reserved", t.Low)
	}
	err = r.Judge(ctx, &step, lab.Expect{
		Rules: []string{"sysctl-antipattern"},
		Of:    map[string]lab.Particulars{"sysctl-antipattern": {Kind: "reserved-most", Severity: tcpvet.Warning}},
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("The setting is cut to \"%s-%s\", which is %s of %s ports. shop-client connects %s times.", step.ID("range_low", rangeLow),
		step.ID("reserved_high", rangeLow+n-1), step.Count("reserved_count", n), step.Count("range_count", r.ports), step.Count("connections_count", t.Count))}
	step.Shown = []string{fmt.Sprintf("All succeed, from ports %s to %s, none of which is reserved.", step.ID("lowest_port", int(t.Low)), step.ID("highest_port", int(t.High)))}
	step.Means = []string{fmt.Sprintf("Nothing fails yet. But the range says one thing, and connect() has %s ports in truth.", step.Count("left_count", r.ports-n))}
	r.Tell(step)
	return nil
}

func (r *reserved) none(ctx context.Context) error {
	step := lab.Step{Name: "none", Title: "Nothing is reserved"}
	if err := r.reserve(0); err != nil {
		return err
	}
	if err := r.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Done = []string{reservedSetting + " is emptied."}
	step.Means = []string{"Ports of own services are best taken from outside of the range; what lies inside is reserved port by port."}
	r.Tell(step)
	return nil
}
