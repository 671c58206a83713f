package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// KeepaliveOff sets tcp_keepalive_time for two connections, of which one has
// SO_KEEPALIVE.
var KeepaliveOff = &lab.Scenario{
	Name:   "keepalive-off",
	Title:  "net.ipv4.tcp_keepalive_time does nothing for a socket without SO_KEEPALIVE",
	Source: "article: why tcp_keepalive_time has no effect; tcp(7), tcp_keepalive_time; socket(7), SO_KEEPALIVE",
	Claims: []int{26},
	Acts:   []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		o := &keepaliveOff{Stage: s}
		return inOrder(ctx, o.open, o.idle, o.on, func(ctx context.Context) error {
			return quiet(ctx, s, "Two idle connections that work are no finding.")
		})
	},
}

// keepaliveOff is a play of KeepaliveOff under way.
type keepaliveOff struct {
	*lab.Stage
	*linkedPair                // without SO_KEEPALIVE
	probed      *connectedPair // with it
}

func (o *keepaliveOff) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "Two connections under one setting"}
	const seconds = 1
	if err := set(o.Host, map[string]int{"tcp_keepalive_time": seconds, "tcp_keepalive_intvl": seconds}); err != nil {
		return err
	}
	if o.linkedPair, err = linkPair(ctx, o.Stage, &step); err != nil {
		return err
	}
	if o.probed, err = o.another(ctx, keepalive); err != nil {
		return err
	}
	step.Done = append(step.Done,
		fmt.Sprintf("On the client's host net.ipv4.tcp_keepalive_time and net.ipv4.tcp_keepalive_intvl are %s, for as many seconds.", step.Count("time_seconds", seconds)),
		fmt.Sprintf("The connection from port %s is as socket() and connect() make it: as Python's requests does. Another one, from port %s, has SO_KEEPALIVE, by one call of setsockopt().",
			step.ID("client_port", int(o.from.Port())), step.ID("probed_port", int(o.probed.from.Port()))))
	o.Tell(step)
	return nil
}

// rounds is how many probes are waited for.
const rounds = 3

func (o *keepaliveOff) idle(ctx context.Context) error {
	step := lab.Step{Name: "idle", Title: "Nobody sends anything"}
	probes, err := o.tap.Wait(ctx, rounds, o.probed.clientSends(keepaliveProbe))
	if err != nil {
		return err
	}
	plain := o.tap.Select(o.clientSends(keepaliveProbe))
	if len(plain) > 0 {
		return fmt.Errorf("the connection without SO_KEEPALIVE has sent probes: %v", texts(plain))
	}
	off, err := socketAt(ctx, o.Stage, o.Host, o.from, o.service)
	if err != nil {
		return err
	}
	on, err := socketAt(ctx, o.Stage, o.Host, o.probed.from, o.service)
	if err != nil {
		return err
	}
	if off == nil || on == nil || off.Timer.Kind != tcpvet.TimerNone || on.Timer.Kind != tcpvet.TimerKeepalive {
		return fmt.Errorf("the client's ends are %+v and %+v, not one without a timer and one with that of keepalive", off, on)
	}
	step.Segments = since(o.tap.Segments(), o.probed.clientSends(keepaliveProbe))
	step.Shown = []string{
		fmt.Sprintf("In %s, the connection with SO_KEEPALIVE has sent %s probes. The other one has sent %s.",
			step.Seconds("watched_seconds", time.Duration(probes[rounds-1].Segment.At-o.tap.Segments()[0].Segment.At)),
			step.Count("probes_count", len(probes)), step.Count("plain_probes_count", len(plain))),
		"ss -o shows timer:(keepalive,...) for the one, and no timer for the other.",
	}
	step.Means = []string{
		"The article is right here: tcp_keepalive_time, like the other two of its kind, is a default for sockets that ask for keepalive. It turns nothing on. An idle connection without any timer is how one that has not asked shows.",
	}
	o.Tell(step)
	return nil
}

func (o *keepaliveOff) on(ctx context.Context) error {
	step := lab.Step{Name: "on", Title: "SO_KEEPALIVE for the other one too"}
	if err := o.set(ctx, keepalive); err != nil {
		return err
	}
	if _, err := o.tap.Wait(ctx, 1, o.clientSends(keepaliveProbe)); err != nil {
		return err
	}
	step.Segments = since(o.tap.Select(lab.OnPort(o.from.Port(), lab.AnySegment)), o.clientSends(keepaliveProbe))
	step.Done = []string{"shop-client calls setsockopt(SO_KEEPALIVE) for the first connection, which has been open all the time."}
	step.Shown = []string{"Its first probe crosses:"}
	step.Means = []string{"Only now the setting holds for it. The call may come at any time, but it has to come from the program, or from something that acts in its place."}
	o.Tell(step)
	return nil
}
