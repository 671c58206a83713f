package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// SynRecvPileup is a way on which the last segment of each handshake is lost.
var SynRecvPileup = &lab.Scenario{
	Name:    "syn-recv-pileup",
	Title:   "handshakes that are begun and not completed",
	Source:  "RFC 4987; RFC 9293, section 3.5; kernel functions tcp_conn_request and reqsk_timer_handler",
	Needs:   []lab.Need{lab.TUN},
	Expects: []string{"syn-recv-pileup"},
	Acts:    []lab.Act{socketCrowd},
	Play: func(ctx context.Context, s *lab.Stage) error {
		u := &unfinished{Stage: s}
		return inOrder(ctx, u.open, u.begin, u.diagnosis, u.cookies, u.without)
	},
}

const (
	unfinishedCount   = 120 // enough to warn
	unfinishedBacklog = 512
	smallBacklog      = 8
)

// unfinished is a play of SynRecvPileup under way.
type unfinished struct {
	*lab.Stage
	crowds
	host   *lab.Host
	tunnel *lab.Tunnel
	small  netip.AddrPort // a service with a small backlog
	way    *oneWay
}

// oneWay is a fault of a way: of clients that begin while it lasts it lets the SYNs
// pass, and nothing else.
type oneWay struct {
	mu     sync.Mutex
	mended bool
	begun  map[[2]uint16]bool // local and remote ports of such clients
}

// drops matches what does not get through.
func (w *oneWay) drops(c *lab.Crossing) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	// One local port serves two services.
	ports := [2]uint16{c.Segment.Src.Port(), c.Segment.Dst.Port()}
	if !lab.SYN(c) {
		return w.begun[ports]
	}
	if w.mended {
		delete(w.begun, ports)
	} else {
		w.begun[ports] = true
	}
	return false
}

// mend lets all pass of those that begin from now on.
func (w *oneWay) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mended = true
}

func (u *unfinished) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A way that loses one kind of segment"}
	if u.crowds, u.host, u.tunnel, err = tunnelCrowds(ctx, u.Stage, &step, unfinishedBacklog); err != nil {
		return err
	}
	u.small = netip.AddrPortFrom(u.service.Addr(), u.service.Port()+1)
	if _, err := u.server.must(ctx, crowdListen, listenOrderOf{u.small, smallBacklog}); err != nil {
		return err
	}
	u.way = &oneWay{begun: make(map[[2]uint16]bool)}
	u.tunnel.Drop(lab.From(u.Host, u.way.drops))
	step.Done = append(step.Done,
		fmt.Sprintf("The backlog of that listener is %s. The server listens on %s too, with a backlog of %s.",
			step.Count("backlog_count", unfinishedBacklog), u.small, step.Count("small_backlog_count", smallBacklog)),
		"The stage lets the client's SYNs pass and drops all else that it sends, as a firewall does that sees the way there and not the way back. The SYNs of a flood, with forged addresses, draw no ACK either.")
	u.Tell(step)
	return nil
}

// kept keeps idle connections of clients from being a finding of their own, on a
// machine so busy that the play lasts long.
var kept = probing(3600, 75, 9)

func (u *unfinished) begin(ctx context.Context) error {
	step := lab.Step{Name: "handshakes", Title: "The client is connected, the server is not"}
	opened, err := u.client.must(ctx, crowdConnect, connectOrder{To: u.service, Count: unfinishedCount, Options: kept})
	if err != nil {
		return err
	}
	ends, err := u.Settled(ctx, u.service, "the handshakes to hang", allAre(unfinishedCount, tcpvet.Established, unfinishedCount, tcpvet.SynRecv))
	if err != nil {
		return err
	}
	again, err := u.tunnel.Wait(ctx, 2, lab.Both(fromPort(opened.First), lab.SYNACK))
	if err != nil {
		return err
	}
	step.Ends = &ends
	for _, c := range u.tunnel.Select(fromPort(opened.First)) {
		if c.Segment.At <= again[1].Segment.At {
			step.Segments = append(step.Segments, c)
		}
	}
	step.Done = []string{fmt.Sprintf("shop-client connects %s times.", step.Count("connected_count", opened.Count))}
	step.Shown = []string{
		fmt.Sprintf("Every connect() succeeds. On the connection from local port %s this crosses; after %s the server's kernel sends the SYN-ACK again. The sockets:",
			step.ID("client_port", int(opened.First)), step.Seconds("again_seconds", at(&again[1]).Sub(at(&again[0])))),
	}
	step.Means = []string{
		"For the client the SYN-ACK was the end of the handshake. The server's kernel waits for the ACK of it in SYN-RECV, and knows of no connection: no process sees one, and accept() has nothing to give. " +
			"It takes neither a descriptor nor a process, only a place in the listener's queue.",
	}
	u.Tell(step)
	return nil
}

