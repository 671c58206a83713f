package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// ReuseaddrTimeWait starts a server again while connections of the one before
// are in TIME-WAIT at its port.
var ReuseaddrTimeWait = &lab.Scenario{
	Name:   "reuseaddr-time-wait",
	Title:  "a server that is started again meets its own TIME-WAIT, and SO_REUSEADDR",
	Source: "article: SO_REUSEADDR and a listening port; socket(7), SO_REUSEADDR; inet_bind_conflict in the kernel",
	Claims: []int{17},
	Acts:   []lab.Act{socketCalls},
	Play: func(ctx context.Context, s *lab.Stage) error {
		r := &restart{Stage: s}
		return inOrder(ctx, r.without, r.tooLate, r.with, r.listener, func(ctx context.Context) error {
			return quiet(ctx, s, "A TIME-WAIT at a listener's port takes nothing from anybody.")
		})
	},
}

// restart is a play of ReuseaddrTimeWait under way.
type restart struct {
	*lab.Stage
	client caller
}

// serveOnce starts a server, has it close a connection first, and end.
func (r *restart) serveOnce(ctx context.Context, on netip.AddrPort, reuse bool) error {
	server, err := startCaller(r.Host, "stock-server", on)
	if err != nil {
		return err
	}
	l, err := server.must(ctx, callListen, listenCall{On: on, Reuse: reuse})
	if err != nil {
		return err
	}
	if r.client.Process == nil {
		if r.client, err = startCaller(r.Host, "shop-client", on); err != nil {
			return err
		}
	}
	c, err := r.client.must(ctx, callConnect, connectCall{To: on})
	if err != nil {
		return err
	}
	s, err := server.must(ctx, callAccept, socketCall{l.FD})
	if err != nil {
		return err
	}
	if _, err := server.must(ctx, callClose, socketCall{s.FD}); err != nil {
		return err
	}
	if _, err := r.client.must(ctx, callHangUp, socketCall{c.FD}); err != nil {
		return err
	}
	if _, err := r.Settled(ctx, on, "the server's end to be in TIME-WAIT", states(0, tcpvet.TimeWait)); err != nil {
		return err
	}
	server.Kill()
	return nil
}

// listen starts a server that only listens. It has to fail with EADDRINUSE, or to
// succeed.
func (r *restart) listen(ctx context.Context, on netip.AddrPort, reuse, inUse bool) (caller, returned, error) {
	server, err := startCaller(r.Host, "stock-server", on)
	if err != nil {
		return server, returned{}, err
	}
	order := listenCall{On: on, Reuse: reuse}
	var l returned
	if inUse {
		l, err = server.mustFail(ctx, callListen, order, "bind", "EADDRINUSE")
	} else {
		l, err = server.must(ctx, callListen, order)
	}
	return server, l, err
}

// stays makes sure that the TIME-WAIT is still there. One that has ended does not come
// again, so that nothing is waited for.
func (r *restart) stays(ctx context.Context, on netip.AddrPort) (lab.Ends, error) {
	ends, err := r.Ends(ctx, on)
	if err == nil && !states(0, tcpvet.TimeWait)(ends) {
		err = fmt.Errorf("look for the TIME-WAIT on %s, which lasts for 60 s: the ends are: %v", on, ends)
	}
	return ends, err
}

func (r *restart) without(ctx context.Context) error {
	step := lab.Step{Name: "without", Title: "Without the option"}
	if err := keepTimeWaits(&step, r.Host); err != nil {
		return err
	}
	if err := r.serveOnce(ctx, stock, false); err != nil {
		return err
	}
	ends, err := r.Ends(ctx, stock)
	if err != nil {
		return err
	}
	_, failed, err := r.listen(ctx, stock, false, true)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = append(step.Done,
		fmt.Sprintf("stock-server listens on %s, without SO_REUSEADDR. A client connects, the server closes first, then the client does. Then the server ends, and another is started.", stock))
	step.Shown = []string{
		fmt.Sprintf("The new one gets \"%v\" (errno %s, %s). What is there:", failed.Failure, step.ID("errno", failed.Failure.Errno), failed.Failure.name()),
	}
	step.Means = []string{"The TIME-WAIT that the old server's close left has the port, and no process has the TIME-WAIT: waiting for its end is all that is left, or the option."}
	r.Tell(step)
	return nil
}

// tooLate sets the option only in the second server.
func (r *restart) tooLate(ctx context.Context) error {
	step := lab.Step{Name: "too-late", Title: "With the option in the new server only"}
	_, failed, err := r.listen(ctx, stock, true, true)
	if err != nil {
		return err
	}
	ends, err := r.stays(ctx, stock)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{"Another server is started, and this one sets SO_REUSEADDR before bind()."}
	step.Shown = []string{fmt.Sprintf("\"%v\" (errno %s, %s), as before.", failed.Failure, step.ID("errno", failed.Failure.Errno), failed.Failure.name())}
	step.Means = []string{
		"Linux wants the option on both: on the socket that binds, and on the one that became the TIME-WAIT, which has it from the listener that accepted it. So a server that is given the option now has to wait once more.",
	}
	r.Tell(step)
	return nil
}

// with sets it in both.
func (r *restart) with(ctx context.Context) error {
	step := lab.Step{Name: "with", Title: "With the option from the beginning"}
	if err := r.serveOnce(ctx, prices, true); err != nil {
		return err
	}
	if _, _, err := r.listen(ctx, prices, false, true); err != nil {
		return fmt.Errorf("a new server without the option: %w", err)
	}
	server, l, err := r.listen(ctx, prices, true, false)
	if err != nil {
		return err
	}
	ends, err := r.stays(ctx, prices)
	if err != nil {
		return err
	}
	c, err := r.client.must(ctx, callConnect, connectCall{To: prices})
	if err != nil {
		return err
	}
	s, err := server.must(ctx, callAccept, socketCall{l.FD})
	if err != nil {
		return err
	}
	if _, err := r.client.must(ctx, callClose, socketCall{c.FD}); err != nil {
		return err
	}
	if _, err := server.must(ctx, callHangUp, socketCall{s.FD}); err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("The same on %s with a server that sets SO_REUSEADDR. Of the new ones, the first does not set it, the second does.", prices)}
	step.Shown = []string{"The first gets EADDRINUSE. The second listens, while the TIME-WAIT is still there, and a client connects to it and is accepted:"}
	step.Means = []string{
		"As the article says: with SO_REUSEADDR a server can bind a port that has connections in TIME-WAIT. It is safe: the TIME-WAIT stays, and goes on to answer for the old connection. " +
			"The option does nothing for a client that is short of ports.",
	}
	r.Tell(step)
	return nil
}

// listener meets one that listens.
func (r *restart) listener(ctx context.Context) error {
	step := lab.Step{Name: "listener", Title: "What the option does not allow"}
	_, failed, err := r.listen(ctx, prices, true, true)
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("One more server with SO_REUSEADDR on %s, where one listens.", prices)}
	step.Shown = []string{fmt.Sprintf("\"%v\" (errno %s, %s).", failed.Failure, step.ID("errno", failed.Failure.Errno), failed.Failure.name())}
	step.Means = []string{"Two listeners at one port need SO_REUSEPORT, which is another option."}
	r.Tell(step)
	return nil
}
