package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// RunSourcePool gives a client two local addresses by tcpvet run: it reaches twice as
// many connections to one service as there are local ports.
var RunSourcePool = &lab.Scenario{
	Name:        "run-source-pool",
	Title:       "two local addresses carry twice the connections to one service, under tcpvet run",
	Source:      "article: some 28,000 connections to one service; ip(7), IP_BIND_ADDRESS_NO_PORT; kernel function inet_hash_connect",
	Claims:      []int{2},
	Needs:       []lab.Need{running},
	Expects:     []string{"port-exhaustion"},
	Acts:        []lab.Act{idleServer, rawClient},
	Descriptors: holdsPorts(2),
	Play: func(ctx context.Context, s *lab.Stage) error {
		p := &sourcePool{Stage: s, ports: portsOf(s.Ports)}
		return inOrder(ctx, p.open, p.alone, p.pooled, p.diagnosis)
	},
}

// pooledFrom are the local addresses of the client under tcpvet run.
var pooledFrom = [...]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}

// sourcePool is a play of RunSourcePool under way.
type sourcePool struct {
	*lab.Stage
	ports int
}

func (p *sourcePool) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A range of local ports, and a service"}
	if err := setRange(&step, p.Host, p.ports); err != nil {
		return err
	}
	server, err := startServer(ctx, p.Host, aloneAt, keptAt)
	if err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("stock-server (process %s) answers on %s and %s, and keeps every connection.", step.ID("server_pid", server.PID), aloneAt, keptAt))
	p.Tell(step)
	return nil
}

func (p *sourcePool) alone(ctx context.Context) error {
	step := lab.Step{Name: "alone", Title: "A client by itself"}
	client, err := p.Host.Start(rawClient, "shop-client", "http://"+aloneAt.String()+"/stock")
	if err != nil {
		return err
	}
	var l leaked
	if err := client.Cue(ctx, clientLeak, leakOrder{To: aloneAt, Limit: p.ports + 1}, &l); err != nil {
		return err
	}
	if err := exhausted(l.Failure); err != nil {
		return err
	}
	if err := exactly("connections of the client by itself", l.Opened, p.ports); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client opens connections to %s, and keeps them.", aloneAt)}
	step.Shown = []string{fmt.Sprintf("%s are opened. Then:", step.Count("opened_count", l.Opened)), told(&step, l.Failure)}
	step.Means = []string{"A connection is known by both addresses and both ports. Three of these are given, so that the local port alone tells one from another."}
	p.Tell(step)
	return nil
}

func (p *sourcePool) pooled(ctx context.Context) error {
	step := lab.Step{Name: "run", Title: "The same client, under tcpvet run with two addresses"}
	command := fmt.Sprintf("tcpvet run --keepalive off --source-pool %s,%s --", pooledFrom[0], pooledFrom[1])
	args := []string{"shop-client", "http://" + keptAt.String() + "/stock"}
	client, err := p.Host.Under(ctx, command, rawClient, args...)
	if err != nil {
		return err
	}
	var l leaked
	want := len(pooledFrom) * p.ports
	if err := client.Cue(ctx, clientLeak, leakOrder{To: keptAt, Limit: want + 1}, &l); err != nil {
		return err
	}
	by, err := p.byAddress(ctx)
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("Another one does the same to %s. It is started so (process %s):", keptAt, step.ID("client_pid", client.PID))}
	step.Said = []*lab.Said{{Command: command + " " + strings.Join(args, " ")}}
	step.Shown = []string{fmt.Sprintf("%s are opened: %s from %s and %s from %s.", step.Count("opened_count", l.Opened),
		step.Count("first_count", by[pooledFrom[0]]), pooledFrom[0], step.Count("second_count", by[pooledFrom[1]]), pooledFrom[1])}
	if l.Failure != nil {
		step.Shown = append(step.Shown, "Then: "+told(&step, l.Failure))
	}
	if l.Opened != want || !l.Failure.noPort() {
		step.Fails("with %d local addresses and %d ports %d connections were opened, then: %v", len(pooledFrom), p.ports, l.Opened, l.Failure)
	}
	step.Means = []string{"Each connect() takes the next address of the pool, and the range of local ports holds for each by itself. It is a bound that is moved, not one that is lifted: a leak fills it all the same. The addresses have to be the host's own, and the server sees the client under each."}
	p.Tell(step)
	return nil
}

// byAddress counts the connections of the client under tcpvet run by their local
// address.
func (p *sourcePool) byAddress(ctx context.Context) (map[netip.Addr]int, error) {
	sockets, err := p.Sockets(ctx, p.Host)
	if err != nil {
		return nil, err
	}
	n := make(map[netip.Addr]int)
	for _, s := range sockets {
		if s.State == tcpvet.Established && s.Remote == keptAt {
			n[s.Local.Addr()]++
		}
	}
	return n, nil
}

func (p *sourcePool) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := p.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion"},
		Of:    map[string]lab.Particulars{"port-exhaustion": {Severity: tcpvet.Critical, Service: keptAt}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"It counts by local address too: of the second client two are full."}
	p.Tell(step)
	return nil
}
