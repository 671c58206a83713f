package source

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/fold"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// worthLoading is how many open files make it worth to load programs: that takes
// about 70 ms of CPU, and the scan of /proc/PID/fd that it saves about 4 us a
// descriptor more than the pass over them.
const worthLoading = 20_000

// best is what a machine with sock_diag has: netlink, and the iterators for a look
// that they make cheaper, or more complete.
type best struct {
	netlinked
	least     uint64     // open files that make it worth to load programs
	iterators *iterators // nil before they are worth it
	failed    error      // why there are none
	used      Source
	why       string
}

// Name is that of the last look, of the next where settle was asked.
func (b *best) Name() string {
	if b.used == nil {
		return b.netlinked.Name()
	}
	return b.used.Name()
}

// CountStates is netlink's: nothing is cheaper.
func (b *best) CountStates(ctx context.Context, q Query) (tcpvet.Census, error) {
	b.used, b.why = &b.netlinked, "totals by state need no list of sockets"
	return b.netlinked.CountStates(ctx, q)
}

func (b *best) Look(ctx context.Context, q Query, o tcpvet.Observer) error {
	err := b.choose(q).Look(ctx, q, o)
	if unloaded(err) {
		return b.fallBack(err).Look(ctx, q, o)
	}
	return err
}

func (b *best) fold(ctx context.Context, q Query, f *fold.Folder, count func(uint64)) (ok bool, err error) {
	i, chosen := b.choose(q).(*iterators)
	if !chosen {
		return false, nil
	}
	ok, err = i.fold(ctx, q, f, count)
	if unloaded(err) {
		b.fallBack(err)
		return false, nil
	}
	return ok, err
}

// choose gives the source that looks for q, and remembers it.
func (b *best) choose(q Query) Source {
	b.used, b.why = b.pick(q.Want)
	return b.used
}

// pick gives the source that looks for what is wanted, and why.
func (b *best) pick(want tcpvet.Facts) (src Source, why string) {
	files, err := b.fs.OpenFiles()
	switch {
	case want&ofHolders == 0:
		return &b.netlinked, "nobody asked who holds the sockets"
	case err != nil:
		return &b.netlinked, "how large the host is cannot be told: " + err.Error()
	case files < b.least && procfs.MayReadDescriptors():
		return &b.netlinked, fmt.Sprintf("with %d files open on this host it costs least; bpf is for %d and more", files, b.least)
	}
	if b.iterators == nil && b.failed == nil {
		if b.failed = probeBPF(); b.failed == nil {
			b.iterators = newIterators()
		}
	}
	switch {
	case b.failed != nil:
		return &b.netlinked, b.failed.Error()
	case files < b.least:
		return b.iterators, "it sees who holds the sockets of other users, and /proc does not show that without CAP_SYS_PTRACE"
	}
	return b.iterators, fmt.Sprintf("with %d files open on this host it costs least", files)
}

// Facts are those of the last look, or of the one to come: netlink has to ask the
// kernel what it tells, by going through its table.
func (b *best) Facts(want tcpvet.Facts) tcpvet.Facts {
	src := b.used
	if src == nil {
		src, _ = b.pick(want)
	}
	return src.Facts(want)
}

// fallBack gives what looks where the kernel did not take the programs.
func (b *best) fallBack(err error) Source {
	b.iterators, b.failed = nil, err
	b.used, b.why = &b.netlinked, err.Error()
	return b.used
}

// settle is choose, and makes sure of it.
func (b *best) settle(q Query) Source {
	if i, ok := b.choose(q).(*iterators); ok {
		if err := i.load(); err != nil {
			b.fallBack(err)
		}
	}
	return b.used
}

func (b *best) reason() string { return b.why }
