package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// LastAckPileup closes connections whose peer can no longer acknowledge that.
var LastAckPileup = &lab.Scenario{
	Name:    "last-ack-pileup",
	Title:   "the peer is gone before the last ACK",
	Source:  "article: LAST_ACK and CLOSING; RFC 9293, section 3.6; Documentation/networking/ip-sysctl.rst, tcp_orphan_retries",
	Claims:  []int{3, 4},
	Needs:   []lab.Need{lab.TUN},
	Expects: []string{"last-ack-pileup"},
	Acts:    []lab.Act{socketCrowd},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &lastAck{Stage: s}
		return inOrder(ctx, l.open, l.passive, l.lastAck, l.closing, l.diagnosis, l.mend, func(ctx context.Context) error {
			return quiet(ctx, s, "Nothing is left at either end.")
		})
	},
}

const (
	lastAckCount = 100 // enough to warn
	closingCount = 12
)

// lastAck is a play of LastAckPileup under way.
type lastAck struct {
	*lab.Stage
	crowds
	tunnel *lab.Tunnel
	both   netip.AddrPort // a service that closes at the same time as its clients
	port   uint16         // the local port of a client of the first service
}

func (l *lastAck) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "Connections over a way that can break"}
	var server *lab.Host
	if l.crowds, server, l.tunnel, err = tunnelCrowds(ctx, l.Stage, &step, lastAckCount); err != nil {
		return err
	}
	// The server's ends are to be gone soon after it has closed.
	if err := set(server, map[string]int{"tcp_fin_timeout": 1}); err != nil {
		return err
	}
	l.both = netip.AddrPortFrom(l.service.Addr(), l.service.Port()+1)
	if _, err := l.server.must(ctx, crowdListen, listenOrderOf{l.both, lastAckCount}); err != nil {
		return err
	}
	opened, err := l.connect(ctx, l.service, lastAckCount)
	if err != nil {
		return err
	}
	l.port = opened.First
	if _, err := l.connect(ctx, l.both, closingCount); err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("The client opens %s connections to %s and %s to %s.",
		step.Count("connections_count", opened.Count), l.service, step.Count("both_count", closingCount), l.both))
	l.Tell(step)
	return nil
}

// passive has the server close first.
func (l *lastAck) passive(ctx context.Context) error {
	step := lab.Step{Name: "server-closes", Title: "The server closes, and its host is gone"}
	if _, err := l.server.must(ctx, crowdClose, crowdOf{l.service}); err != nil {
		return err
	}
	if _, err := l.Settled(ctx, l.service, "the client to get the FINs", func(e lab.Ends) bool { return e.Client[tcpvet.CloseWait] == lastAckCount }); err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.service, "the server's ends to go", allAre(lastAckCount, tcpvet.CloseWait, 0, 0))
	if err != nil {
		return err
	}
	l.tunnel.Cut()
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("stock-server closes its ends to %s. Its kernel keeps them for net.ipv4.tcp_fin_timeout, which is short there, and forgets them. Then the way breaks: the server's host lost its power, or a firewall between was restarted.", l.service),
	}
	step.Shown = []string{"The client has not closed yet:"}
	l.Tell(step)
	return nil
}

func (l *lastAck) lastAck(ctx context.Context) error {
	step := lab.Step{Name: "client-closes", Title: "The client closes at last"}
	fin := lab.Both(fromPort(l.port), lab.FIN)
	before := len(l.tunnel.Select(fin)) // the server's
	if _, err := l.client.must(ctx, crowdClose, crowdOf{l.service}); err != nil {
		return err
	}
	fins, err := l.tunnel.Wait(ctx, before+3, fin)
	if err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.service, "the client to close", allAre(lastAckCount, tcpvet.LastAck, 0, 0))
	if err != nil {
		return err
	}
	left, err := openSockets(l.client.PID)
	if err != nil {
		return err
	}
	if err := exactly("descriptors of the client that are sockets", left, closingCount); err != nil {
		return err
	}
	sent := fins[before:]
	step.Ends = &ends
	step.Segments = sent
	step.Done = []string{fmt.Sprintf("shop-client closes its ends to %s, as one does that is restarted after a leak.", l.service)}
	step.Shown = []string{
		fmt.Sprintf("Its FINs get no answer. That of local port %s is sent again %s and %s after the first. The descriptors are gone, and the sockets are not:",
			step.ID("client_port", int(l.port)), step.Seconds("second_fin_seconds", at(&sent[1]).Sub(at(&sent[0]))), step.Seconds("third_fin_seconds", at(&sent[2]).Sub(at(&sent[0])))),
	}
	step.Means = []string{
		"LAST-ACK is the state of the end that was closed second, here the client's: it waits for the ACK of its own FIN. The article has it right in its list of states, and wrong where it lets the client that closes first enter it with the third step.",
		"Nobody holds such a socket. It keeps its local port until the kernel gives up, by net.ipv4.tcp_orphan_retries.",
	}
	l.Tell(step)
	return nil
}

