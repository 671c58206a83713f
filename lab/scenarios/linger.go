package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// Linger closes connections whose queue is full, under each setting of
// SO_LINGER.
var Linger = &lab.Scenario{
	Name:      "linger",
	Title:     "what close() does with data that is not yet sent: SO_LINGER off, {1,n} and {1,0}",
	Source:    "article: the option SO_LINGER; socket(7), SO_LINGER; tcp_close in the kernel",
	Claims:    []int{13},
	Acts:      []lab.Act{socketCalls},
	Constants: []string{"{1,0}", "{1,n}", "close() gives 0", "returns 0", "after n s"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &lingering{Stage: s}
		return inOrder(ctx, l.open, l.off, l.expiring, l.waiting, l.zero, func(ctx context.Context) error {
			return quiet(ctx, s, "Everything is closed. What {1,0} lost shows in no table.")
		})
	},
}

// lingering is a play of Linger under way.
type lingering struct {
	*lab.Stage
	*linkedPair
}

func (l *lingering) open(ctx context.Context) (err error) {
	step := lab.Step{Name: "open", Title: "A server that does not read"}
	if l.linkedPair, err = linkPair(ctx, l.Stage, &step); err != nil {
		return err
	}
	step.Done = append(step.Done, "stock-server accepts and does not call read(). shop-client writes until its queue is full. Then it calls close(), on a new connection for each setting.")
	l.Tell(step)
	return nil
}

// full is a connection whose server does not read.
type full struct {
	written int // by the client
	queued  int // of that not sent: the window is closed
}

// fill fills the connection, until the client has to ask whether the window has
// opened.
func (l *lingering) fill(ctx context.Context) (f full, err error) {
	err = lab.Until(ctx, "the server's window to close", func() (bool, error) {
		r, err := l.client.must(ctx, callFill, socketCall{l.inClient})
		if err != nil {
			return false, err
		}
		f.written += r.Bytes
		sock, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
		if err != nil || sock == nil {
			return false, err
		}
		f.queued = int(sock.SendQ)
		return r.Bytes == 0 && sock.SendQ > 0 && sock.Timer.Kind == tcpvet.TimerPersist, nil
	})
	return f, err
}

// told notes what fill did.
func (f full) told(step *lab.Step) string {
	return fmt.Sprintf("shop-client has written %s bytes, of which %s are still in its Send-Q", step.Count("written_bytes", f.written), step.Count("sendq_bytes", f.queued))
}

// off closes without the option.
func (l *lingering) off(ctx context.Context) error {
	step := lab.Step{Name: "off", Title: "SO_LINGER off, as it is by default"}
	f, err := l.fill(ctx)
	if err != nil {
		return err
	}
	c, err := l.client.must(ctx, callClose, socketCall{l.inClient})
	if err != nil {
		return err
	}
	step.Done = []string{f.told(&step) + ", when it calls close()."}
	step.Shown = []string{fmt.Sprintf("close() gives 0 after %s.", step.Micros("close_micros", c.Took))}
	if err := l.delivered(ctx, &step, f); err != nil {
		return err
	}
	step.Means = []string{"The kernel goes on sending for a program that has closed, and the program does not learn how that ends. As the article says."}
	l.Tell(step)
	return nil
}

// delivered looks at what close() left, has the server read, and makes sure that
// nothing was lost.
func (l *lingering) delivered(ctx context.Context, step *lab.Step, f full) error {
	sock, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
	if err != nil {
		return err
	}
	if sock == nil || sock.State != tcpvet.FinWait1 || sock.Inode != 0 || sock.SendQ <= 1 {
		return fmt.Errorf("after close() the client's end is %+v, want FIN-WAIT-1 with data in Send-Q, and without an inode, so nobody's", sock)
	}
	r, err := l.server.must(ctx, callHangUp, socketCall{l.inServer})
	if err != nil {
		return err
	}
	if r.Bytes != f.written || !r.End {
		return fmt.Errorf("the server read %d bytes of %d, end %v", r.Bytes, f.written, r.End)
	}
	err = lab.Until(ctx, "the client's end to be in TIME-WAIT", func() (bool, error) {
		sock, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
		return sock != nil && sock.State == tcpvet.TimeWait, err
	})
	step.Shown = append(step.Shown,
		fmt.Sprintf("The client's end is in FIN-WAIT-1 then, no process holds it, and %s bytes are in its Send-Q, in which the FIN counts as one.", step.Count("sendq_after_bytes", int(sock.SendQ))),
		fmt.Sprintf("Now stock-server reads, and gets %s bytes and the end: all of it. The client's end is in TIME-WAIT.", step.Count("read_bytes", r.Bytes)))
	return err
}

// lingerSeconds is the n of a {1,n} that runs out, and of one that does not.
const (
	lingerShort = 1
	lingerLong  = 120
)

// expiring closes with a time that is too short.
func (l *lingering) expiring(ctx context.Context) error {
	step := lab.Step{Name: "expires", Title: "SO_LINGER {1,n}, and the server does not read in time"}
	if err := l.connect(ctx, netip.AddrPort{}); err != nil {
		return err
	}
	f, err := l.fill(ctx)
	if err != nil {
		return err
	}
	if _, err := l.client.must(ctx, callLinger, lingerCall{l.inClient, lingerShort}); err != nil {
		return err
	}
	c, err := l.client.must(ctx, callClose, socketCall{l.inClient})
	if err != nil {
		return err
	}
	// The kernel counts in its own ticks, of 10 ms at most.
	if c.Took < lingerShort*time.Second-10*time.Millisecond {
		return fmt.Errorf("close() returned after %s, and was to wait %d s", c.Took, lingerShort)
	}
	step.Done = []string{fmt.Sprintf("%s. It sets SO_LINGER with a time of %s s, and calls close().", f.told(&step), step.ID("linger_seconds", lingerShort))}
	step.Shown = []string{fmt.Sprintf("close() gives 0, no error, after %s.", step.Seconds("close_seconds", c.Took))}
	if err := l.delivered(ctx, &step, f); err != nil {
		return err
	}
	step.Means = []string{
		"The article has close() fail with EWOULDBLOCK here, and the data lost, perhaps with an RST. Linux does neither: when the time is over close() returns 0, " +
			"and the kernel goes on as if the option were off. The program was held up for nothing, and cannot tell that from success.",
	}
	l.Tell(step)
	return nil
}

