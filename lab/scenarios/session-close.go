package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// SessionClose leaks by sessions of Python's requests, and tries the cure that the
// article prints beside those that work.
var SessionClose = &lab.Scenario{
	Name:    "session-close",
	Title:   "requests.Session().close() closes nothing that leaks",
	Source:  "article: the first cure for Python; requests, class Session",
	Claims:  []int{23},
	Needs:   []lab.Need{lab.Installed("nginx"), requestsModule},
	Expects: []string{"close-wait-leak", "fin-wait-2-pileup"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		c := &sessionClose{Stage: s}
		return inOrder(ctx, c.open, c.leak, c.printed, c.diagnosis, c.close, c.cures, func(ctx context.Context) error {
			return quiet(ctx, s, "Nothing is left that a program would have to close.")
		})
	},
}

// sessionsKept is how many sessions are kept.
const sessionsKept = 16

const sessionProgram = `
import requests

kept = []


@cue
def leak(order):
    for _ in range(order["Times"]):
        session = requests.Session()
        kept.append(session)
        session.get(order["URL"]).raise_for_status()


@cue
def as_printed(order):
    for _ in range(order["Times"]):
        requests.Session().close()


@cue
def close_kept(order):
    while kept:
        kept.pop().close()


@cue
def bare_get(order):
    for _ in range(order["Times"]):
        requests.get(order["URL"]).raise_for_status()


@cue
def session_for_each(order):
    for _ in range(order["Times"]):
        with requests.Session() as session:
            session.get(order["URL"]).raise_for_status()


@cue
def session_for_all(order):
    with requests.Session() as session:
        for _ in range(order["Times"]):
            session.get(order["URL"]).raise_for_status()
`

// requestsOrder is a cue of a program that uses requests.
type requestsOrder struct {
	URL   string
	Times int
}

// sessionClose is a play of SessionClose under way.
type sessionClose struct {
	*lab.Stage
	service netip.AddrPort
	client  *lab.Process
}

func (c *sessionClose) order() requestsOrder {
	return requestsOrder{URL: "http://" + c.service.String() + "/stock", Times: sessionsKept}
}

// cue has the client do something.
func (c *sessionClose) cue(ctx context.Context, name string) error {
	return c.client.Cue(ctx, name, c.order(), &struct{}{})
}

func (c *sessionClose) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A client in Python, and nginx"}
	c.service = stock
	nginx, err := startSites(ctx, c.Host, nginxConnections, site{On: c.service, Idle: "1s"})
	if err != nil {
		return err
	}
	if c.client, err = startPython(ctx, c.Host, "shop.py", sessionProgram, lab.Setup{}); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("nginx (process %s) listens on %s and closes a connection that was idle for %s s (keepalive_timeout).",
			step.ID("server_pid", nginx.PID), c.service, step.Count("keepalive_timeout_seconds", 1)),
		fmt.Sprintf("shop.py (process %s) makes its requests by Python's requests.", step.ID("client_pid", c.client.PID)),
	}
	c.Tell(step)
	return nil
}

// leaked waits until the server has closed what the client keeps open.
func (c *sessionClose) leaked(ctx context.Context) (lab.Ends, error) {
	return c.Settled(ctx, c.service, "nginx to close", func(e lab.Ends) bool {
		return e.Client[tcpvet.CloseWait] == sessionsKept && e.Server[tcpvet.FinWait2] == sessionsKept
	})
}

func (c *sessionClose) leak(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "A session for each request, and none is closed"}
	if err := c.cue(ctx, "leak"); err != nil {
		return err
	}
	ends, err := c.leaked(ctx)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop.py makes %s requests. For each it makes a session, calls session.get(), and keeps the session in a list.", step.Count("requests_count", sessionsKept))}
	step.Shown = []string{"Each answer was read to its end. Some time later, the sockets of both ends:"}
	step.Means = []string{
		fmt.Sprintf("A session has a pool, and the pool keeps the connection for a next request that never comes. nginx has closed, and %s connections wait for the client to do so too.",
			step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait]))),
	}
	c.Tell(step)
	return nil
}

