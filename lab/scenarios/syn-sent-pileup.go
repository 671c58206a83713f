package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// SynSentPileup is a firewall that drops what goes to a service, without a word.
var SynSentPileup = &lab.Scenario{
	Name:      "syn-sent-pileup",
	Title:     "a black hole on the way: connects hang, each with a descriptor and a port",
	Source:    "connect(2), ETIMEDOUT; RFC 6298, section 2; Documentation/networking/ip-sysctl.rst, tcp_syn_linear_timeouts",
	Needs:     []lab.Need{lab.TUN},
	Expects:   []string{"syn-sent-pileup"},
	Acts:      []lab.Act{socketCrowd},
	Constants: []string{"some two minutes"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		b := &blackHole{Stage: s}
		return inOrder(ctx, b.open, b.hang, b.diagnosis, b.refused, b.limit, b.mend, func(ctx context.Context) error {
			return quiet(ctx, s, "Nothing hangs any more.")
		})
	},
}

const (
	blackHoleCount = 12
	blackHoleLimit = 300 * time.Millisecond // a client's own limit for connecting
)

// blackHole is a play of SynSentPileup under way.
type blackHole struct {
	*lab.Stage
	crowds
	tunnel *lab.Tunnel
	drop   *lab.Rule
	first  uint16 // the local port of the first client
}

func (b *blackHole) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A service behind a firewall"}
	if b.crowds, _, b.tunnel, err = tunnelCrowds(ctx, b.Stage, &step, listenBacklog); err != nil {
		return err
	}
	b.drop = b.tunnel.Drop(lab.From(b.Host, lab.OnPort(b.service.Port(), lab.AnySegment)))
	step.Done = append(step.Done, fmt.Sprintf("The stage plays a firewall that drops all that the client sends to port %s, as a rule DROP does, or a security group without that port.",
		step.ID("service_port", int(b.service.Port()))))
	b.Tell(step)
	return nil
}

func (b *blackHole) hang(ctx context.Context) error {
	step := lab.Step{Name: "hang", Title: "The client connects"}
	begun, err := b.client.must(ctx, crowdConnect, connectOrder{To: b.service, Count: blackHoleCount, NoWait: true})
	if err != nil {
		return err
	}
	b.first = begun.First
	syns, err := b.tunnel.Wait(ctx, 3, lab.Both(fromPort(b.first), lab.SYN))
	if err != nil {
		return err
	}
	ends, err := b.Settled(ctx, b.service, "the client to hang", allAre(blackHoleCount, tcpvet.SynSent, 0, 0))
	if err != nil {
		return err
	}
	sockets, err := openSockets(b.client.PID)
	if err != nil {
		return err
	}
	if err := exactly("descriptors of the client that are sockets", sockets, blackHoleCount); err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = syns
	step.Done = []string{fmt.Sprintf("shop-client calls connect() %s times.", step.Count("connect_count", begun.Count))}
	step.Shown = []string{
		fmt.Sprintf("Of the connection from local port %s the first SYN is lost, and so are those that follow after %s and %s. The server knows of nothing:",
			step.ID("client_port", int(b.first)), step.Seconds("second_syn_seconds", at(&syns[1]).Sub(at(&syns[0]))), step.Seconds("third_syn_seconds", at(&syns[2]).Sub(at(&syns[0])))),
	}
	step.Means = []string{
		"The kernel sends the SYN again, and the caller hangs. By default that goes on for some two minutes; then connect() fails with ETIMEDOUT. " +
			fmt.Sprintf("Until then each takes a descriptor, %s here, and one of the local ports for that service.", step.Count("descriptors_count", sockets)),
	}
	b.Tell(step)
	return nil
}

func (b *blackHole) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := b.Judge(ctx, &step, lab.Expect{
		Rules: []string{"syn-sent-pileup"},
		Of:    map[string]lab.Particulars{"syn-sent-pileup": {Kind: "unanswered", Severity: tcpvet.Warning, Service: b.service}},
	})
	if err != nil {
		return err
	}
	step.Means = []string{"It sees the server's host too, and so can tell that the accept queue there has room: what is left is the way between. Otherwise the SYNs would have to be looked for with tcpdump on the server."}
	b.Tell(step)
	return nil
}

