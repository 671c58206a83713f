package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// Crawler fetches pages that are there, and pages that are not: what it does with
// its connection after an error makes the difference between TIME-WAIT and
// CLOSE-WAIT.
var Crawler = &lab.Scenario{
	Name:      "crawler",
	Title:     "success leaves TIME-WAIT behind, an error CLOSE-WAIT",
	Source:    "article: the crawler that meets a missing page; RFC 9293, section 3.6",
	Claims:    []int{20},
	Needs:     []lab.Need{lab.Installed("nginx"), lab.Installed("python3")},
	Expects:   []string{"close-wait-leak", "fin-wait-2-pileup"},
	Constants: []string{"a status of 404", "after 60 s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		c := &crawl{Stage: s}
		return inOrder(ctx, c.open, c.pages, c.missing, c.diagnosis, c.release, func(ctx context.Context) error {
			return quiet(ctx, s, "TIME-WAIT on both sides, and no connection that a program has forgotten: no finding.")
		})
	},
}

const (
	crawlPages   = 20 // that are there
	crawlMissing = 20 // that are not
)

// crawl is a play of Crawler under way.
type crawl struct {
	*lab.Stage
	service netip.AddrPort
	crawler *lab.Process
	tap     *lab.Tap
}

func (c *crawl) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A crawler and a web server"}
	server, err := c.NewHost(ctx, "server")
	if err != nil {
		return err
	}
	link, err := c.Link(ctx, c.Host, server, lab.LinkOptions{})
	if err != nil {
		return err
	}
	c.service = netip.AddrPortFrom(link.B.Addr4, 80)
	// The error page closes by itself; a page stays open for longer than the
	// crawler takes to close it.
	nginx, err := startSites(ctx, server, nginxConnections, site{
		On: c.service, Idle: "1h", Also: "location /missing/ { keepalive_timeout 0; return 404; }",
	})
	if err != nil {
		return err
	}
	if c.crawler, err = startPython(ctx, c.Host, "crawler.py", crawlerProgram, lab.Setup{}); err != nil {
		return err
	}
	if c.tap, err = c.Host.Tap(ctx, link.A.Interface); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("The crawler's host has the address %s, the server's %s. What crosses the link between them is recorded at the crawler's end.", link.A.Addr4, link.B.Addr4),
		fmt.Sprintf("nginx (process %s) serves pages on %s. After an error page it closes the connection.", step.ID("server_pid", nginx.PID), c.service),
		fmt.Sprintf("crawler.py (process %s) is written in Python. It opens a connection for each page, as simple crawlers do.", step.ID("client_pid", c.crawler.PID)),
	}
	c.Tell(step)
	return nil
}

// fetch has the crawler fetch n pages below a path.
func (c *crawl) fetch(ctx context.Context, below string, n int, release bool) (got crawled, err error) {
	order := crawlOrder{Host: c.service.String(), Release: release}
	for i := range n {
		order.Paths = append(order.Paths, fmt.Sprintf("%s/%d", below, i))
	}
	err = c.crawler.Cue(ctx, "crawl", order, &got)
	return got, err
}

// closedFirst makes sure who sent the first FIN of the connection from a port, and
// gives what crossed on it, up to the client's ACK of the server's FIN.
func (c *crawl) closedFirst(ctx context.Context, port int, client bool) ([]lab.Crossing, error) {
	on := lab.OnPort(uint16(port), lab.AnySegment)
	byClient := func(s *lab.Crossing) bool { return int(s.Segment.Src.Port()) == port }
	fins, err := c.tap.Wait(ctx, 1, lab.Both(on, lab.Both(lab.FIN, lab.Not(byClient))))
	if err != nil {
		return nil, err
	}
	end := fins[0].Segment.Seq + uint32(fins[0].Segment.Len) + 1
	if _, err := c.tap.Wait(ctx, 1, lab.Both(on, func(s *lab.Crossing) bool { return byClient(s) && s.Segment.Ack == end })); err != nil {
		return nil, err
	}
	all := c.tap.Select(on)
	if first := since(all, lab.FIN); byClient(&first[0]) != client {
		return nil, fmt.Errorf("the first FIN of the connection from port %d came from %s", port, first[0].Segment.Src)
	}
	return all, nil
}

func (c *crawl) pages(ctx context.Context) error {
	step := lab.Step{Name: "pages", Title: "Pages that are there"}
	got, err := c.fetch(ctx, "/pages", crawlPages, false)
	if err != nil {
		return err
	}
	if err := exactly("pages fetched", got.Got, crawlPages); err != nil {
		return err
	}
	ends, err := c.Settled(ctx, c.service, "the end of every connection", func(e lab.Ends) bool {
		return e == lab.Ends{Service: c.service, Client: countOf(tcpvet.TimeWait, crawlPages)}
	})
	if err != nil {
		return err
	}
	if step.Segments, err = c.closedFirst(ctx, got.Port, true); err != nil {
		return err
	}
	if err := c.unheld(ctx, tcpvet.TimeWait, crawlPages); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("The crawler fetches %s pages. It reads each, and closes the connection.", step.Count("pages_count", got.Got))}
	step.Shown = []string{"The sockets of both ends after that, and what crossed for the last page:"}
	step.Means = []string{
		fmt.Sprintf("The crawler sent the first FIN, so the TIME-WAITs are on its side: %s. No process holds them, and each ends after 60 s.",
			step.Count("time_wait_count", int(ends.Client[tcpvet.TimeWait]))),
	}
	c.Tell(step)
	return nil
}

