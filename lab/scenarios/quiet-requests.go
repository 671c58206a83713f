package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// QuietRequests is a pool of Python's requests whose connections the server closes
// when they have been idle. The pool notices when it is used again.
var QuietRequests = &lab.Scenario{
	Name:      "quiet-requests",
	Title:     "no fault: a pool of Python's requests with a few connections in CLOSE-WAIT, each for a moment",
	Source:    "article: CLOSE_WAIT of requests; RFC 9112, section 9.5; pages of close-wait-leak and fin-wait-2-pileup",
	Needs:     []lab.Need{lab.Installed("nginx"), requestsModule},
	Constants: []string{"fin-wait-2-pileup"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		q := &quietRequests{Stage: s}
		return inOrder(ctx, q.open, q.closed, q.goOn)
	},
}

// closedAtOnce is how many connections the pool has, below what the rules take for
// a habit: 10.
const closedAtOnce = 8

// poolIdle is how long nginx keeps an idle connection, below any patience.
const poolIdle = 300 * time.Millisecond

// pooledRequests makes some requests at once over one session, which then has as
// many connections in its pool.
const pooledRequests = `import requests

session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))


@cue
def together(order):
    answers = [session.get(order["To"], stream=True) for _ in range(order["Count"])]
    return [a.text for a in answers]
`

// quietRequests is a play of QuietRequests under way.
type quietRequests struct {
	*lab.Stage
	client *lab.Process
	first  time.Time // when the first were seen in CLOSE-WAIT
}

func (q *quietRequests) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "A session of Python's requests, and nginx"}
	server, err := startSites(ctx, q.Host, nginxConnections, site{On: stock, Idle: fmt.Sprintf("%dms", poolIdle.Milliseconds())})
	if err != nil {
		return err
	}
	if q.client, err = startPython(ctx, q.Host, "shop.py", pooledRequests, lab.Setup{}); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("nginx (process %s) answers on %s, with keepalive_timeout %s: it closes a connection on which no request came for so long.",
			step.ID("server_pid", server.PID), stock, step.Seconds("idle_seconds", poolIdle)),
		fmt.Sprintf("shop.py (process %s) has one requests.Session for all that it does.", step.ID("client_pid", q.client.PID)),
	}
	q.Tell(step)
	return nil
}

// round has the pool used, and waits until nginx has closed what is in it. It gives
// the inodes of the client's sockets: a local port may be used again.
func (q *quietRequests) round(ctx context.Context) (ends lab.Ends, sockets map[uint64]bool, err error) {
	var texts []string
	order := struct {
		To    string
		Count int
	}{"http://" + stock.String() + "/", closedAtOnce}
	if err := q.client.Cue(ctx, "together", order, &texts); err != nil {
		return ends, nil, err
	}
	for _, text := range texts {
		if text != "stock\n" {
			return ends, nil, fmt.Errorf("nginx answered %q", text)
		}
	}
	ends, err = q.Settled(ctx, stock, "nginx to close what is idle", func(e lab.Ends) bool {
		return e.Client[tcpvet.CloseWait] == closedAtOnce && e.Server[tcpvet.FinWait2] == closedAtOnce
	})
	if err != nil {
		return ends, nil, err
	}
	all, err := q.Sockets(ctx, q.Host)
	if err != nil {
		return ends, nil, err
	}
	sockets = make(map[uint64]bool)
	for _, s := range all {
		if s.State == tcpvet.CloseWait && tcpvet.Unmap(s.Remote) == stock {
			sockets[s.Inode] = true
		}
	}
	return ends, sockets, exactly("sockets in CLOSE-WAIT", len(sockets), closedAtOnce)
}

