package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// HTTPKeepalive shows what keeping connections does for a server's TIME-WAITs.
var HTTPKeepalive = &lab.Scenario{
	Name:      "http-keepalive",
	Title:     "HTTP keep-alive takes away a server's TIME-WAITs, which do no harm there",
	Source:    "article: long connections, HTTP keep-alive and TIME_WAIT; RFC 9112, section 9.3; nginx, keepalive_timeout",
	Claims:    []int{12, 31},
	Needs:     []lab.Need{lab.Installed("nginx")},
	Acts:      []lab.Act{httpAsker},
	Constants: []string{"keepalive_timeout 0", "keepalive_timeout 65", "lasts 60 s", "last 60 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		k := &httpKeepalive{Stage: s}
		return inOrder(ctx, k.open, k.without, k.with, k.close, k.quiet)
	},
}

// httpRequests is how many are made each time.
const httpRequests = 300

// httpKeepalive is a play of HTTPKeepalive under way.
type httpKeepalive struct {
	*lab.Stage
	client *lab.Process
}

func (k *httpKeepalive) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "nginx, with keep-alive and without"}
	nginx, err := startSites(ctx, k.Host, nginxConnections, site{On: stock, Idle: "0"}, site{On: prices, Idle: "65"})
	if err != nil {
		return err
	}
	if k.client, err = k.Host.Start(httpAsker, "shop-client", "http://"+stock.String()+"/"); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("nginx (process %s) listens on %s with keepalive_timeout 0, and on %s with keepalive_timeout 65.", step.ID("server_pid", nginx.PID), stock, prices),
		fmt.Sprintf("shop-client (process %s) makes requests, one after the other, and goes on over the same connection unless the answer says \"Connection: close\".", step.ID("client_pid", k.client.PID)),
	}
	if err := keepTimeWaits(&step, k.Host); err != nil {
		return err
	}
	k.Tell(step)
	return nil
}

func (k *httpKeepalive) without(ctx context.Context) error {
	step := lab.Step{Name: "without", Title: "Without keep-alive"}
	var r asked
	if err := k.client.Cue(ctx, askerAsk, askOrder{To: stock, Path: "/", Times: httpRequests}, &r); err != nil {
		return err
	}
	if r.Answered != httpRequests || r.Connections != httpRequests {
		return fmt.Errorf("%d requests were answered over %d connections, not %d over as many: status %d", r.Answered, r.Connections, httpRequests, r.Status)
	}
	ends, err := k.Settled(ctx, stock, "the connections to be closed", func(e lab.Ends) bool {
		return e.Server[tcpvet.TimeWait] == httpRequests && e.Client == [tcpvet.NumStates]uint64{}
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client makes %s requests to %s.", step.Count("requests_count", r.Answered), stock)}
	step.Shown = []string{fmt.Sprintf("They took %s connections and %s. nginx closed each first, and so has the TIME-WAITs: %s in all, or %s.",
		step.Count("connections_count", r.Connections), step.Seconds("requests_seconds", r.Took), step.Count("time_wait_count", int(ends.Server[tcpvet.TimeWait])), step.Rate("time_wait_per_s", float64(r.Connections)/r.Took.Seconds()))}
	step.Means = []string{"Each lasts 60 s: those of all requests of the last 60 s are there at any time."}
	k.Tell(step)
	return nil
}

func (k *httpKeepalive) with(ctx context.Context) error {
	step := lab.Step{Name: "with", Title: "With keep-alive"}
	var r asked
	if err := k.client.Cue(ctx, askerAsk, askOrder{To: prices, Path: "/", Times: httpRequests}, &r); err != nil {
		return err
	}
	if r.Answered != httpRequests || r.Connections != 1 {
		return fmt.Errorf("%d requests were answered over %d connections, not %d over 1: status %d", r.Answered, r.Connections, httpRequests, r.Status)
	}
	ends, err := k.Settled(ctx, prices, "the connection to be idle", states(tcpvet.Established, tcpvet.Established))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("It makes as many to %s.", prices)}
	step.Shown = []string{fmt.Sprintf("They took %s connection and %s, which is %s. None is in TIME-WAIT: the connection is still open.",
		step.Count("connections_count", r.Connections), step.Seconds("requests_seconds", r.Took), step.Rate("requests_per_s", float64(r.Answered)/r.Took.Seconds()))}
	step.Means = []string{"As the article says: long connections leave no TIME-WAITs, at either end. They save a handshake for each request as well."}
	k.Tell(step)
	return nil
}

func (k *httpKeepalive) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "Who closes has the TIME-WAIT"}
	if err := k.client.Cue(ctx, askerClose, struct{}{}, &struct{}{}); err != nil {
		return err
	}
	ends, err := k.Settled(ctx, prices, "the connection to be closed", states(tcpvet.TimeWait, 0))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop-client closes its connection."}
	step.Shown = []string{"The one TIME-WAIT is the client's: it closed first."}
	k.Tell(step)
	return nil
}

// quiet judges it: TIME-WAIT at a server takes no port.
func (k *httpKeepalive) quiet(ctx context.Context) error {
	ends, err := k.Ends(ctx, stock)
	if err != nil {
		return err
	}
	if err := exactly("server's ends in TIME-WAIT", int(ends.Server[tcpvet.TimeWait]), httpRequests); err != nil {
		return err
	}
	return quiet(ctx, k.Stage, "The server's TIME-WAITs are all still there, and no finding: they have the server's own port, of which any number of connections may have the same. They take no local port of the range, no descriptor, and little memory.")
}