// unheld makes sure that the crawler's host has so many sockets in a state, and
// that no process holds one.
func (c *crawl) unheld(ctx context.Context, state tcpvet.State, n int) error {
	sockets, err := c.Sockets(ctx, c.Host)
	if err != nil {
		return err
	}
	free := 0
	for i := range sockets {
		if sockets[i].State == state && sockets[i].Holder == tcpvet.Nobody {
			free++
		}
	}
	return exactly(state.String()+" that no process holds", free, n)
}

func (c *crawl) missing(ctx context.Context) error {
	step := lab.Step{Name: "missing", Title: "Pages that are not there"}
	got, err := c.fetch(ctx, "/missing", crawlMissing, false)
	if err != nil {
		return err
	}
	if err := exactly("pages missed", got.Failed, crawlMissing); err != nil {
		return err
	}
	ends, err := c.Settled(ctx, c.service, "the server to close", func(e lab.Ends) bool {
		return e.Client[tcpvet.CloseWait] == crawlMissing && e.Server[tcpvet.FinWait2] == crawlMissing
	})
	if err != nil {
		return err
	}
	if step.Segments, err = c.closedFirst(ctx, got.Port, false); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("It fetches %s more. The server answers each with a status of 404, and closes. The crawler raises an exception, puts it into a list for its report, and goes on.",
			step.Count("missing_count", got.Failed)),
	}
	step.Shown = []string{"The sockets of both ends, and what crossed for the last one:"}
	step.Means = []string{
		fmt.Sprintf("The server sent the first FIN. The exception left fetch() before its close(), and holds what the function had in its variables, the connection too: %s are in CLOSE-WAIT.",
			step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait]))),
		"So it is as the article says: after success the crawler has TIME-WAIT, after an error it has CLOSE-WAIT if it does not release the connection. It has nothing to do with the error as such: whoever closes second, and does not, is in CLOSE-WAIT.",
	}
	c.Tell(step)
	return nil
}

func (c *crawl) diagnosis(ctx context.Context) error {
	return diagnosis(ctx, c.Stage, "both hosts", lab.Expect{
		Rules: []string{"close-wait-leak", "fin-wait-2-pileup"},
		Of: map[string]lab.Particulars{
			"close-wait-leak":   {Severity: tcpvet.Warning, Service: c.service},
			"fin-wait-2-pileup": {Kind: "orphaned", Service: c.service},
		},
	})
}

func (c *crawl) release(ctx context.Context) error {
	step := lab.Step{Name: "release", Title: "The crawler as it should be"}
	if err := c.crawler.Cue(ctx, "forget", struct{}{}, &struct{}{}); err != nil {
		return err
	}
	if _, err := c.Settled(ctx, c.service, "the crawler to close what it held", func(e lab.Ends) bool { return e.Client[tcpvet.CloseWait] == 0 }); err != nil {
		return err
	}
	good, err := c.fetch(ctx, "/pages", crawlPages, true)
	if err != nil {
		return err
	}
	bad, err := c.fetch(ctx, "/missing", crawlMissing, true)
	if err != nil {
		return err
	}
	if err := exactly("pages missed", bad.Failed, crawlMissing); err != nil {
		return err
	}
	ends, err := c.Settled(ctx, c.service, "the end of every connection", func(e lab.Ends) bool {
		return resting(&e) && e.Client[tcpvet.TimeWait] >= 2*crawlPages && e.Server[tcpvet.TimeWait] >= crawlMissing
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{
		"The list of exceptions is emptied: with the last reference Python closes each connection.",
		fmt.Sprintf("Then the crawler fetches %s pages that are there and %s that are not, in a way that closes connection and response whatever comes: \"with closing(HTTPConnection(host)) as connection\" and \"with connection.getresponse() as response\".",
			step.Count("pages_count", good.Got), step.Count("missing_count", bad.Failed)),
	}
	step.Shown = []string{"The sockets of both ends, those from before too:"}
	step.Means = []string{
		fmt.Sprintf("No CLOSE-WAIT is left, though the list again holds %s exceptions. The server has TIME-WAITs of its own now, %s, from the connections which it closed first.",
			step.Count("failed_count", bad.Failed), step.Count("server_time_wait_count", int(ends.Server[tcpvet.TimeWait]))),
	}
	c.Tell(step)
	return nil
}

// resting tells that no end of a connection is left but in TIME-WAIT.
func resting(e *lab.Ends) bool {
	return e.Client == countOf(tcpvet.TimeWait, e.Client[tcpvet.TimeWait]) && e.Server == countOf(tcpvet.TimeWait, e.Server[tcpvet.TimeWait])
}

// countOf gives the sockets of one side that are all in one state.
func countOf(s tcpvet.State, n uint64) (states [tcpvet.NumStates]uint64) {
	states[s] = n
	return states
}