// young judges while what is in CLOSE-WAIT is younger than patience. A machine may
// be so busy that it grows old before the look is over: then the pool is used again.
func (q *quietRequests) young(ctx context.Context, step *lab.Step, judge func() error) error {
	const tries = 10
	for range tries {
		ends, _, err := q.round(ctx)
		if err != nil {
			return err
		}
		step.Ends, step.Judged, step.Means = &ends, nil, nil
		if err := judge(); err != nil {
			return err
		}
		missed := false
		for _, v := range step.Judged[len(step.Judged)-1].Views {
			age, ok := oldestCloseWait(&v.Case.Now)
			if missed = missed || age >= q.Patience; ok && !missed {
				step.Shown = []string{fmt.Sprintf("nginx has closed all %s. The oldest has been in CLOSE-WAIT for %s:", step.Count("close_wait_count", closedAtOnce), step.Seconds("oldest_seconds", age))}
			}
		}
		if !missed {
			return nil
		}
	}
	return fmt.Errorf("a look takes longer than the patience of %s: this machine is too busy for it", q.Patience)
}

// oldestCloseWait gives the age of the oldest of the client's ends; ok is false where
// the look does not tell.
func oldestCloseWait(c *tcpvet.Census) (age time.Duration, ok bool) {
	for g, t := range c.Groups {
		if g.Role == tcpvet.Client && g.Service == stock && t.Oldest != nil {
			age, ok = max(age, t.Oldest.Age.High), true
		}
	}
	return age, ok
}

func (q *quietRequests) closed(ctx context.Context) error {
	step := lab.Step{Name: "closed", Title: "nginx closes what is idle, and the pool does not look"}
	q.first = time.Now()
	err := q.young(ctx, &step, func() error {
		return inOrderTo(ctx, q.Stage, &step, lab.Expect{},
			onlooker{"close-wait-leak", fmt.Sprintf("each of these waits for a close() that only the program can make. But none has waited for longer than patience, %s here and a minute by default: a pool may well close it when it is used next.",
				step.Seconds("patience_seconds", q.Patience))},
			onlooker{"fin-wait-2-pileup", fmt.Sprintf("nginx's ends wait for the same close(), in FIN-WAIT-2. %s of them may be on their way; the rule speaks from ten on.", step.Count("close_wait_count", closedAtOnce))})
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop.py makes %s requests at once and reads the answers. The session keeps the connections for later, and nothing reads from them meanwhile.", step.Count("requests_count", closedAtOnce))}
	q.Tell(step)
	return nil
}

// goOn uses the pool until it has had connections in CLOSE-WAIT for longer than
// patience, but no single one.
func (q *quietRequests) goOn(ctx context.Context) error {
	step := lab.Step{Name: "again", Title: "Used again and again, and CLOSE-WAITs at each look"}
	before, err := q.Before(ctx)
	if err != nil {
		return err
	}
	var seen map[uint64]bool
	rounds := 0
	for time.Since(q.first) < 2*q.Patience {
		_, sockets, err := q.round(ctx)
		if err != nil {
			return err
		}
		for inode := range sockets {
			if seen[inode] {
				return fmt.Errorf("the socket %d is in CLOSE-WAIT in two rounds", inode)
			}
		}
		seen = sockets
		rounds++
	}
	err = q.young(ctx, &step, func() error {
		return inOrderTo(ctx, q.Stage, &step, lab.Expect{Before: before},
			onlooker{"close-wait-leak", fmt.Sprintf("at both looks %s connections were in CLOSE-WAIT, and at every one between, for %s in all. But they were others each time: each use of the pool closes what it finds closed, and opens new ones. "+
				"Two looks show no growth, and none is older than patience.", step.Count("close_wait_count", closedAtOnce), step.Seconds("watched_seconds", time.Since(q.first)))},
			onlooker{"fin-wait-2-pileup", fmt.Sprintf("nginx has %s ends in FIN-WAIT-2 as before. What was there at the first look is in TIME-WAIT, since the pool has closed.", step.Count("close_wait_count", closedAtOnce))})
	})
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("After a first look shop.py makes the same requests %s times more, each time when nginx has closed. Then comes the second look.", step.Count("rounds_count", rounds+1))}
	q.Tell(step)
	return nil
}
