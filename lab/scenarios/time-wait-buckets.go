package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// TimeWaitBuckets is a limit of TIME-WAITs that is too low.
var TimeWaitBuckets = &lab.Scenario{
	Name:    "time-wait-buckets",
	Title:   "a small tcp_max_tw_buckets takes away what TIME-WAIT is for",
	Source:  "ip-sysctl.rst, tcp_max_tw_buckets; kernel function tcp_time_wait; RFC 9293, section 3.6.1",
	Needs:   []lab.Need{lab.TUN},
	Expects: []string{"sysctl-antipattern"},
	Acts:    []lab.Act{idleServer, portTaker},
	Play: func(ctx context.Context, s *lab.Stage) error {
		b := &buckets{Stage: s}
		return inOrder(ctx, b.open, b.overflow, b.diagnosis, b.reset, b.acknowledged)
	},
}

const (
	fewBuckets      = 100
	overflowCounter = "TcpExtTCPTimeWaitOverflow"
)

// buckets is a play of TimeWaitBuckets under way.
type buckets struct {
	*lab.Stage
	churner
	tunnel  *lab.Tunnel
	service netip.AddrPort
	before  int // the limit
}

func (b *buckets) open(ctx context.Context) error {
	step := lab.Step{Name: "stage", Title: "A limit for TIME-WAITs"}
	server, err := b.NewHost(ctx, "server")
	if err != nil {
		return err
	}
	if b.tunnel, err = b.Tunnel(ctx, b.Host, server, lab.LinkOptions{}); err != nil {
		return err
	}
	b.service = netip.AddrPortFrom(b.tunnel.B.Addr4, stock.Port())
	if _, err := startServer(ctx, server, b.service); err != nil {
		return err
	}
	if err := b.begin(b.Host, 0); err != nil {
		return err
	}
	if b.before, err = setting(b.Host, "tcp_max_tw_buckets"); err != nil {
		return err
	}
	if err := set(b.Host, map[string]int{"tcp_max_tw_buckets": fewBuckets}); err != nil {
		return err
	}
	other, err := setting(server, "tcp_max_tw_buckets")
	if err != nil {
		return err
	}
	if other == fewBuckets {
		return fmt.Errorf("tcp_max_tw_buckets of the server's host has changed too")
	}
	step.Done = []string{
		fmt.Sprintf("net.ipv4.tcp_max_tw_buckets of the client's host is set from %s to %s, which looks like a cure for many TIME-WAITs. The server's host keeps %s: each network namespace has its own.",
			step.Count("before_count", b.before), step.Count("limit_count", fewBuckets), step.Count("other_count", other)),
		fmt.Sprintf("stock-server listens on %s. crawler (process %s) will make requests, a connection each, and close first. Every packet between them goes through the stage, which can lose it.",
			b.service, step.ID("client_pid", b.client.PID)),
	}
	if err := keepTimeWaits(&step, b.Host); err != nil {
		return err
	}
	b.Tell(step)
	return nil
}

func (b *buckets) overflow(ctx context.Context) error {
	step := lab.Step{Name: "overflow", Title: "More closed connections than that"}
	const n = fewBuckets + fewBuckets/2
	if _, err := b.all(ctx, churnOrder{To: b.service, Count: n}); err != nil {
		return err
	}
	dropped, err := counter(ctx, b.Stage, b.Host, overflowCounter)
	if err != nil {
		return err
	}
	ends, err := b.Settled(ctx, b.service, "the connections to be closed", func(e lab.Ends) bool {
		return e.Client[tcpvet.TimeWait] == fewBuckets && e.Server == [tcpvet.NumStates]uint64{}
	})
	if err != nil {
		return err
	}
	if err := exactly("connections without a TIME-WAIT", int(dropped), n-fewBuckets); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("crawler makes %s requests.", step.Count("requests_count", n))}
	step.Shown = []string{fmt.Sprintf("%s ends are in TIME-WAIT. The other %s were dropped at once, and the counter TCPTimeWaitOverflow stands at that number.",
		step.Count("time_wait_count", int(ends.Client[tcpvet.TimeWait])), step.Count("dropped_count", int(dropped)))}
	step.Means = []string{"Nothing failed so far: where no segment is lost, nobody misses a TIME-WAIT."}
	b.Tell(step)
	return nil
}