// waiting closes with time enough.
func (l *lingering) waiting(ctx context.Context) error {
	step := lab.Step{Name: "waits", Title: "SO_LINGER {1,n}, and the server reads"}
	if err := l.connect(ctx, netip.AddrPort{}); err != nil {
		return err
	}
	f, err := l.fill(ctx)
	if err != nil {
		return err
	}
	if _, err := l.client.must(ctx, callLinger, lingerCall{l.inClient, lingerLong}); err != nil {
		return err
	}
	type closing struct {
		returned
		err error
	}
	done := make(chan closing, 1)
	go func() {
		r, err := l.client.must(ctx, callClose, socketCall{l.inClient})
		done <- closing{r, err}
	}()
	err = lab.Until(ctx, "the client to call close()", func() (bool, error) {
		sock, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
		return sock != nil && sock.State == tcpvet.FinWait1, err
	})
	if err != nil {
		return err
	}
	select {
	case c := <-done:
		return fmt.Errorf("close() returned before anything was read: %+v", c)
	default:
	}
	r, err := l.server.must(ctx, callDrain, socketCall{l.inServer})
	if err != nil {
		return err
	}
	c := <-done
	if c.err != nil {
		return c.err
	}
	sock, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
	if err != nil {
		return err
	}
	if r.Bytes != f.written || sock == nil || sock.State != tcpvet.FinWait2 || c.Took >= lingerLong*time.Second {
		return fmt.Errorf("the server read %d bytes of %d, close() took %s, and the client's end is %+v, want FIN-WAIT-2", r.Bytes, f.written, c.Took, sock)
	}
	if _, err := l.server.must(ctx, callClose, socketCall{l.inServer}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("%s. It sets SO_LINGER with a time of %s s, and calls close(), which waits. Then stock-server reads.", f.told(&step), step.ID("linger_seconds", lingerLong))}
	step.Shown = []string{fmt.Sprintf("stock-server gets %s bytes and the end. close() gives 0 after %s, and the client's end is in FIN-WAIT-2: all that it sent is acknowledged, the FIN too.",
		step.Count("read_bytes", r.Bytes), step.Seconds("close_seconds", c.Took))}
	step.Means = []string{
		"Here the option does what it is for: close() returns when the peer's kernel has everything. Whether the peer's program has read it, close() still does not know; an answer of that program says so.",
	}
	l.Tell(step)
	return nil
}

// zero closes with {1,0}.
func (l *lingering) zero(ctx context.Context) error {
	step := lab.Step{Name: "zero", Title: "SO_LINGER {1,0}"}
	if err := l.connect(ctx, netip.AddrPort{}); err != nil {
		return err
	}
	f, err := l.fill(ctx)
	if err != nil {
		return err
	}
	if _, err := l.client.must(ctx, callLinger, lingerCall{l.inClient, 0}); err != nil {
		return err
	}
	c, err := l.client.must(ctx, callClose, socketCall{l.inClient})
	if err != nil {
		return err
	}
	rst, err := l.tap.Wait(ctx, 1, l.clientSends(lab.RST))
	if err != nil {
		return err
	}
	read, err := l.server.mustFail(ctx, callDrain, socketCall{l.inServer}, "read", "ECONNRESET")
	if err != nil {
		return err
	}
	client, err := socketAt(ctx, l.Stage, l.Host, l.from, l.service)
	if err != nil {
		return err
	}
	server, err := socketAt(ctx, l.Stage, l.link.B.Host, l.service, l.from)
	if err != nil {
		return err
	}
	if client != nil || server != nil || read.Bytes < f.written-f.queued || read.Bytes >= f.written {
		return fmt.Errorf("the ends are %+v and %+v, want none; the server read %d bytes of %d, of which %d were acknowledged", client, server, read.Bytes, f.written, f.written-f.queued)
	}
	if fins := l.tap.Select(l.clientSends(lab.FIN)); len(fins) > 0 {
		return fmt.Errorf("close() sent a FIN: %v", texts(fins))
	}
	if _, err := l.server.must(ctx, callClose, socketCall{l.inServer}); err != nil {
		return err
	}
	step.Segments = rst
	step.Done = []string{f.told(&step) + ". It sets SO_LINGER to {1,0} and calls close()."}
	step.Shown = []string{
		fmt.Sprintf("close() gives 0 after %s. An RST crosses, and no FIN:", step.Micros("close_micros", c.Took)),
		fmt.Sprintf("stock-server reads %s bytes, those that had arrived, and then gets \"%v\" (errno %s, %s). %s bytes are lost. Neither kernel has a socket of this connection any more, in TIME-WAIT or otherwise.",
			step.Count("read_bytes", read.Bytes), read.Failure, step.ID("errno", read.Failure.Errno), read.Failure.name(), step.Count("lost_bytes", f.written-read.Bytes)),
	}
	step.Means = []string{
		"As the article says: {1,0} throws away what is queued and sends an RST, and no TIME-WAIT is left. It warns not to avoid TIME-WAIT that way, and that is right: the price is lost data, an error at the peer, " +
			"and a port that is free while old segments of the connection may be under way.",
	}
	l.Tell(step)
	return nil
}