func (c *sessionClose) printed(ctx context.Context) error {
	step := lab.Step{Name: "as-printed", Title: "The cure as the article prints it"}
	before, err := openSockets(c.client.PID)
	if err != nil {
		return err
	}
	if err := c.cue(ctx, "as_printed"); err != nil {
		return err
	}
	after, err := openSockets(c.client.PID)
	if err != nil {
		return err
	}
	if err := exactly("descriptors that are sockets, after the cure as printed", after, before); err != nil {
		return err
	}
	ends, err := c.leaked(ctx)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop.py calls requests.Session().close(), %s times. (The article writes request; the module is called requests.)", step.Count("calls_count", sessionsKept))}
	step.Shown = []string{fmt.Sprintf("The process has %s descriptors that are sockets, as before. The sockets of both ends:", step.Count("socket_descriptors_count", after))}
	step.Means = []string{
		"requests.Session() makes a new session, which has no connection, and close() closes that one. The sessions that leak are others. So the article is right in kind, but this line does nothing.",
	}
	c.Tell(step)
	return nil
}

func (c *sessionClose) diagnosis(ctx context.Context) error {
	return diagnosis(ctx, c.Stage, "this namespace", lab.Expect{
		Rules: []string{"close-wait-leak", "fin-wait-2-pileup"},
		Of:    map[string]lab.Particulars{"close-wait-leak": {Kind: "never-read", Severity: tcpvet.Warning, Service: c.service}},
	})
}

// close calls close() of the sessions that leak.
func (c *sessionClose) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The sessions themselves are closed"}
	if err := c.cue(ctx, "close_kept"); err != nil {
		return err
	}
	ends, err := c.closed(ctx, sessionsKept)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop.py calls close() of each of the %s sessions in its list.", step.Count("closed_count", sessionsKept))}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"The client's ends are gone, ports and descriptors with them. What is left are the TIME-WAITs of nginx, which closed first."}
	c.Tell(step)
	return nil
}

// closed waits until no connection is open, and the server has so many TIME-WAITs
// of those that it closed first; the others are the client's.
func (c *sessionClose) closed(ctx context.Context, least uint64) (lab.Ends, error) {
	return c.Settled(ctx, c.service, "every connection to end", func(e lab.Ends) bool {
		return resting(&e) && e.Server[tcpvet.TimeWait] >= least
	})
}

func (c *sessionClose) cures(ctx context.Context) error {
	step := lab.Step{Name: "cures", Title: "Ways that do not leak"}
	for _, way := range []struct{ cue, text string }{
		{"bare_get", "requests.get(), %s times. It makes a session of its own, and closes it. "},
		{"session_for_each", "\"with requests.Session() as session\" around each of %s requests. "},
		{"session_for_all", "The same, once around all %s requests. "},
	} {
		before, err := counter(ctx, c.Stage, c.Host, "TcpActiveOpens")
		if err != nil {
			return err
		}
		if err := c.cue(ctx, way.cue); err != nil {
			return err
		}
		after, err := counter(ctx, c.Stage, c.Host, "TcpActiveOpens")
		if err != nil {
			return err
		}
		opened := int(after - before)
		if way.cue == "session_for_all" && opened >= sessionsKept {
			return fmt.Errorf("one session for %d requests opened %d connections", sessionsKept, opened)
		}
		step.Done = append(step.Done, fmt.Sprintf(way.text+"Connections opened: %s.",
			step.Count("requests_count", sessionsKept), step.Count(way.cue+"_connections_count", opened)))
	}
	ends, err := c.closed(ctx, sessionsKept)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Shown = []string{"The sockets of both ends after all of them:"}
	step.Means = []string{"No CLOSE-WAIT. One session for all requests is the best of these: its pool uses a connection again, and so there is hardly any TIME-WAIT."}
	c.Tell(step)
	return nil
}