func (b *buckets) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := b.Judge(ctx, &step, lab.Expect{
		Rules: []string{"sysctl-antipattern"},
		Of:    map[string]lab.Particulars{"sysctl-antipattern": {Kind: "tw-buckets", Severity: tcpvet.Warning}},
	})
	if err != nil {
		return err
	}
	b.Tell(step)
	return nil
}

// lastACK matches the first acknowledgement of the server's FIN.
func (b *buckets) lastACK() lab.Match {
	var fin uint32
	seen, lost := false, false
	return func(c *lab.Crossing) bool {
		switch s := &c.Segment; {
		case c.From != b.Host && lab.FIN(c):
			fin, seen = s.Seq+uint32(s.Len)+1, true
		case c.From == b.Host && seen && !lost && lab.PureACK(c) && s.Ack == fin:
			lost = true
			return true
		}
		return false
	}
}

// loseLastACK makes a request whose last ACK is lost, and waits for what the
// client's host answers to the FIN that comes again.
func (b *buckets) loseLastACK(ctx context.Context, answer lab.Match) ([]lab.Crossing, error) {
	crossed := len(b.tunnel.Segments())
	rule := b.tunnel.Drop(b.lastACK())
	defer rule.Remove()
	if _, err := b.all(ctx, churnOrder{To: b.service, Count: 1}); err != nil {
		return nil, err
	}
	var mine []lab.Crossing
	err := lab.Until(ctx, "the answer to the server's second FIN", func() (bool, error) {
		all := b.tunnel.Segments()
		mine = conversation(all[min(crossed, len(all)):], b.service)
		fins := 0
		for i := range mine {
			c := &mine[i]
			if c.From != b.Host && lab.FIN(c) {
				fins++
			}
			if fins > 1 && c.From == b.Host && answer(c) {
				return true, nil
			}
		}
		return false, nil
	})
	return mine, err
}

// conversation gives what crossed on the last connection to a service.
func conversation(crossed []lab.Crossing, service netip.AddrPort) (mine []lab.Crossing) {
	syn := lastOf(crossed, func(c *lab.Crossing) bool { return lab.SYN(c) && c.Segment.Dst == service })
	if syn == nil {
		return nil
	}
	for _, c := range crossed {
		if c.Segment.Src == syn.Segment.Src || c.Segment.Dst == syn.Segment.Src {
			mine = append(mine, c)
		}
	}
	return mine
}

func (b *buckets) reset(ctx context.Context) error {
	step := lab.Step{Name: "reset", Title: "The last ACK is lost, and no TIME-WAIT is there"}
	crossed, err := b.loseLastACK(ctx, lab.RST)
	if err != nil {
		return err
	}
	step.Segments = since(crossed, lab.FIN)
	step.Done = []string{"crawler makes one more request. The ACK of the server's FIN is lost."}
	step.Shown = []string{"The close, as it crossed:"}
	step.Means = []string{"The server sends its FIN again, to a host that no longer knows the connection and answers by RST. Its end closes by a reset, though both sides had closed in order. " +
		"For the same reason an old segment that is late could reach a new connection over the same ports."}
	b.Tell(step)
	return nil
}

func (b *buckets) acknowledged(ctx context.Context) error {
	step := lab.Step{Name: "acknowledged", Title: "The last ACK is lost, and TIME-WAIT answers"}
	if err := set(b.Host, map[string]int{"tcp_max_tw_buckets": b.before}); err != nil {
		return err
	}
	crossed, err := b.loseLastACK(ctx, lab.PureACK)
	if err != nil {
		return err
	}
	if lastOf(crossed, lab.RST) != nil {
		return fmt.Errorf("a reset crossed, though the limit was back")
	}
	step.Segments = since(crossed, lab.FIN)
	step.Done = []string{fmt.Sprintf("net.ipv4.tcp_max_tw_buckets is back at %s, and the same is done again.", step.Count("before_count", b.before))}
	step.Shown = []string{"The close, as it crossed:"}
	step.Means = []string{"This is what TIME-WAIT is for: it acknowledges again, and both ends close in order. The limit is a guard of the host's memory, of some hundred bytes each, and no cure."}
	b.Tell(step)
	return nil
}
