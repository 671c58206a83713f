package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// ThreeWayHandshake opens one connection between two hosts, and stops each
// segment on the way so that the states of both ends can be seen.
var ThreeWayHandshake = &lab.Scenario{
	Name:   "three-way-handshake",
	Title:  "how a connection opens, segment by segment",
	Claims: []int{3, 6, 8},
	Source: "article: the three-way handshake; RFC 9293, section 3.5",
	Needs:  []lab.Need{lab.TUN},
	Acts:   []lab.Act{idleServer, rawClient},
	Play: func(ctx context.Context, s *lab.Stage) error {
		h := &handshake{Stage: s}
		for _, step := range []func(context.Context) error{h.open, h.synSent, h.synReceived, h.established, h.quiet} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	},
}

// handshake is a play of ThreeWayHandshake under way.
type handshake struct {
	*lab.Stage
	server  *lab.Host
	tunnel  *lab.Tunnel
	service netip.AddrPort
	client  *lab.Process

	syn, synAck lab.Held
	connected   chan error // how the client's connect() went
	opened      leaked
}

func (h *handshake) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "hosts", Title: "Two hosts and a link that can be stopped"}
	if h.server, err = h.NewHost(ctx, "server"); err != nil {
		return err
	}
	if h.tunnel, err = h.Tunnel(ctx, h.Host, h.server, lab.LinkOptions{}); err != nil {
		return err
	}
	h.service = netip.AddrPortFrom(h.tunnel.B.Addr4, 8080)
	server, err := h.server.Start(idleServer, "stock-server", h.service.String())
	if err != nil {
		return err
	}
	listen := listenOrder{On: []netip.AddrPort{h.service}, Idle: time.Hour}
	if err := server.Cue(ctx, serverListen, listen, &struct{}{}); err != nil {
		return err
	}
	if h.client, err = h.Host.Start(rawClient, "shop-client", "http://"+h.service.String()+"/stock"); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("The client's host has the address %s, the server's %s. Every packet between them goes through the stage, which can keep it back.",
			h.tunnel.A.Addr4, h.tunnel.B.Addr4),
		fmt.Sprintf("stock-server (process %s) listens on %s.", step.ID("server_pid", server.PID), h.service),
	}
	h.Tell(step)
	return nil
}

// synSent has the client connect, and keeps its SYN back.
func (h *handshake) synSent(ctx context.Context) error {
	step := lab.Step{Name: "syn", Title: "The client sends a SYN"}
	h.syn = h.tunnel.Hold(lab.SYN)
	h.synAck = h.tunnel.Hold(lab.SYNACK)
	h.connected = make(chan error, 1)
	go func() {
		h.connected <- h.client.Cue(ctx, clientLeak, leakOrder{To: h.service, Limit: 1}, &h.opened)
	}()
	if err := h.syn.Wait(ctx, 1); err != nil {
		return err
	}
	ends, err := h.Settled(ctx, h.service, "the client to send", func(e lab.Ends) bool { return e.Client[tcpvet.SynSent] == 1 })
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"shop-client (process " + step.ID("client_pid", h.client.PID) + ") calls connect(). The SYN is kept back on its way."}
	step.Shown = []string{"The kernel's sockets by state, for either end:"}
	step.Means = []string{"The client waits in SYN-SENT. The server's host knows nothing of it yet: connect() has not returned."}
	h.Tell(step)
	return nil
}

// synReceived lets the SYN pass, and keeps the answer back.
func (h *handshake) synReceived(ctx context.Context) error {
	step := lab.Step{Name: "syn-ack", Title: "The server answers SYN and ACK"}
	h.syn.Release()
	if err := h.synAck.Wait(ctx, 1); err != nil {
		return err
	}
	ends, err := h.Settled(ctx, h.service, "the server to answer", func(e lab.Ends) bool {
		return e.Client[tcpvet.SynSent] == 1 && e.Server[tcpvet.SynRecv] == 1
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = h.tunnel.Select(lab.SYN)
	step.Done = []string{"The SYN goes on its way. The answer is kept back."}
	step.Shown = []string{"What has crossed, and the sockets:"}
	step.Means = []string{"The server's kernel answers by itself and holds the half-open connection in SYN-RECV. No process knows of it: accept() gives it only once it is complete."}
	h.Tell(step)
	return nil
}

// established lets the rest pass.
func (h *handshake) established(ctx context.Context) error {
	step := lab.Step{Name: "ack", Title: "The client acknowledges, and both ends are open"}
	h.synAck.Release()
	if err := <-h.connected; err != nil {
		return err
	}
	if h.opened.Failure != nil {
		return fmt.Errorf("connect to %s: %v", h.service, h.opened.Failure)
	}
	ends, err := h.Settled(ctx, h.service, "both ends to be open", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == 1 && e.Server[tcpvet.Established] == 1
	})
	if err != nil {
		return err
	}
	acks, err := h.tunnel.Wait(ctx, 1, lab.From(h.Host, lab.PureACK))
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Segments = h.opening(&acks[0])
	syn, synAck, ack := lastOf(step.Segments, lab.SYN), lastOf(step.Segments, lab.SYNACK), &acks[0]
	if synAck.Segment.Ack != syn.Segment.Seq+1 || ack.Segment.Ack != synAck.Segment.Seq+1 {
		return fmt.Errorf("the handshake acknowledges %d for a SYN of %d, and %d for one of %d",
			synAck.Segment.Ack, syn.Segment.Seq, ack.Segment.Ack, synAck.Segment.Seq)
	}
	step.Done = []string{"The answer goes on its way, and the client's kernel sends the third segment. Then connect() returns."}
	step.Shown = []string{
		fmt.Sprintf("The client's SYN has the sequence number %s, and the server acknowledges %s.",
			step.ID("client_isn", int(syn.Segment.Seq)), step.ID("client_isn_acknowledged", int(synAck.Segment.Ack))),
		fmt.Sprintf("The server's has %s, and the client acknowledges %s.",
			step.ID("server_isn", int(synAck.Segment.Seq)), step.ID("server_isn_acknowledged", int(ack.Segment.Ack))),
	}
	step.Means = []string{
		"Each side announces its first sequence number and has it acknowledged by the next: the SYN counts as one byte. That takes three segments, since the server's SYN and its ACK travel together.",
	}
	h.Tell(step)
	return nil
}

// opening gives what crossed up to the third segment of the handshake.
func (h *handshake) opening(third *lab.Crossing) []lab.Crossing {
	var opening []lab.Crossing
	for _, c := range h.tunnel.Segments() {
		if c.Segment.At <= third.Segment.At {
			opening = append(opening, c)
		}
	}
	return opening
}

// lastOf gives the last segment that matches: those before it were sent in vain.
func lastOf(segments []lab.Crossing, m lab.Match) *lab.Crossing {
	var last *lab.Crossing
	for i := range segments {
		if m(&segments[i]) {
			last = &segments[i]
		}
	}
	return last
}

func (h *handshake) quiet(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	if err := h.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Means = []string{"An open connection that works is no finding."}
	h.Tell(step)
	return nil
}