func (u *unfinished) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := u.Judge(ctx, &step, lab.Expect{
		Rules: []string{"syn-recv-pileup"},
		Of:    map[string]lab.Particulars{"syn-recv-pileup": {Kind: "unfinished", Severity: tcpvet.Warning, Service: u.service}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"The addresses tell the cause: those of a flood are many and strange, these are those of a client that is known. So the way is to be looked at, and not the load."}
	u.Tell(step)
	return nil
}

// insist writes as soon as the client is connected. The ACK that brings a cookie back
// is not sent again when it is lost; data is, and brings it too.
func (u *unfinished) insist(ctx context.Context, client crowd) error {
	err := lab.Until(ctx, client.Name+" to be connected", func() (bool, error) {
		c, err := client.must(ctx, crowdConnected, crowdOf{u.small})
		return c.Count == 1, err
	})
	if err != nil {
		return err
	}
	_, err = client.must(ctx, crowdWrite, writeOrder{Of: u.small, Each: len(request)})
	return err
}

// cookies fills the queue of the other listener, and comes in over it.
func (u *unfinished) cookies(ctx context.Context) error {
	step := lab.Step{Name: "cookies", Title: "A full queue, and SYN cookies"}
	ends, err := u.crowdOut(ctx)
	if err != nil {
		return err
	}
	before, err := u.counters(ctx)
	if err != nil {
		return err
	}
	u.way.mend()
	guest, err := startCrowd(u.Host, lab.Setup{}, "guest-client", u.small)
	if err != nil {
		return err
	}
	if _, err := guest.must(ctx, crowdConnect, connectOrder{To: u.small, Count: 1}); err != nil {
		return err
	}
	if err := u.insist(ctx, guest); err != nil {
		return err
	}
	if _, err := u.server.must(ctx, crowdAccept, acceptOrder{On: u.small, Count: 1}); err != nil {
		return err
	}
	after, err := u.counters(ctx)
	if err != nil {
		return err
	}
	if after.cookies == before.cookies || after.believed == before.believed {
		return fmt.Errorf("a client came in over a full queue without a cookie: %+v, then %+v", before, after)
	}
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("The client connects %s times to %s, where as many as that fill the queue. For those who come later the way is mended, and guest-client (process %s) connects.",
			step.Count("small_count", int(ends.Client[tcpvet.Established])), u.small, step.ID("guest_pid", guest.PID)),
	}
	step.Shown = []string{
		fmt.Sprintf("The guest gets in over the full queue: the server's kernel sent a cookie (TcpExtSyncookiesSent goes from %s to %s) and believed it when it came back (TcpExtSyncookiesRecv goes from %s to %s). The ends before that:",
			step.Count("sent_before_count", int(before.cookies)), step.Count("sent_count", int(after.cookies)),
			step.Count("believed_before_count", int(before.believed)), step.Count("believed_count", int(after.believed))),
	}
	step.Means = []string{
		"With net.ipv4.tcp_syncookies at its default a full queue keeps nobody out. The SYN-ACK's sequence number holds all that the kernel has to know, so it can forget the SYN. A flood then costs some options of the connections, and no more.",
	}
	u.Tell(step)
	return nil
}

// crowdOut fills the queue of the small listener. It holds one more than its limit,
// or, in older kernels, just that.
func (u *unfinished) crowdOut(ctx context.Context) (lab.Ends, error) {
	const all = smallBacklog + 1
	if _, err := u.client.must(ctx, crowdConnect, connectOrder{To: u.small, Count: all, Options: kept}); err != nil {
		return lab.Ends{}, err
	}
	return u.Settled(ctx, u.small, "the queue to be full", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == all && e.Server[tcpvet.SynRecv] >= smallBacklog
	})
}

// queueCounters are counters of the server's host.
type queueCounters struct{ cookies, believed, dropped uint64 }

func (u *unfinished) counters(ctx context.Context) (c queueCounters, err error) {
	for name, to := range map[string]*uint64{
		"TcpExtSyncookiesSent": &c.cookies, "TcpExtSyncookiesRecv": &c.believed, "TcpExtTCPReqQFullDrop": &c.dropped,
	} {
		if *to, err = counter(ctx, u.Stage, u.host, name); err != nil {
			return c, err
		}
	}
	return c, nil
}

// without turns cookies off.
func (u *unfinished) without(ctx context.Context) error {
	step := lab.Step{Name: "without-cookies", Title: "The same without cookies"}
	if err := set(u.host, map[string]int{"tcp_syncookies": 0}); err != nil {
		return err
	}
	late, err := startCrowd(u.Host, lab.Setup{}, "late-client", u.small)
	if err != nil {
		return err
	}
	before, err := u.counters(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := late.must(ctx, crowdConnect, connectOrder{To: u.small, Count: 1, NoWait: true}); err != nil {
		return err
	}
	var after queueCounters
	err = lab.Until(ctx, "the SYN to be dropped", func() (bool, error) {
		after, err = u.counters(ctx)
		return after.dropped > before.dropped, err
	})
	if err != nil {
		return err
	}
	c, err := late.must(ctx, crowdConnected, crowdOf{u.small})
	if err != nil {
		return err
	}
	if err := exactly("connections over a full queue without cookies", c.Count, 0); err != nil {
		return err
	}
	if err := set(u.host, map[string]int{"tcp_syncookies": 1}); err != nil {
		return err
	}
	if err := u.insist(ctx, late); err != nil {
		return err
	}
	if _, err := u.server.must(ctx, crowdAccept, acceptOrder{On: u.small, Count: 1}); err != nil {
		return err
	}
	took := time.Since(begin)
	step.Done = []string{fmt.Sprintf("net.ipv4.tcp_syncookies is set to %s on the server's host, and late-client (process %s) connects, over a way that is in order.", step.ID("syncookies", 0), step.ID("late_pid", late.PID))}
	step.Shown = []string{
		fmt.Sprintf("Its SYN is dropped: TcpExtTCPReqQFullDrop goes from %s to %s. The setting is put back, and the client gets in with a later SYN, %s after its first.",
			step.Count("dropped_before_count", int(before.dropped)), step.Count("dropped_count", int(after.dropped)), step.Seconds("late_seconds", took)),
	}
	step.Means = []string{"Without cookies those that never complete keep the others out. That is what a SYN flood is for."}
	u.Tell(step)
	return nil
}
