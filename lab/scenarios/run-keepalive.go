package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// RunKeepalive has a client that closes nothing run by tcpvet run, which gives its
// sockets keepalive: ports come back in time, where those of the same client by itself
// run out.
var RunKeepalive = &lab.Scenario{
	Name:        "run-keepalive",
	Title:       "a client that closes nothing does not run out of ports under tcpvet run",
	Source:      "article: keepalive as a cure for CLOSE_WAIT; kernel functions tcp_keepalive_timer and bpf_setsockopt",
	Claims:      []int{18, 24},
	Needs:       []lab.Need{running},
	Expects:     []string{"close-wait-leak", "port-exhaustion", "tableless-sockets"},
	Acts:        []lab.Act{idleServer, rawClient},
	Descriptors: func(o lab.Options) int { return beyond(portsOf(o.Ports)) + ownDescriptors },
	Constants:   preventionConstants,
	Play: func(ctx context.Context, s *lab.Stage) error {
		p := &prevention{Stage: s, ports: portsOf(s.Ports)}
		return inOrder(ctx, p.open, p.prevent, p.diagnosis, p.leave)
	},
}

// preventionConstants are those of the sentences of prevention.
var preventionConstants = []string{"28,232 ports, the 60 s of tcp_fin_timeout and the 30 s that run gives unless told otherwise, it is 313 connections/s"}

// The services of prevention: of the client by itself, and of the one under run.
var (
	aloneAt = netip.MustParseAddrPort("127.0.0.1:8082")
	keptAt  = netip.MustParseAddrPort("127.0.0.1:8083")
)

// keptIdle is the idle time of keepalive under run, and the interval of its probes.
const keptIdle = time.Second

// underRun is how the client is run.
const underRun = "tcpvet run --keepalive 1s,1s,9 --"

// beyond is how many connections the client under run opens, more than there are
// ports.
func beyond(ports int) int { return ports * 13 / 10 }

// pace is how often a client makes a request: so that it takes 4 s to use all ports,
// where each comes back in some 2.5 s.
func pace(ports int) time.Duration { return 4 * time.Second / time.Duration(ports) }

// prevention is a play of two clients, one of them under tcpvet run.
type prevention struct {
	*lab.Stage
	ports  int
	before int // net.ipv4.tcp_fin_timeout before this play
	kept   *lab.Process
}

func (p *prevention) open(context.Context) error {
	step := lab.Step{Name: "stage", Title: "A range of local ports"}
	if err := setRange(&step, p.Host, p.ports); err != nil {
		return err
	}
	p.Tell(step)
	return nil
}

// serve starts the server of both clients, whose ends are not to last for a minute.
func (p *prevention) serve(ctx context.Context, step *lab.Step) (err error) {
	if p.before, err = setting(p.Host, "tcp_fin_timeout"); err != nil {
		return err
	}
	if err := set(p.Host, map[string]int{"tcp_fin_timeout": freeFinTimeout}); err != nil {
		return err
	}
	server, err := p.Host.Start(idleServer, "stock-server", aloneAt.String(), keptAt.String())
	if err != nil {
		return err
	}
	if err := server.Cue(ctx, serverListen, listenOrder{On: []netip.AddrPort{aloneAt, keptAt}, Idle: serverIdle}, &struct{}{}); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("A stock-server on %s and %s closes what is idle for %s. net.ipv4.tcp_fin_timeout is set from %s to %s, so that its ends in FIN-WAIT-2 last for as many seconds: nobody is to wait for a minute here.",
		aloneAt, keptAt, step.Seconds("server_idle_seconds", serverIdle), step.Count("fin_timeout_before_seconds", p.before), step.Count("fin_timeout_seconds", freeFinTimeout)))
	return nil
}

