package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// QuietWebsocket is many WebSockets that wait for news, guarded by keepalive at both
// ends.
var QuietWebsocket = &lab.Scenario{
	Name:   "quiet-websocket",
	Title:  "no fault: WebSockets idle for long, with keepalive below the limit of the path",
	Source: "RFC 6455; RFC 1122, section 4.2.3.6; pages of no-keepalive, keepalive-too-late, half-open and established-growth",
	Acts:   []lab.Act{pushServer, pushClient},
	Play: func(ctx context.Context, s *lab.Stage) error {
		q := &quietWebsocket{Stage: s}
		return inOrder(ctx, q.open, q.idle, q.newcomers, q.news)
	},
}

const (
	sockets      = 110 // from 100 on no-keepalive warns
	moreSockets  = 10  // from 10 on, and a tenth of what was there, established-growth speaks
	socketProbes = time.Second
	pathForgets  = 5 * time.Second // shorter than the silence that is waited for
)

// quietWebsocket is a play of QuietWebsocket under way.
type quietWebsocket struct {
	*lab.Stage
	service        netip.AddrPort
	server, client *lab.Process
	tap            *lab.Tap
	opened         time.Time
	limits         []tcpvet.PathLimit
}

func (q *quietWebsocket) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "Clients that wait for news"}
	far, err := q.NewHost(ctx, "far")
	if err != nil {
		return err
	}
	link, err := q.Link(ctx, q.Host, far, lab.LinkOptions{})
	if err != nil {
		return err
	}
	if q.tap, err = q.Host.Tap(ctx, link.A.Interface); err != nil {
		return err
	}
	q.service = netip.AddrPortFrom(link.B.Addr4, stock.Port())
	q.limits = []tcpvet.PathLimit{{Idle: pathForgets}}
	if q.server, err = far.Start(pushServer, "news-server", q.service.String()); err != nil {
		return err
	}
	if err := q.server.Cue(ctx, pushListen, pushOrder{At: q.service, Keepalive: probedEvery(socketProbes)}, &struct{}{}); err != nil {
		return err
	}
	if q.client, err = q.Host.Start(pushClient, "news-client", "ws://"+q.service.String()); err != nil {
		return err
	}
	if err := q.subscribe(ctx, sockets); err != nil {
		return err
	}
	q.opened = time.Now()
	step.Done = []string{
		fmt.Sprintf("news-server (process %s) listens on %s, which is another host. news-client (process %s) opens %s WebSockets there. Nothing is sent on them until there is news.",
			step.ID("server_pid", q.server.PID), q.service, step.ID("client_pid", q.client.PID), step.Count("sockets_count", sockets)),
		fmt.Sprintf("Both set SO_KEEPALIVE, with a probe after %s of silence. Something on the way is taken to forget connections that are silent for %s, as tcpvet diagnose --path-idle would be told.",
			step.Seconds("probe_seconds", socketProbes), step.Seconds("path_seconds", pathForgets)),
	}
	q.Tell(step)
	return nil
}

func (q *quietWebsocket) subscribe(ctx context.Context, n int) error {
	return q.client.Cue(ctx, pushSubscribe, pushOrder{At: q.service, Count: n, Keepalive: probedEvery(socketProbes)}, &struct{}{})
}

func (q *quietWebsocket) idle(ctx context.Context) error {
	step := lab.Step{Name: "idle", Title: "No news for long"}
	long := max(patiences*q.Patience, pathForgets)
	if err := lab.Wait(ctx, long); err != nil {
		return err
	}
	err := lab.Until(ctx, "both ends to be idle for long", func() (bool, error) {
		c, err := q.Census(ctx)
		if err != nil || !c.Facts.Has(tcpvet.FactInfo) {
			return err == nil, err
		}
		on, off := idleFor(&c, func(h *tcpvet.Histogram) uint64 { return h.AtLeast(long) })
		if off > 0 {
			return false, fmt.Errorf("%d ends have no keepalive", off)
		}
		return on == 2*sockets, nil
	})
	if err != nil {
		return err
	}
	probes := q.tap.Select(keepaliveProbe)
	if len(probes) < 2*sockets {
		return fmt.Errorf("%d probes have crossed, less than one for each of %d ends", len(probes), 2*sockets)
	}
	err = inOrderTo(ctx, q.Stage, &step, lab.Expect{Limits: q.limits},
		onlooker{"no-keepalive", fmt.Sprintf("%s connections of one process have been idle for longer than %s, and for longer than the path allows. But their keepalive timers run: a peer that is gone is found, and what is on the way sees a probe in time.",
			step.Count("sockets_count", sockets), step.Seconds("long_seconds", long))},
		onlooker{"keepalive-too-late", fmt.Sprintf("the next probe comes after %s of silence, and the limit is %s.", step.Seconds("probe_seconds", socketProbes), step.Seconds("path_seconds", pathForgets))},
		onlooker{"half-open", "at any moment some probes are on their way, with no answer yet. The rule speaks of a connection that has two unanswered."})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("Nothing is sent for %s.", step.Seconds("age_seconds", time.Since(q.opened)))}
	step.Shown = []string{fmt.Sprintf("%s keepalive probes have crossed the link, of both ends of %s connections.", step.Count("probes_count", len(probes)), step.Count("sockets_count", sockets))}
	q.Tell(step)
	return nil
}

func (q *quietWebsocket) newcomers(ctx context.Context) error {
	step := lab.Step{Name: "newcomers", Title: "A few more, between two looks"}
	before, err := q.Before(ctx)
	if err != nil {
		return err
	}
	if err := q.subscribe(ctx, moreSockets); err != nil {
		return err
	}
	const all = sockets + moreSockets
	ends, err := q.Settled(ctx, q.service, "the connections to be open", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == all && e.Server[tcpvet.Established] == all
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	err = inOrderTo(ctx, q.Stage, &step, lab.Expect{Before: before, Limits: q.limits},
		onlooker{"established-growth", fmt.Sprintf("%s connections more, while all %s that were there lie idle. But that is %s of them, and clients come and go: from a tenth on the rule speaks.",
			step.Count("more_count", moreSockets), step.Count("sockets_count", sockets), step.Percent("more_percent", float64(moreSockets)/sockets))})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("After a first look news-client opens %s more. Then comes the second look.", step.Count("more_count", moreSockets))}
	q.Tell(step)
	return nil
}

// news shows that the connections are what they seem.
func (q *quietWebsocket) news(ctx context.Context) error {
	step := lab.Step{Name: "news", Title: "News at last"}
	const text = "stock"
	begin := time.Now()
	var sent int
	if err := q.server.Cue(ctx, pushSend, text, &sent); err != nil {
		return err
	}
	var got int
	err := lab.Until(ctx, "every client to get the news", func() (bool, error) {
		err := q.client.Cue(ctx, pushGot, text, &got)
		return got == sockets+moreSockets, err
	})
	if err != nil {
		return fmt.Errorf("%w: %d of %d have got it", err, got, sent)
	}
	step.Done = []string{fmt.Sprintf("news-server sends a line to each of its %s clients.", step.Count("sent_count", sent))}
	step.Shown = []string{fmt.Sprintf("All %s connections have it within %s.", step.Count("got_count", got), step.Seconds("news_seconds", time.Since(begin)))}
	step.Means = []string{"An idle connection is no fault by itself. What matters is whether either end would notice that it is gone, and whether the path keeps it."}
	q.Tell(step)
	return nil
}
