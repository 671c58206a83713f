package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// CloseWaitLeakPython is what happened to the author of the article: requests and
// a session for each request, until there is no port.
var CloseWaitLeakPython = &lab.Scenario{
	Name:        "close-wait-leak-python",
	Title:       "Python's requests, a session for each request: errno 99",
	Source:      "article: Errno 99 in a client that uses requests; requests, class Session",
	Claims:      []int{2, 30},
	Needs:       []lab.Need{lab.Installed("nginx"), requestsModule},
	Expects:     []string{"close-wait-leak", "fin-wait-2-pileup", "port-exhaustion"},
	Descriptors: func(o lab.Options) int { return pythonDescriptors(o.Ports) },
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &pythonLeak{Stage: s}
		return inOrder(ctx, l.open, l.exhaust, l.bothEnds, l.diagnosis, l.close, l.oneSession)
	},
}

// articleLine is what the article begins with.
const articleLine = "Failed to establish a new connection: [Errno 99] Cannot assign requested address"

// pythonDescriptors is the limit of a program that takes all ports of a range: so
// high that it is never near it.
func pythonDescriptors(ports int) int { return 2*ports + ownDescriptors }

const leakProgram = `
import requests

kept = []


def failure(e):
    """What the innermost exception says, by errno and in words."""
    text = None
    while e is not None:
        if type(e).__name__ == "NewConnectionError":
            text = str(e).partition(": ")[2]
        if isinstance(e, OSError) and isinstance(e.errno, int):
            return {"Errno": e.errno, "Text": text or str(e)}
        inner = getattr(e, "reason", None) or e.__cause__ or e.__context__
        e = inner if isinstance(inner, BaseException) else None
    return None


@cue
def leak(order):
    for n in range(order["Times"]):
        session = requests.Session()
        kept.append(session)
        try:
            session.get(order["URL"]).raise_for_status()
        except requests.ConnectionError as e:
            return {"Answered": n, "Failure": failure(e)}
    return {"Answered": order["Times"], "Failure": None}


@cue
def close_kept(order):
    while kept:
        kept.pop().close()


@cue
def one_session(order):
    with requests.Session() as session:
        for _ in range(order["Times"]):
            session.get(order["URL"]).raise_for_status()
    return {"Answered": order["Times"], "Failure": None}
`

// pythonAnswered is what became of the requests of a Python program.
type pythonAnswered struct {
	Answered int
	Failure  *struct {
		Errno int
		Text  string
	}
}

// pythonLeak is a play of CloseWaitLeakPython under way.
type pythonLeak struct {
	*lab.Stage
	service netip.AddrPort
	client  *lab.Process
}

func (l *pythonLeak) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A client in Python, nginx, and a range of local ports"}
	if err := setRange(&step, l.Host, l.Ports); err != nil {
		return err
	}
	l.service = stock
	nginx, err := startSites(ctx, l.Host, l.Ports+nginxConnections, site{On: l.service, Idle: "1s"})
	if err != nil {
		return err
	}
	if l.client, err = startPython(ctx, l.Host, "shop.py", leakProgram, lab.Setup{Descriptors: pythonDescriptors(l.Ports)}); err != nil {
		return err
	}
	step.Done = append(step.Done,
		fmt.Sprintf("nginx (process %s) listens on %s and closes a connection that was idle for %s s (keepalive_timeout).",
			step.ID("server_pid", nginx.PID), l.service, step.Count("keepalive_timeout_seconds", 1)),
		fmt.Sprintf("shop.py (process %s) makes its requests by Python's requests.", step.ID("client_pid", l.client.PID)))
	l.Tell(step)
	return nil
}

func (l *pythonLeak) order(times int) requestsOrder {
	return requestsOrder{URL: "http://" + l.service.String() + "/stock", Times: times}
}