// prevent has two clients that do the same at the same time. It returns an
// *lab.UnmetError where tcpvet run cannot run anything here.
func (p *prevention) prevent(ctx context.Context) error {
	step := lab.Step{Name: "run", Title: "The same client, under tcpvet run"}
	args := []string{"shop-client", "http://" + keptAt.String() + "/stock"}
	var err error
	if p.kept, err = p.Host.Under(ctx, underRun, rawClient, args...); err != nil {
		return err
	}
	if err := p.serve(ctx, &step); err != nil {
		return err
	}
	client, err := p.Host.Start(rawClient, "shop-client", "http://"+aloneAt.String()+"/stock")
	if err != nil {
		return err
	}
	alone := &racer{Process: client, order: leakOrder{To: aloneAt, Limit: p.ports + 1, Every: pace(p.ports)}}
	kept := &racer{Process: p.kept, order: leakOrder{To: keptAt, Limit: beyond(p.ports), Every: pace(p.ports)}}
	most := 0
	p.Doing("two clients connect, each at a quarter of the ports a second")
	err = race(ctx, func() error {
		ends, err := p.Ends(ctx, keptAt)
		most = max(most, int(takenBy(ends)))
		return err
	}, alone, kept)
	if err != nil {
		return err
	}
	// By itself it fails as it has always done, or the comparison is none.
	if err := exhausted(alone.Failure); err != nil {
		return err
	}
	if err := exactly("connections of the client by itself", alone.Opened, p.ports); err != nil {
		return err
	}
	// The first request of the one came at the beginning, and its last at the end; the
	// other one ended at the request that failed.
	rate := float64(kept.Opened-1) / kept.Took.Seconds()
	step.Done = append(step.Done,
		fmt.Sprintf("Two shop-clients begin at the same time. Each makes its requests at %s or less, which takes a quarter of the %s ports a second: each goes over a connection of its own, and none is closed. One is started as ever (process %s). The other (process %s) is started so:",
			step.Rate("asked_per_s", 1/pace(p.ports).Seconds()), step.Count("ports_count", p.ports), step.ID("alone_pid", client.PID), step.ID("kept_pid", p.kept.PID)))
	step.Said = []*lab.Said{{Command: underRun + " " + strings.Join(args, " ")}}
	step.Shown = []string{
		fmt.Sprintf("By itself: %s requests were answered, %s. Then:", step.Count("alone_count", alone.Opened), step.Rate("alone_per_s", float64(alone.Opened)/alone.Took.Seconds())),
		told(&step, alone.Failure),
		fmt.Sprintf("Under tcpvet run: %s requests were answered, %s, and at most %s ports were seen taken at once.",
			step.Count("kept_count", kept.Opened), step.Rate("kept_per_s", rate), step.Count("most_taken_count", most)),
	}
	if kept.Failure != nil {
		step.Shown = append(step.Shown, "Then: "+told(&step, kept.Failure))
	}
	if kept.Failure != nil || kept.Opened != kept.order.Limit {
		step.Fails("under tcpvet run %d of %d requests were answered, over %d ports: its sockets were to have keepalive", kept.Opened, kept.order.Limit, p.ports)
	} else if err := p.means(ctx, &step, rate, kept.over); err != nil {
		return err
	}
	p.Tell(step)
	return nil
}

// means waits until the last port is free, and says what that comes to, and what
// keepalive does not do.
func (p *prevention) means(ctx context.Context, step *lab.Step, rate float64, last time.Time) error {
	if _, err := p.Settled(ctx, keptAt, "keepalive to end the last connections", func(e lab.Ends) bool { return takenBy(e) == 0 }); err != nil {
		return err
	}
	life := time.Since(last)
	held, err := openSockets(p.kept.PID)
	if err != nil {
		return err
	}
	step.Shown = append(step.Shown, fmt.Sprintf("%s after the last request none is taken any more.", step.Seconds("taken_seconds", life)))
	step.Means = []string{
		fmt.Sprintf("The program is the same, and knows nothing of it: its sockets got keepalive as they connected. Of the %s that a port was taken the first %s passed until the server closed, then its end in FIN-WAIT-2 lasted for %s, "+
			"and the rest passed until the next probe: one is sent each %s. That one the server's kernel answered by RST, for it had no such connection any more.",
			step.Seconds("taken_seconds", life), step.Seconds("server_idle_seconds", serverIdle), step.Seconds("fin_timeout_exact_seconds", freeFinTimeout*time.Second), step.Seconds("idle_seconds", keptIdle)),
		fmt.Sprintf("So it holds up to a bound: %s ports in %s are %s, where this client made %s; who asks faster than that fails all the same. With 28,232 ports, the 60 s of tcp_fin_timeout and the 30 s that run gives unless told otherwise, "+
			"it is 313 connections/s at the most.", step.Count("ports_count", p.ports), step.Seconds("taken_seconds", life), step.Rate("bound_per_s", float64(p.ports)/life.Seconds()), step.Rate("kept_per_s", rate)),
		fmt.Sprintf("What it does not do: the descriptors stay (shop-client has %s of sockets), so that a leak ends in \"too many open files\" later; and a peer that closed its direction alone answers every probe. The cure is close(), in the program.",
			step.Count("descriptors_count", held)),
	}
	return nil
}

func (p *prevention) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says of both"}
	err := p.Judge(ctx, &step, lab.Expect{
		Rules: []string{"close-wait-leak", "port-exhaustion", "tableless-sockets"},
		Of:    map[string]lab.Particulars{"port-exhaustion": {Severity: tcpvet.Critical, Service: aloneAt}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"The one has no ports, the other has descriptors that lead nowhere. Neither is sound, and one of them works."}
	p.Tell(step)
	return nil
}

// leave ends the client that tcpvet run has run, which then says what became of it.
func (p *prevention) leave(ctx context.Context) error {
	step := lab.Step{Name: "summary", Title: "What tcpvet run says at the end"}
	status, printed, err := p.kept.Leave(ctx)
	if err != nil {
		return err
	}
	step.Done = []string{"shop-client ends by itself. tcpvet run ends with its exit status, and says:"}
	step.Said = []*lab.Said{{Command: underRun + " shop-client http://" + keptAt.String() + "/stock", Status: status, Lines: printed}}
	if len(printed) == 0 {
		step.Fails("tcpvet run was to say what became of the connections, and said nothing")
	}
	p.Tell(step)
	return nil
}
