package source

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/source/procfs"
	"github.com/tcpvet/tcpvet/source/sockdiag"
)

// ErrUnknown is the cause where a kind of source has no such name.
var ErrUnknown = errors.New("unknown kind of source")

// Open gives the source of that kind for this machine: "bpf", "netlink", "procfs", or
// "auto" for the best that it allows, which may be one for one look and another for
// the next; see Why.
func Open(kind string) (Source, error) {
	switch kind {
	case "bpf":
		i, err := openIterators()
		if err != nil {
			return nil, err
		}
		return i, nil
	case "netlink":
		if err := reachable(); err != nil {
			return nil, fmt.Errorf("open source netlink: %w; try procfs", err)
		}
		return &netlinked{live{table: netlink{}}}, nil
	case "procfs":
		return &live{table: proc{}}, nil
	case "auto", "":
		if reachable() == nil {
			return &best{netlinked: netlinked{live{table: netlink{}}}, least: worthLoading}, nil
		}
		if i, err := openIterators(); err == nil {
			return i, nil // it tells what /proc/net/tcp does not
		}
		return &live{table: proc{}}, nil
	}
	return nil, fmt.Errorf("%w %q: expected auto, bpf, netlink or procfs", ErrUnknown, kind)
}

// reachable tells whether sock_diag can be asked: seccomp filters of
// containers may forbid its socket.
func reachable() error { return sockdiag.Probe() }

// netlink reads by sock_diag.
type netlink struct{}

const netlinkFacts = tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactInode | tcpvet.FactUID |
	tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactCgroup | tcpvet.FactMini | tcpvet.FactTimeWait |
	tcpvet.FactListeners

func (netlink) name() string { return "netlink" }

func (netlink) facts(want tcpvet.Facts) tcpvet.Facts {
	known := want & netlinkFacts
	if want.Has(tcpvet.FactBound) && tellsBound() {
		known |= tcpvet.FactBound
	}
	return known
}

// tellsBound asks once: an older kernel passes over the bit and says nothing.
var tellsBound = sync.OnceValue(func() bool { return kernel.BoundInactive() == nil })

func (netlink) sockets(ctx context.Context, q Query, yield func(*tcpvet.Socket) error) (outcome, error) {
	c, err := sockdiag.Dial()
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	r := sockdiag.Request{States: q.states(), Info: q.Want.Has(tcpvet.FactInfo)}
	listen := tcpvet.SetOf(tcpvet.Listen)
	var first sockdiag.Stats
	if len(q.Filter) > 0 && q.Want.Has(tcpvet.FactListeners) {
		// All listeners, to tell roles by; the kernel keeps them apart.
		only := r
		only.States = listen
		if first, err = c.Dump(ctx, only, yield); err != nil {
			return outcome{}, err
		}
		if r.States &^= listen; r.States == 0 {
			return outcome{changed: uint64(first.Changed), inconsistent: unsound(first)}, nil
		}
	}
	r.Filter = q.Filter
	st, err := c.Dump(ctx, r, yield)
	return outcome{
		changed: uint64(first.Changed + st.Changed), inconsistent: unsound(first) || unsound(st), sockets: st.Sockets,
	}, err
}

// crowded says that the namespace of the calling thread has so many sockets in so
// few buckets that some may be passed over unseen.
func (l *live) crowded(sockets int) error {
	if !sockdiag.Crowded(sockets, 1) { // no table is that small
		return nil
	}
	buckets, err := l.fs.Buckets()
	if err != nil || !sockdiag.Crowded(sockets, buckets) {
		return nil // before Linux 6.1 nobody tells, and all share a table sized for the memory
	}
	return fmt.Errorf("%d sockets share %d buckets of the kernel's table: while others come and go it may pass over some", sockets, buckets)
}

// unsound tells whether sockets may be missing, or told twice.
func unsound(st sockdiag.Stats) bool { return st.Interrupted || st.Unsure > 0 }

// proc reads /proc/net/tcp and tcp6. What the kernel tells twice is dropped; that
// it passes over a socket, when another leaves the same bucket between two reads,
// cannot be seen, and is likelier than with sock_diag, whose reads are longer.
type proc struct{}

const procFacts = tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactTimer |
	tcpvet.FactMini | tcpvet.FactTimeWait | tcpvet.FactListeners

func (proc) name() string                         { return "procfs" }
func (proc) facts(want tcpvet.Facts) tcpvet.Facts { return want & procFacts }

func (proc) sockets(ctx context.Context, q Query, yield func(*tcpvet.Socket) error) (outcome, error) {
	var out outcome
	last := new(recent)
	err := procfs.FS{}.Sockets(ctx, q.states(), func(s *tcpvet.Socket) error {
		if before, ok := last.seen(s); ok {
			if before != s.State {
				out.changed++
			}
			return nil
		}
		return yield(s)
	})
	return out, err
}