// refused shows what an answer looks like.
func (b *blackHole) refused(ctx context.Context) error {
	step := lab.Step{Name: "refused", Title: "A closed port, for comparison"}
	closed := netip.AddrPortFrom(b.service.Addr(), b.service.Port()+1)
	begin := time.Now()
	m, err := b.client.try(ctx, crowdConnect, connectOrder{To: closed, Count: 1})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := failsBy(m.Failure, "connect", "ECONNREFUSED"); err != nil {
		return err
	}
	answered, err := b.tunnel.Wait(ctx, 2, lab.OnPort(closed.Port(), lab.AnySegment))
	if err != nil {
		return err
	}
	if !lab.SYN(&answered[0]) || !lab.RST(&answered[1]) {
		return fmt.Errorf("a closed port answered %v", texts(answered))
	}
	step.Segments = answered
	step.Done = []string{fmt.Sprintf("The client connects to %s, on which nobody listens and which no rule drops.", closed)}
	step.Shown = []string{fmt.Sprintf("After %s: \"%v\" (errno %s, %s).", step.Millis("refused_ms", took), m.Failure, step.ID("errno", m.Failure.Errno), m.Failure.name())}
	step.Means = []string{"A host that is up answers a SYN that it does not want by RST, at once. Silence means that somebody dropped the SYN, that the host is gone, or that its accept queue is full."}
	b.Tell(step)
	return nil
}

// limit shows a client that does not wait.
func (b *blackHole) limit(ctx context.Context) error {
	step := lab.Step{Name: "time-limit", Title: "A client with a time limit"}
	hasty, err := startCrowd(b.Host, lab.Setup{}, "hasty-client", b.service)
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := hasty.must(ctx, crowdConnect, connectOrder{To: b.service, Count: 1, NoWait: true}); err != nil {
		return err
	}
	if err := lab.Wait(ctx, blackHoleLimit); err != nil {
		return err
	}
	c, err := hasty.must(ctx, crowdConnected, crowdOf{b.service})
	if err != nil {
		return err
	}
	if err := exactly("connections through the firewall", c.Count, 0); err != nil {
		return err
	}
	if _, err := hasty.must(ctx, crowdClose, crowdOf{b.service}); err != nil {
		return err
	}
	took := time.Since(begin)
	ends, err := b.Settled(ctx, b.service, "the port to be free", allAre(blackHoleCount, tcpvet.SynSent, 0, 0))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("hasty-client (process %s) connects too, and gives up by itself after %s: it calls close().", step.ID("hasty_pid", hasty.PID), step.Seconds("hasty_seconds", took))}
	step.Shown = []string{"Its socket is gone. Those of the first client are not:"}
	step.Means = []string{"A time limit for connecting belongs into every client: a few seconds, not minutes. It fits the one service; net.ipv4.tcp_syn_retries would change it for all."}
	b.Tell(step)
	return nil
}

// mend takes the rule away.
func (b *blackHole) mend(ctx context.Context) error {
	step := lab.Step{Name: "mend", Title: "The firewall lets the service through"}
	lost := len(b.tunnel.Select(lab.Both(fromPort(b.first), lab.SYN)))
	b.drop.Remove()
	begin := time.Now()
	if _, err := b.server.must(ctx, crowdAccept, acceptOrder{On: b.service, Count: blackHoleCount}); err != nil {
		return err
	}
	took := time.Since(begin)
	ends, err := b.Settled(ctx, b.service, "all to be connected", allAre(blackHoleCount, tcpvet.Established, blackHoleCount, tcpvet.Established))
	if err != nil {
		return err
	}
	if err := b.closeInTurn(ctx, b.Stage, b.service); err != nil {
		return err
	}
	if _, err := b.Settled(ctx, b.service, "both to close", allAre(blackHoleCount, tcpvet.TimeWait, 0, 0)); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"The rule is removed."}
	step.Shown = []string{fmt.Sprintf("After %s all %s are connected: each by the next SYN that was due. Of the first connection %s SYNs were lost. Both ends, before they are closed:",
		step.Seconds("mended_seconds", took), step.Count("connected_count", blackHoleCount), step.Count("lost_count", lost))}
	b.Tell(step)
	return nil
}
