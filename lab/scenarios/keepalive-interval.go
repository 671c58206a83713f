package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveInterval measures when probes are sent that nobody answers, with the
// settings that the article gives, in small.
var KeepaliveInterval = &lab.Scenario{
	Name:   "keepalive-interval",
	Title:  "keepalive probes come at a constant interval",
	Source: "article: probes after 15, 30, 45, 60 and 75 s; Documentation/networking/ip-sysctl.rst, tcp_keepalive_intvl",
	Claims: []int{27},
	Needs:  []lab.Need{lab.TUN},
	Acts:   []lab.Act{socketCalls},
	Constants: []string{
		"1800, 15 and 5", "15, 30, 45, 60 and 75 s", "1800 + 5 x 15 = 1,875 s", "1,800 + 15 + 30 + 45 + 60 + 75",
	},
	Play: func(ctx context.Context, s *lab.Stage) error {
		i := &interval{Stage: s}
		return inOrder(ctx, i.open, i.probes, i.sum, func(ctx context.Context) error {
			return quiet(ctx, s, "The client's end is gone. What the server keeps is one idle connection, which is no finding.")
		})
	},
}

// The article's settings in small: the time before the first probe is shorter,
// the number is the same, and the interval is a second in place of 15.
const (
	smallTime, smallInterval, smallProbes = 2, 1, 5
)

// interval is a play of KeepaliveInterval under way.
type interval struct {
	*lab.Stage
	*connectedPair
	tunnel *lab.Tunnel
	read   awaited
	heard  time.Time     // when the last segment came to the client
	last   time.Duration // between the last two probes
}

func (i *interval) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "The article's settings, in small"}
	err = set(i.Host, map[string]int{"tcp_keepalive_time": smallTime, "tcp_keepalive_intvl": smallInterval, "tcp_keepalive_probes": smallProbes})
	if err != nil {
		return err
	}
	if i.connectedPair, i.tunnel, err = tunnelPair(ctx, i.Stage, &step); err != nil {
		return err
	}
	if err := i.set(ctx, keepalive); err != nil {
		return err
	}
	if err := i.talk(ctx); err != nil {
		return err
	}
	i.tunnel.Cut()
	step.Done = append(step.Done,
		fmt.Sprintf("The article writes 1800, 15 and 5 to net.ipv4.tcp_keepalive_time, net.ipv4.tcp_keepalive_intvl and net.ipv4.tcp_keepalive_probes. Here, on the client's host, they are %s, %s and %s.",
			step.Count("time_seconds", smallTime), step.Count("interval_seconds", smallInterval), step.Count("probes_count", smallProbes)),
		"shop-client sets SO_KEEPALIVE and nothing else, so these hold for its connection. A request is answered. Then the way breaks, and the client calls read().")
	i.Tell(step)
	return nil
}

func (i *interval) probes(ctx context.Context) error {
	step := lab.Step{Name: "probes", Title: "Probes that nobody answers"}
	all, err := i.client.awaits(ctx, i.inClient)
	if err != nil {
		return err
	}
	i.read = all[0]
	if err := i.read.timedOut(); err != nil {
		return err
	}
	if _, err := i.tunnel.Wait(ctx, 1, lost(i.clientSends(lab.RST))); err != nil {
		return err
	}
	segments := i.tunnel.Segments()
	var ok bool
	if i.heard, ok = i.connectedPair.heard(segments); !ok {
		return fmt.Errorf("no segment of the server has crossed")
	}
	segments = i.tunnel.Select(lost(i.clientSends(lab.AnySegment)))
	if len(segments) != smallProbes+1 || !lab.RST(&segments[smallProbes]) {
		return fmt.Errorf("the client sent other segments than %d probes and an RST: %v", smallProbes, texts(segments))
	}
	if _, err := i.client.must(ctx, callClose, socketCall{i.inClient}); err != nil {
		return err
	}
	gaps := ""
	for n := 1; n < smallProbes; n++ {
		gap := time.Duration(segments[n].Segment.At - segments[n-1].Segment.At)
		if n > 1 {
			gaps += ", "
		}
		gaps += step.Seconds(fmt.Sprintf("gap_%d_seconds", n), gap)
		i.last = gap
	}
	// The article has the fifth come five intervals after the fourth.
	if article := smallProbes * smallInterval * time.Second; i.last >= article {
		return fmt.Errorf("the last probe came %s after the one before, where the article has %s and the kernel's documentation %d s", i.last, article, smallInterval)
	}
	step.Segments = segments
	step.Shown = []string{fmt.Sprintf("The first probe comes %s after the last segment of the server. Between one probe and the next lie %s.",
		step.Seconds("first_seconds", time.Unix(0, segments[0].Segment.At).Sub(i.heard)), gaps)}
	step.Means = []string{
		"The article says that with its settings the probes come at intervals of 15, 30, 45, 60 and 75 s. That is false: the interval is constant. What doubles its pauses is the retransmission of data, which scenario half-open shows.",
	}
	i.Tell(step)
	return nil
}

func (i *interval) sum(ctx context.Context) error {
	step := lab.Step{Name: "sum", Title: "When it ends"}
	took := i.read.At.Sub(i.heard)
	constant := smallTime + smallProbes*smallInterval
	article := smallTime
	for n := 1; n <= smallProbes; n++ {
		article += n * smallInterval
	}
	if least := time.Duration(constant) * time.Second; took < least-tick {
		return fmt.Errorf("the connection ended %s after its last segment, and could not before %s", took, least)
	}
	if took >= time.Duration(article)*time.Second {
		return fmt.Errorf("the connection ended %s after its last segment, not before the %d s of the article", took, article)
	}
	if _, err := i.Settled(ctx, i.service, "the client's end to be gone", states(0, tcpvet.Established)); err != nil {
		return err
	}
	step.Shown = []string{fmt.Sprintf("read() fails %s after the last segment of the server: \"%v\" (errno %s, %s).",
		step.Seconds("end_seconds", took), i.read.Failure, step.ID("errno", i.read.Failure.Errno), i.read.Failure.name())}
	step.Means = []string{
		fmt.Sprintf("The kernel's rule gives %s + %s x %s = %s s. With growing intervals it would have been %s s.", step.Count("time_seconds", smallTime),
			step.Count("probes_count", smallProbes), step.Count("interval_seconds", smallInterval), step.Count("predicted_seconds", constant), step.Count("growing_seconds", article)),
		"By the same rule the article's settings find a dead peer after 1800 + 5 x 15 = 1,875 s, not after 1,800 + 15 + 30 + 45 + 60 + 75.",
	}
	i.Tell(step)
	return nil
}
