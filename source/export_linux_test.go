package source

import (
	"context"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// MayBind tells whether a TCP socket in the namespace of the calling thread may
// merely be bound.
func MayBind() (bool, error) {
	counters, err := procfs.FS{}.SocketCounters()
	return mayBind("", counters), err
}

// CountHere counts by state in the namespace of the calling thread, with the
// counters of the procfs that is mounted at root.
func CountHere(ctx context.Context, root string) (tcpvet.Census, error) {
	l := &netlinked{live{table: netlink{}, fs: procfs.FS{Root: root}}}
	id, err := netns.Self()
	if err != nil {
		return tcpvet.Census{}, err
	}
	c := tcpvet.Census{Groups: make(map[tcpvet.Group]*tcpvet.Tally), Netns: make(map[tcpvet.NetnsID]tcpvet.Netns)}
	v := &visit{live: &l.live, o: withRoles(&gapKeeper{census: &c})}
	return c, l.countNamespace(ctx, v, &c, netns.Found{ID: id}, nil)
}
