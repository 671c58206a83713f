package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// FinWait2Pileup is a client that closes its connections, towards a server that
// does not.
var FinWait2Pileup = &lab.Scenario{
	Name:    "fin-wait-2-pileup",
	Title:   "this side has closed, and the other end does not",
	Source:  "article: FIN_WAIT_2; RFC 9293, section 3.6; Documentation/networking/ip-sysctl.rst, tcp_fin_timeout",
	Claims:  []int{3},
	Expects: []string{"close-wait-leak", "fin-wait-2-pileup"},
	Acts:    []lab.Act{socketCrowd},
	Play: func(ctx context.Context, s *lab.Stage) error {
		f := &halfDone{Stage: s}
		return inOrder(ctx, f.open, f.orphaned, f.held, f.timeout, f.cure, func(ctx context.Context) error {
			return quiet(ctx, s, "Both ends have closed. TIME-WAIT ends by itself.")
		})
	},
}

const (
	halfDoneCount   = 12
	halfDoneTimeout = 2 // s, of tcp_fin_timeout for what is closed last
)

// halfDone is a play of FinWait2Pileup under way.
type halfDone struct {
	*lab.Stage
	crowds
	tap                *lab.Tap
	closed, shut, late netip.AddrPort // services, by what the client does
}

func (f *halfDone) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "A server with three services, and a client"}
	server, err := f.NewHost(ctx, "server")
	if err != nil {
		return err
	}
	link, err := f.Link(ctx, f.Host, server, lab.LinkOptions{})
	if err != nil {
		return err
	}
	if f.tap, err = f.Host.Tap(ctx, link.A.Interface); err != nil {
		return err
	}
	f.closed = netip.AddrPortFrom(link.B.Addr4, 8080)
	f.shut = netip.AddrPortFrom(link.B.Addr4, 8081)
	f.late = netip.AddrPortFrom(link.B.Addr4, 8082)
	if f.crowds, err = startCrowds(ctx, f.Host, server, f.closed, listenBacklog); err != nil {
		return err
	}
	for _, more := range []netip.AddrPort{f.shut, f.late} {
		if _, err := f.server.must(ctx, crowdListen, listenOrderOf{more, listenBacklog}); err != nil {
			return err
		}
	}
	f.introduce(&step)
	step.Done = append(step.Done, fmt.Sprintf("The server listens on %s and %s too. It will not close any connection: it does not look whether the client has.", f.shut, f.late))
	f.Tell(step)
	return nil
}

// waiting waits until the server's kernel has acknowledged the FINs.
func (f *halfDone) waiting(ctx context.Context, service netip.AddrPort) (lab.Ends, error) {
	return f.Settled(ctx, service, "the FINs to be acknowledged", func(e lab.Ends) bool {
		return e.Client[tcpvet.FinWait2] == halfDoneCount && e.Server[tcpvet.CloseWait] == halfDoneCount
	})
}

// end gives the client's end of one connection to a service, in FIN-WAIT-2 with that
// timer.
func (f *halfDone) end(ctx context.Context, service netip.AddrPort, timer tcpvet.TimerKind) (tcpvet.Socket, error) {
	sockets, err := f.Sockets(ctx, f.Host)
	if err != nil {
		return tcpvet.Socket{}, err
	}
	for _, s := range sockets {
		if tcpvet.Unmap(s.Remote) == service && s.State == tcpvet.FinWait2 && s.Timer.Kind == timer {
			return s, nil
		}
	}
	return tcpvet.Socket{}, fmt.Errorf("find a socket of the client to %s in FIN-WAIT-2 with timer %s: there is none", service, timer)
}

