package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
	"github.com/tcpvet/tcpvet/source/sockdiag"
)

// shutDown says that a socket was closed in order.
const shutDown = "shut down in order"

var (
	errDeadly    = errors.New("SIGPIPE would end its program at the next write")
	errUnheld    = errors.New("no process holds it")
	errUnseen    = errors.New("no process that can be seen holds it")
	errNotAsSeen = errors.New("it is no longer as it was listed")
)

// ways tells which sockets can be shut down through their processes. It asks each
// process once.
type ways struct {
	of  *closing
	why map[tcpvet.Process]error
}

func newWays(a *closing) *ways { return &ways{a, make(map[tcpvet.Process]error)} }

// inOrder tells why a socket in CLOSE-WAIT cannot be shut down in order, nil where it
// can be.
func (w *ways) inOrder(t *tcpvet.Target) error {
	switch {
	case t.Inode == 0:
		return errUnheld
	case !t.Holder.Known():
		return fmt.Errorf("%w; needs %s", errUnseen, procfs.PtraceNeeds())
	}
	return allFit(w.fit, t.Holder, w.of.kept[socketName{t.Netns, t.Cookie}].shared)
}

// fit is mayShutDown, asked once of each process.
func (w *ways) fit(p tcpvet.Process) error {
	err, known := w.why[p]
	if !known {
		err = mayShutDown(p)
		w.why[p] = err
	}
	return err
}

// mayShutDown tells why the sockets of a process cannot be shut down. A write to a
// socket that was shut down brings SIGPIPE at once, one to a socket that was destroyed
// ECONNABORTED first (sk_stream_error): a program that would die of the signal gets
// the error.
func mayShutDown(p tcpvet.Process) error {
	handled, err := procfs.FS{}.Handles(p, unix.SIGPIPE)
	if err != nil {
		return notRead(err)
	}
	if !handled {
		return errDeadly
	}
	l, err := openLender(p)
	if err != nil {
		return err
	}
	defer l.close()
	return l.allowed()
}

// abrupt counts the sockets in CLOSE-WAIT that cannot be shut down in order, of the
// changes that are still to be made.
func (a *closing) abrupt(changes []tcpvet.Change) (n abruptClose) {
	const named = 3
	w := newWays(a)
	for i := range changes {
		c := &changes[i]
		if c.Outcome != tcpvet.OutcomePlanned || c.Before.State != tcpvet.CloseWait {
			continue
		}
		switch err := w.inOrder(&c.Target); {
		case errors.Is(err, errDeadly):
			n.deadly++
			name := fmt.Sprintf("%s[%d]", c.Target.Comm, c.Target.Holder.PID)
			if len(n.programs) < named && !slices.Contains(n.programs, name) {
				n.programs = append(n.programs, name)
			}
		case err != nil:
			n.other++
		}
	}
	return n
}

// closeInOrder shuts sockets in CLOSE-WAIT down through their processes, and tells of
// those that have ended by that. The rest is to be destroyed, for which destroy is nil
// where it can be.
func (a *closing) closeInOrder(ctx context.Context, c *sockdiag.Conn, changes []tcpvet.Change, places []int, destroy error, tell Tell) ([]abruptly, error) {
	var rest []abruptly
	var held []int
	var targets []tcpvet.Target
	w := newWays(a)
	for _, i := range places {
		t := &changes[i].Target
		if changes[i].Before.State != tcpvet.CloseWait {
			rest = append(rest, abruptly{place: i})
		} else if err := w.inOrder(t); err != nil {
			rest = append(rest, abruptly{place: i, why: err.Error()})
		} else {
			held, targets = append(held, i), append(targets, *t)
		}
	}
	var sent []int
	err := borrow(ctx, targets, w.fit, func(n, fd int, err error) {
		if err == nil {
			err = shutdown(fd, &targets[n])
		}
		if err == nil {
			sent = append(sent, held[n])
		} else {
			rest = append(rest, abruptly{place: held[n], why: err.Error()})
		}
	})
	// What was shut down is told of, even where ctx has ended.
	open, lerr := a.settled(ctx, c, changes, sent, tell)
	if err == nil && lerr == nil && destroy == nil {
		why := fmt.Sprintf("the peer did not acknowledge the FIN within %v", a.settle)
		for _, i := range open {
			rest = append(rest, abruptly{place: i, why: why, shut: true})
		}
		return rest, nil
	}
	for _, i := range open {
		changes[i].After.State = tcpvet.LastAck
		tell(i, tcpvet.OutcomeApplied, "shut down; it ends once the peer has acknowledged the FIN, or is given up")
	}
	return rest, errors.Join(err, lerr)
}

// shutdown shuts the socket down that fd is, if it is still the connection that was
// listed: a socket can be used for another one.
func shutdown(fd int, t *tcpvet.Target) error {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return fmt.Errorf("read its state: %w", err)
	}
	local, err1 := unix.Getsockname(fd)
	remote, err2 := unix.Getpeername(fd)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("read its addresses: %w", err)
	}
	if tcpvet.State(info.State) != tcpvet.CloseWait || endpoint(local) != tcpvet.Unmap(t.Local) || endpoint(remote) != tcpvet.Unmap(t.Remote) {
		return errNotAsSeen
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return fmt.Errorf("shut it down: %w", err)
	}
	return nil
}

// settled waits until sockets that were shut down have ended, and tells of those. It
// gives the others.
func (a *closing) settled(ctx context.Context, c *sockdiag.Conn, changes []tcpvet.Change, sent []int, tell Tell) (open []int, err error) {
	open = sent
	const first, longest = 2 * time.Millisecond, 100 * time.Millisecond
	for end, pause := time.Now().Add(a.settle), first; len(open) > 0; pause = min(2*pause, longest) {
		now := open
		open = nil
		looked := 0
		err := c.Lookup(context.WithoutCancel(ctx), a.ids(changes, now), func(n int, _ *tcpvet.Socket, err error) {
			looked++
			if errors.Is(err, sockdiag.ErrGone) {
				tell(now[n], tcpvet.OutcomeApplied, shutDown)
			} else {
				open = append(open, now[n])
			}
		})
		if err != nil {
			// Those that could not be looked up are taken to be there.
			return append(open, now[min(looked, len(now)):]...), err
		}
		if len(open) == 0 || time.Now().After(end) {
			break
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return open, ctx.Err()
		case <-t.C:
		}
	}
	return open, nil
}