func (l *pythonLeak) exhaust(ctx context.Context) error {
	step := lab.Step{Name: "leak", Title: "A session for each request, and none is closed"}
	begin := time.Now()
	var a pythonAnswered
	if err := l.client.Cue(ctx, "leak", l.order(l.Ports+1), &a); err != nil {
		return err
	}
	took := time.Since(begin)
	if err := exactly("requests answered", a.Answered, l.Ports); err != nil {
		return err
	}
	if a.Failure == nil || a.Failure.Errno != int(unix.EADDRNOTAVAIL) {
		return fmt.Errorf("request %d was to fail with EADDRNOTAVAIL: %+v", a.Answered+1, a.Failure)
	}
	if a.Failure.Text != articleLine {
		return fmt.Errorf("the exception says %q, not %q", a.Failure.Text, articleLine)
	}
	step.ID("errno", a.Failure.Errno)
	step.Done = []string{"For each request shop.py makes a session, calls session.get(), and keeps the session in a list."}
	step.Shown = []string{
		fmt.Sprintf("%s requests are answered, in %s. The next one ends in an exception:", step.Count("requests_count", a.Answered), step.Seconds("requests_seconds", took)),
		a.Failure.Text,
	}
	step.Means = []string{
		"That is the line of the article, letter by letter. What is not available is no address but a local port: the connections to this service have them all.",
	}
	l.Tell(step)
	return nil
}

func (l *pythonLeak) bothEnds(ctx context.Context) error {
	step := lab.Step{Name: "both-ends", Title: "nginx closes, the client does not"}
	ends, err := l.Settled(ctx, l.service, "nginx to close", func(e lab.Ends) bool {
		return int(e.Client[tcpvet.CloseWait]) == l.Ports && e.Server[tcpvet.Established]+e.Server[tcpvet.FinWait1] == 0
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"Nothing more is done, until nginx has closed all that was idle."}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{
		fmt.Sprintf("%s connections in CLOSE-WAIT, as many as the range has ports. requests asked for HTTP keep-alive, as it always does, and so nginx waited, and then closed. "+
			"Each session still has its connection in its pool, for a next request.", step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait]))),
		"HTTP keep-alive decides how long a server waits. It is no SO_KEEPALIVE, and nothing about it makes a client close.",
	}
	l.Tell(step)
	return nil
}

func (l *pythonLeak) diagnosis(ctx context.Context) error {
	return diagnosis(ctx, l.Stage, "this namespace", lab.Expect{
		Rules: inRange(l.Stage, "close-wait-leak", "fin-wait-2-pileup", "port-exhaustion"),
		Of: map[string]lab.Particulars{
			"close-wait-leak": {Kind: "never-read", Severity: tcpvet.Critical, Service: l.service},
			"port-exhaustion": {Kind: "exhausted", Service: l.service},
		},
	})
}

func (l *pythonLeak) close(ctx context.Context) error {
	step := lab.Step{Name: "close", Title: "The sessions are closed"}
	if err := l.client.Cue(ctx, "close_kept", struct{}{}, &struct{}{}); err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.service, "the client to close", func(e lab.Ends) bool { return e.Client[tcpvet.CloseWait] == 0 && resting(&e) })
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop.py calls close() of each session in its list."}
	step.Shown = []string{"The sockets of both ends:"}
	step.Means = []string{"The client's ends are gone, and the ports free. The rest are nginx's TIME-WAITs: they have the port of nginx, and take none from the client."}
	l.Tell(step)
	return nil
}

func (l *pythonLeak) oneSession(ctx context.Context) error {
	step := lab.Step{Name: "one-session", Title: "The client as it should be"}
	before, err := counter(ctx, l.Stage, l.Host, "TcpActiveOpens")
	if err != nil {
		return err
	}
	begin := time.Now()
	var a pythonAnswered
	if err := l.client.Cue(ctx, "one_session", l.order(l.Ports), &a); err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := counter(ctx, l.Stage, l.Host, "TcpActiveOpens")
	if err != nil {
		return err
	}
	if _, err := l.Settled(ctx, l.service, "the session to close", func(e lab.Ends) bool { return resting(&e) }); err != nil {
		return err
	}
	if err := l.Judge(ctx, &step, lab.Expect{Rules: inRange(l.Stage)}); err != nil {
		return err
	}
	step.Done = []string{"\"with requests.Session() as session\" around all requests, as many as before."}
	step.Shown = []string{fmt.Sprintf("%s requests are answered, in %s. Connections opened: %s.",
		step.Count("requests_count", a.Answered), step.Seconds("requests_seconds", took), step.Count("connections_count", int(after-before)))}
	step.Means = []string{"The pool of one session serves them all, and is closed at the end of the block, also where an exception ends it."}
	l.Tell(step)
	return nil
}