func (f *halfDone) orphaned(ctx context.Context) error {
	step := lab.Step{Name: "orphaned", Title: "The client closes"}
	timeout, err := setting(f.Host, "tcp_fin_timeout")
	if err != nil {
		return err
	}
	opened, err := f.connect(ctx, f.closed, halfDoneCount)
	if err != nil {
		return err
	}
	if _, err := f.client.must(ctx, crowdClose, crowdOf{f.closed}); err != nil {
		return err
	}
	ends, err := f.waiting(ctx, f.closed)
	if err != nil {
		return err
	}
	end, err := f.end(ctx, f.closed, tcpvet.TimerTimeWait)
	if err != nil {
		return err
	}
	if end.Holder != tcpvet.Nobody || end.Timer.Expires > time.Duration(timeout)*time.Second {
		return fmt.Errorf("after close() the client's end is held by %v, with a timer of %v, not by nobody for less than %d s", end.Holder, end.Timer.Expires, timeout)
	}
	if err := lab.Wait(ctx, f.Patience); err != nil {
		return err
	}
	err = f.Judge(ctx, &step, lab.Expect{
		Rules: []string{"close-wait-leak", "fin-wait-2-pileup"},
		Of: map[string]lab.Particulars{
			"close-wait-leak":   {Severity: tcpvet.Warning, Service: f.closed},
			"fin-wait-2-pileup": {Kind: "orphaned", Severity: tcpvet.Info, Service: f.closed},
		},
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("shop-client opens %s connections to %s, which the server accepts, and calls close() for each.", step.Count("connections_count", opened.Count), f.closed)}
	step.Shown = []string{
		fmt.Sprintf("The server's kernel acknowledges each FIN, and its program does nothing. ss -o showed a timewait timer of %s at one of the client's ends, and no process:",
			step.Seconds("timer_seconds", end.Timer.Expires)),
	}
	step.Means = []string{
		"FIN-WAIT-2 at this end is CLOSE-WAIT at the other. The article describes the state as a close that was asked for, while the other side still has data to send. That is half of it: " +
			"this end is in it whether the other has anything to say or not, until that end calls close().",
		fmt.Sprintf("After close() nobody could read what still comes. The kernel keeps a remainder for tcp_fin_timeout, %s s, so that this side cannot pile up without bound. The other side can.",
			step.Count("fin_timeout_seconds", timeout)),
	}
	f.Tell(step)
	return nil
}

func (f *halfDone) held(ctx context.Context) error {
	step := lab.Step{Name: "half-closed", Title: "The client calls shutdown(), and waits"}
	opened, err := f.connect(ctx, f.shut, halfDoneCount)
	if err != nil {
		return err
	}
	if _, err := f.client.must(ctx, crowdShutdown, shutdownOrder{f.shut, unix.SHUT_WR}); err != nil {
		return err
	}
	ends, err := f.waiting(ctx, f.shut)
	if err != nil {
		return err
	}
	end, err := f.end(ctx, f.shut, tcpvet.TimerNone)
	if err != nil {
		return err
	}
	if int(end.Holder.PID) != f.client.PID {
		return fmt.Errorf("after shutdown() the client's end is held by %v, not by process %d", end.Holder, f.client.PID)
	}
	w, err := f.server.must(ctx, crowdWrite, writeOrder{Of: f.shut, Each: len(answer)})
	if err != nil {
		return err
	}
	read := 0
	err = lab.Until(ctx, "the data to arrive", func() (bool, error) {
		r, err := f.client.must(ctx, crowdRead, crowdOf{f.shut})
		read += r.Bytes
		return read == w.Bytes, err
	})
	if err != nil {
		return err
	}
	err = f.Judge(ctx, &step, lab.Expect{
		Rules: []string{"close-wait-leak", "fin-wait-2-pileup"},
		Of:    map[string]lab.Particulars{"fin-wait-2-pileup": {Kind: "half-closed", Severity: tcpvet.Info, Service: f.shut}},
	})
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{
		fmt.Sprintf("For %s connections to %s the client calls shutdown(SHUT_WR) instead, and keeps them. The server writes %s bytes to them.", step.Count("connections_count", opened.Count), f.shut, step.Count("written_bytes", w.Bytes)),
	}
	step.Shown = []string{fmt.Sprintf("The same states, but process %s still holds its ends, and no timer runs. It reads the %s bytes:", step.ID("holder_pid", int(end.Holder.PID)), step.Count("read_bytes", read))}
	step.Means = []string{"This is the half-close that the article means: the client has said all, and the server may go on. Nothing ends it but the programs."}
	f.Tell(step)
	return nil
}

// timeout shows what tcp_fin_timeout ends, and what not.
func (f *halfDone) timeout(ctx context.Context) error {
	step := lab.Step{Name: "fin-timeout", Title: "What net.ipv4.tcp_fin_timeout ends"}
	if err := set(f.Host, map[string]int{"tcp_fin_timeout": halfDoneTimeout}); err != nil {
		return err
	}
	opened, err := f.connect(ctx, f.late, halfDoneCount)
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := f.client.must(ctx, crowdClose, crowdOf{f.late}); err != nil {
		return err
	}
	ends, err := f.Settled(ctx, f.late, "the client's ends to expire", func(e lab.Ends) bool { return e.Client == [tcpvet.NumStates]uint64{} })
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if took < halfDoneTimeout*time.Second || ends.Server[tcpvet.CloseWait] != halfDoneCount {
		return fmt.Errorf("after %v the ends to %s are %v", took, f.late, ends)
	}
	before, err := f.waiting(ctx, f.closed)
	if err != nil {
		return err
	}
	shut, err := f.waiting(ctx, f.shut)
	if err != nil {
		return err
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("It is set to %s s. Then the client opens %s connections to %s, and closes them.", step.Count("short_timeout_seconds", halfDoneTimeout), step.Count("connections_count", opened.Count), f.late)}
	step.Shown = []string{
		fmt.Sprintf("%s later the client's ends of these are gone. Of those that it closed before, %s are in FIN-WAIT-2 still, and of those that it holds, %s. The ends to %s:",
			step.Seconds("gone_seconds", took), step.Count("closed_before_count", int(before.Client[tcpvet.FinWait2])), step.Count("held_count", int(shut.Client[tcpvet.FinWait2])), f.late),
	}
	step.Means = []string{
		"The setting acts on what is closed from then on, and only where no process holds the socket. It does nothing for the server, whose ends stay in CLOSE-WAIT: it hides the fault at the end that is in order.",
	}
	f.Tell(step)
	return nil
}

func (f *halfDone) cure(ctx context.Context) error {
	step := lab.Step{Name: "cure", Title: "The server closes"}
	if _, err := f.server.must(ctx, crowdClose, crowdOf{}); err != nil {
		return err
	}
	closed, err := f.Settled(ctx, f.closed, "both to close", func(e lab.Ends) bool { return e.Client[tcpvet.TimeWait] == halfDoneCount })
	if err != nil {
		return err
	}
	shut, err := f.Settled(ctx, f.shut, "both to close", func(e lab.Ends) bool { return e.Client[tcpvet.TimeWait] == halfDoneCount })
	if err != nil {
		return err
	}
	late, err := f.Settled(ctx, f.late, "the server's ends to go", func(e lab.Ends) bool { return e == lab.Ends{Service: f.late} })
	if err != nil {
		return err
	}
	resets, err := f.tap.Wait(ctx, halfDoneCount, lab.OnPort(f.late.Port(), lab.RST))
	if err != nil {
		return err
	}
	read, err := f.client.must(ctx, crowdRead, crowdOf{f.shut})
	if err != nil {
		return err
	}
	if err := exactly("reads that gave the end", read.Ended, halfDoneCount); err != nil {
		return err
	}
	if _, err := f.client.must(ctx, crowdClose, crowdOf{f.shut}); err != nil {
		return err
	}
	step.Ends = &closed
	step.Done = []string{"stock-server calls close() for every connection. The client reads the end on those that it holds, and calls close() too."}
	step.Shown = []string{
		fmt.Sprintf("%s of the client's ends to %s and %s to %s go to TIME-WAIT. Of the connections to %s, which the client's kernel had given up, %s sockets are left: it answered %s late FINs by RST. The ends to %s:",
			step.Count("closed_time_wait_count", int(closed.Client[tcpvet.TimeWait])), f.closed, step.Count("held_time_wait_count", int(shut.Client[tcpvet.TimeWait])), f.shut,
			f.late, step.Count("late_count", int(late.Client[tcpvet.TimeWait]+late.Server[tcpvet.LastAck])), step.Count("resets_count", len(resets)), f.closed),
	}
	step.Means = []string{"The cure is in the program that has not closed. tcpvet diagnose on its host finds it as close-wait-leak."}
	f.Tell(step)
	return nil
}
