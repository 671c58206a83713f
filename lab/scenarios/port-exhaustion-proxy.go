package scenarios

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// PortExhaustionProxy is a balancer between clients and a service, which has the
// limit of ports that each client would have.
var PortExhaustionProxy = &lab.Scenario{
	Name:      "port-exhaustion-proxy",
	Title:     "a balancer between runs out of local ports, and no client does",
	Source:    "article: a NAT or L7 balancer moves the limit there; nginx, ngx_http_upstream_module, keepalive",
	Claims:    []int{10, 11},
	Needs:     []lab.Need{lab.Installed("nginx")},
	Expects:   []string{"port-exhaustion", "time-wait-pressure"},
	Acts:      []lab.Act{idleServer, httpAsker},
	Constants: []string{"/ 60 s", "L7"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		p := &proxied{Stage: s, ports: portsOf(s.Ports)}
		return inOrder(ctx, p.open, p.fill, p.diagnosis, p.pooled)
	},
}

// proxied is a play of PortExhaustionProxy under way.
type proxied struct {
	*lab.Stage
	ports         int
	front         netip.AddrPort // of the balancer
	plain, kept   netip.AddrPort // of the backend
	nginx, client *lab.Process
}

func (p *proxied) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A client, a balancer, a backend"}
	balancer, err := p.NewHost(ctx, "balancer")
	if err != nil {
		return err
	}
	backend, err := p.NewHost(ctx, "backend")
	if err != nil {
		return err
	}
	outer, err := p.Link(ctx, p.Host, balancer, lab.LinkOptions{})
	if err != nil {
		return err
	}
	inner, err := p.Link(ctx, balancer, backend, lab.LinkOptions{})
	if err != nil {
		return err
	}
	p.front = netip.AddrPortFrom(outer.B.Addr4, stock.Port())
	p.plain = netip.AddrPortFrom(inner.B.Addr4, stock.Port())
	p.kept = netip.AddrPortFrom(inner.B.Addr4, prices.Port())
	if err := balancer.SetPortRange(rangeLow, uint16(rangeLow+p.ports-1)); err != nil {
		return err
	}
	if _, err := startServer(ctx, backend, p.plain, p.kept); err != nil {
		return err
	}
	p.nginx, err = startSites(ctx, balancer, nginxConnections, site{
		On: p.front, Idle: "65", Before: fmt.Sprintf("upstream pooled { server %s; keepalive 4; keepalive_requests 1000000; }", p.kept),
		Also: fmt.Sprintf("location /plain { proxy_pass http://%s; } "+
			`location /pooled { proxy_pass http://pooled; proxy_http_version 1.1; proxy_set_header Connection ""; }`, p.plain),
	})
	if err != nil {
		return err
	}
	if p.client, err = p.Host.Start(httpAsker, "shop-client", "http://"+p.front.String()); err != nil {
		return err
	}
	reuse, err := setting(balancer, "tcp_tw_reuse")
	if err != nil {
		return err
	}
	if reuse == 1 {
		if err := set(balancer, map[string]int{"tcp_tw_reuse": 0}); err != nil {
			return err
		}
		reuse = 0
	}
	step.Done = []string{
		fmt.Sprintf("Three hosts in a row. shop-client (process %s) asks %s, where nginx (process %s) listens. nginx asks stock-server on the third host, %s, over a connection for each request, as it does unless told otherwise.",
			step.ID("client_pid", p.client.PID), p.front, step.ID("balancer_pid", p.nginx.PID), p.plain),
		fmt.Sprintf("The balancer's host has a range of %s local ports, and net.ipv4.tcp_tw_reuse is %s.", step.Count("range_count", p.ports), step.ID("reuse", reuse)),
	}
	if err := keepTimeWaits(&step, balancer); err != nil {
		return err
	}
	p.Tell(step)
	return nil
}