// closing has both close at once, and the way break before the client's FINs
// arrive.
func (l *lastAck) closing(ctx context.Context) error {
	step := lab.Step{Name: "closing", Title: "Both close at the same time"}
	lose := l.tunnel.Drop(lab.From(l.Host, lab.OnPort(l.both.Port(), lab.FIN)))
	others := l.tunnel.Drop(lab.OnPort(l.service.Port(), lab.AnySegment))
	l.tunnel.Mend()
	if _, err := l.client.must(ctx, crowdClose, crowdOf{l.both}); err != nil {
		return err
	}
	if err := lose.Wait(ctx, closingCount); err != nil {
		return err
	}
	if _, err := l.server.must(ctx, crowdClose, crowdOf{l.both}); err != nil {
		return err
	}
	if _, err := l.Settled(ctx, l.both, "the client to get the FINs", func(e lab.Ends) bool { return e.Client[tcpvet.Closing] == closingCount }); err != nil {
		return err
	}
	ends, err := l.Settled(ctx, l.both, "the server's ends to go", allAre(closingCount, tcpvet.Closing, 0, 0))
	if err != nil {
		return err
	}
	l.tunnel.Cut()
	others.Remove()
	lose.Remove()
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("For %s the way is open once more, but for FINs of the client. Client and server close. The server's FINs arrive, the client's do not, and then all is lost as before.", l.both)}
	step.Shown = []string{"The client has sent its FIN and got the server's, and no ACK of its own. The server's kernel has forgotten its ends:"}
	step.Means = []string{"CLOSING is rare, as the article says, since it needs two FINs that cross. What ends it is the same ACK that LAST-ACK waits for."}
	l.Tell(step)
	return nil
}

func (l *lastAck) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := judgeEach(ctx, l.Stage, &step, lab.Expect{Rules: []string{"last-ack-pileup"}}, "last-ack-pileup",
		lab.Particulars{Kind: "last-ack", Severity: tcpvet.Warning, Service: l.service},
		lab.Particulars{Kind: "closing", Severity: tcpvet.Info, Service: l.both})
	if err != nil {
		return err
	}
	step.Means = []string{"They end by themselves. What is to be found is what lost so many peers at once."}
	l.Tell(step)
	return nil
}

// mend brings the server's host back.
func (l *lastAck) mend(ctx context.Context) error {
	step := lab.Step{Name: "mend", Title: "The host is back"}
	l.tunnel.Mend()
	begin := time.Now()
	for _, service := range []netip.AddrPort{l.service, l.both} {
		if _, err := l.Settled(ctx, service, "the client's ends to go", allAre(0, 0, 0, 0)); err != nil {
			return err
		}
	}
	took := time.Since(begin)
	resets, err := l.tunnel.Wait(ctx, lastAckCount, lab.Both(lab.OnPort(l.service.Port(), lab.RST), arrived(lab.AnySegment)))
	if err != nil {
		return err
	}
	step.Segments = l.tunnel.Select(lab.Both(fromPort(l.port), arrived(lab.AnySegment)))
	if n := len(step.Segments); n > 2 {
		step.Segments = step.Segments[n-2:]
	}
	step.Done = []string{"The way is mended. The server's kernel knows none of these connections."}
	step.Shown = []string{fmt.Sprintf("Within %s all are gone: %s of the next FINs to %s drew an RST. On the one from local port %s, last of all:",
		step.Seconds("mended_seconds", took), step.Count("resets_count", len(resets)), l.service, step.ID("reset_port", int(l.port)))}
	step.Means = []string{"A host that is up does not let its peers wait, even if it has forgotten them. It is silence that piles up."}
	l.Tell(step)
	return nil
}
