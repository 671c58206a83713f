package source

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/fold"
)

// TakeOptions say how to take a Census. The zero value counts every socket.
type TakeOptions struct {
	Fold fold.Options

	// Watch, where it is not nil, wraps what the source reports to. Then each
	// socket is told; else, and without Fold.Select, the kernel may count them.
	Watch func(tcpvet.Observer) tcpvet.Observer

	// Count, where it is not nil, is told how many more sockets were counted.
	Count func(sockets uint64)
}

// counter tells how many sockets pass.
type counter struct {
	tcpvet.Observer
	count func(uint64)
}

func (c counter) Socket(s *tcpvet.Socket) error {
	c.count(1)
	return c.Observer.Socket(s)
}

// counting is a Source that can have sockets counted for less than it takes to tell
// each.
type counting interface {
	// fold counts into f what Look would tell, and tells count of it, which may
	// be nil. ok is false where it cannot do that for q, and has done nothing.
	fold(ctx context.Context, q Query, f *fold.Folder, count func(uint64)) (ok bool, err error)
}

// Take looks once and folds what it sees. On an error the Census holds what was
// seen until then.
func Take(ctx context.Context, src Source, q Query, opt TakeOptions) (tcpvet.Census, error) {
	start := time.Now()
	var c tcpvet.Census
	var err error
	for try := 1; ; try++ {
		f := fold.New(opt.Fold)
		var o tcpvet.Observer = f
		if opt.Count != nil {
			o = counter{o, opt.Count}
		}
		if opt.Watch != nil {
			o = opt.Watch(o)
		}
		folded := false
		if c, ok := src.(counting); ok && opt.Fold.Select == nil && opt.Watch == nil {
			folded, err = c.fold(ctx, q, f, opt.Count)
		}
		if !folded {
			err = src.Look(ctx, q, o)
		}
		c = f.Census()
		if !errors.Is(err, ErrInconsistent) {
			break
		}
		if try == maxTries {
			c.Gaps = append(c.Gaps, Inconsistent())
			err = nil
			break
		}
	}
	c.Taken, c.Duration = start, time.Since(start)
	c.Source, c.Facts = src.Name(), Known(src, q)
	if s, ok := src.(saved); ok {
		c.Taken, c.Duration = s.Taken(), 0
	}
	c.Self, c.Whole = Scope(src, q)
	return c, err
}

// Known gives what a look by src for q tells.
func Known(src Source, q Query) tcpvet.Facts { return src.Facts(q.Want | free) }

// Origin gives when src looks, and at which host: the zero time and "" where it
// holds a look that does not say.
func Origin(src Source) (taken time.Time, host string) {
	if s, ok := src.(saved); ok {
		return s.Taken(), s.Host()
	}
	host, _ = os.Hostname()
	return time.Now(), host
}

// Scope gives the namespace of the one who looks, and whether every namespace
// is looked at.
func Scope(src Source, q Query) (self tcpvet.NetnsID, whole bool) {
	if s, ok := src.(saved); ok {
		self, whole = s.Self()
		return self, whole && len(q.Netns.Names) == 0
	}
	id, err := netns.Self()
	if err != nil {
		return 0, q.Netns.All
	}
	return id, q.Netns.All
}

// free holds the facts that come with every socket, asked for or not.
const free = tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactInode | tcpvet.FactUID |
	tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactCgroup | tcpvet.FactMini | tcpvet.FactTimeWait | tcpvet.FactListeners | tcpvet.FactNetns

// saved is a Source that holds an earlier look.
type saved interface {
	// Taken is when the look was, the zero time where the file does not say,
	// and Host whose sockets they are, "" likewise.
	Taken() time.Time
	Host() string

	// Self is the namespace of the one who looked; whole tells that every
	// namespace was looked at.
	Self() (self tcpvet.NetnsID, whole bool)
}

// maxTries is how often Take looks while the kernel calls the result
// inconsistent.
const maxTries = 3

// ErrInconsistent ends a look that is complete, but during which the kernel's
// list of sockets changed in a way that could not be made good: the kernel says
// so (NLM_F_DUMP_INTR), or a second look found its place no more. Some sockets
// may be missing or told twice.
var ErrInconsistent = errors.New("the kernel's list of sockets changed while it was read")

// Inconsistent gives the gap that stands for ErrInconsistent.
func Inconsistent() tcpvet.Gap {
	return tcpvet.Gap{What: "some sockets", Err: ErrInconsistent.Error() + ": they may be missing or told twice"}
}

// ErrBlind is the cause where a look could see nothing at all.
var ErrBlind = errors.New("nothing could be looked at")