func (p *proxied) fill(ctx context.Context) error {
	step := lab.Step{Name: "fill", Title: "Requests until something fails"}
	var r asked
	if err := p.client.Cue(ctx, askerAsk, askOrder{To: p.front, Path: "/plain", Times: p.ports + 1}, &r); err != nil {
		return err
	}
	if r.Answered != p.ports || r.Status != http.StatusBadGateway || r.Connections != 1 {
		return fmt.Errorf("%d requests were answered over %d connections, then came status %d: %s", r.Answered, r.Connections, r.Status, p.nginx.Errors())
	}
	words := fmt.Sprintf("connect() to %s failed (99: Cannot assign requested address)", p.plain)
	if err := lab.Until(ctx, fmt.Sprintf("nginx to say %q", words), func() (bool, error) {
		return strings.Contains(p.nginx.Errors(), words), nil
	}); err != nil {
		return err
	}
	before, err := p.Settled(ctx, p.front, "the client's connection to be idle", states(tcpvet.Established, tcpvet.Established))
	if err != nil {
		return err
	}
	behind, err := p.Settled(ctx, p.plain, "the balancer's connections to be closed", func(e lab.Ends) bool {
		return e.Client[tcpvet.TimeWait] == uint64(p.ports) && e.Server == [tcpvet.NumStates]uint64{}
	})
	if err != nil {
		return err
	}
	step.Ends = &behind
	step.Done = []string{"shop-client makes requests, one after the other, over one connection."}
	step.Shown = []string{
		fmt.Sprintf("%s were answered in %s: %s. The next answer has the status %s, and nginx writes: %s.", step.Count("requests_count", r.Answered),
			step.Seconds("requests_seconds", r.Took), step.Rate("requests_per_s", float64(r.Answered)/r.Took.Seconds()), step.ID("http_status", r.Status), words),
		fmt.Sprintf("The client has %s connection. The sockets between the balancer and the backend are:", step.Count("client_count", int(before.Client[tcpvet.Established]))),
	}
	step.ID("errno", 99)
	step.Means = []string{
		"To its own clients nginx is a server. To the backend it is a client, and all requests of all clients come from its address there: one local address, one remote endpoint, one range of ports.",
		fmt.Sprintf("So the limit lies at the balancer, as the article says: %s ports / 60 s = %s for everybody together, however many clients there are. Looked at from a client, nothing is wrong.",
			step.Count("range_count", p.ports), step.Rate("sustainable_per_s", float64(p.ports)/timeWait.Seconds())),
	}
	p.Tell(step)
	return nil
}

func (p *proxied) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := p.Judge(ctx, &step, lab.Expect{
		Rules: []string{"port-exhaustion", "time-wait-pressure"},
		Of: map[string]lab.Particulars{
			"port-exhaustion":    {Kind: "exhausted", Severity: tcpvet.Critical, Service: p.plain},
			"time-wait-pressure": {Kind: "ports-held", Service: p.plain},
		},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"It looked at all three hosts, and found it at the one between."}
	p.Tell(step)
	return nil
}

func (p *proxied) pooled(ctx context.Context) error {
	step := lab.Step{Name: "pooled", Title: "The cure: the balancer keeps its connections"}
	times := 2 * p.ports
	var r asked
	if err := p.client.Cue(ctx, askerAsk, askOrder{To: p.front, Path: "/pooled", Times: times}, &r); err != nil {
		return err
	}
	if r.Answered != times {
		return fmt.Errorf("%d requests were answered, then came status %d: %s", r.Answered, r.Status, p.nginx.Errors())
	}
	ends, err := p.Settled(ctx, p.kept, "the balancer's connection to be idle", states(tcpvet.Established, tcpvet.Established))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client asks for another path, for which nginx has \"keepalive\" in its upstream, and asks %s, another port of the backend.", p.kept)}
	step.Shown = []string{fmt.Sprintf("%s requests are answered in %s: %s. The sockets are:", step.Count("requests_count", r.Answered), step.Seconds("requests_seconds", r.Took),
		step.Rate("requests_per_s", float64(r.Answered)/r.Took.Seconds()))}
	step.Means = []string{"That the client kept its connection did not help; what counts is the hop that has the limit. More addresses of the backend, or of the balancer, would help as well: each pair has a range of its own."}
	p.Tell(step)
	return nil
}
