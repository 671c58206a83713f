package path

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// plays are what is played on a stage, by name.
var plays = map[string]func(context.Context, *lab.Stage) (any, error){
	"drop":                   tunnelled(false, nil, forgets(lab.Silently)),
	"reset":                  tunnelled(true, nil, forgets(lab.ByReset)),
	"drop after 5 s":         longer(lab.Silently),
	"reset after 5 s":        longer(lab.ByReset),
	"nothing":                tunnelled(false, nil, nil),
	"server":                 tunnelled(true, closesAfter(limit, ""), nil),
	"server with last words": tunnelled(false, closesAfter(limit, "408"), nil),
	"server after the path":  tunnelled(false, closesAfter(limit+time.Second, ""), forgets(lab.Silently)),
	"server that resets": tunnelled(false, func(c *net.TCPConn) {
		time.Sleep(limit)
		_ = c.SetLinger(0)
		c.Close()
	}, nil),
	"server that probes": tunnelled(false, func(c *net.TCPConn) {
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second})
	}, forgets(lab.Silently)),
	"server that probes and closes": tunnelled(false, func(c *net.TCPConn) {
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second})
		closesAfter(limit, "")(c)
	}, nil),
	"server that greets": tunnelled(false, func(c *net.TCPConn) {
		time.Sleep(300 * time.Millisecond)
		_, _ = c.Write([]byte("220 ready\r\n"))
	}, forgets(lab.Silently)),
	"vanished": tunnelled(false, nil, func(f *far) {
		time.AfterFunc(2500*time.Millisecond, f.tunnel.Cut)
	}),
	// A probe is lost on the way, and the next one is not: nothing is wrong.
	"one probe lost": tunnelled(false, nil, func(f *far) {
		f.tunnel.Drop(lab.Nth(1, lab.From(f.near, lab.Both(lab.PureACK, since(opened)))))
	}),
	// What every second connection sends is lost, and their age has no part in it.
	"every second": tunnelled(false, nil, func(f *far) {
		order := make(map[uint16]int)
		second := func(c *lab.Crossing) bool {
			port := c.Segment.Src.Port()
			if _, ok := order[port]; !ok {
				order[port] = len(order)
			}
			return order[port]%2 == 0
		}
		f.tunnel.Drop(lab.From(f.near, lab.Both(second, lab.Both(lab.PureACK, since(opened)))))
	}),
	"conntrack": func(ctx context.Context, s *lab.Stage) (any, error) { return tracked(ctx, s, false) },
	"loose":     func(ctx context.Context, s *lab.Stage) (any, error) { return tracked(ctx, s, true) },

	"answers": asked(nil, nil),
	"answers with one lost": asked(nil, func(f *far) {
		f.tunnel.Drop(lab.Nth(3, lab.From(f.near, lab.PureACK))) // the handshake's, a probe, and this
	}),
	"mute":           asked(nil, func(f *far) { f.tunnel.Drop(lab.From(f.near, lab.Both(lab.PureACK, since(opened)))) }),
	"refuses probes": asked(nil, func(f *far) { f.tunnel.Reset(lab.From(f.near, lab.Both(lab.PureACK, since(opened)))) }),
	"closes":         asked(closesAfter(Least+500*time.Millisecond, ""), nil),
	"closes at once": asked(closesAfter(0, ""), nil),
}

// opened is when all connections of a measurement are, and no probe was sent yet.
const opened = 950 * time.Millisecond

// since matches what comes so long after the rule was made.
func since(d time.Duration) lab.Match {
	begin := time.Now()
	return func(*lab.Crossing) bool { return time.Since(begin) > d }
}

func forgets(how lab.Forgetting) func(*far) {
	return func(f *far) { f.tunnel.Forget(limit, how) }
}

// longer gives a play that measures a way of another limit, to which no step was fitted.
func longer(how lab.Forgetting) func(context.Context, *lab.Stage) (any, error) {
	return func(ctx context.Context, s *lab.Stage) (any, error) {
		f, err := behind(ctx, s, false, nil)
		if err != nil {
			return nil, err
		}
		f.tunnel.Forget(5*time.Second, how)
		o := f.options()
		o.Steps = Ladder(8 * time.Second)
		return Idle(ctx, o)
	}
}

// closesAfter gives a server that says its last words and closes, if it is sent
// nothing for so long.
func closesAfter(idle time.Duration, words string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		_ = c.SetReadDeadline(time.Now().Add(idle))
		_, _ = io.Copy(io.Discard, c)
		_, _ = io.WriteString(c, words)
		time.Sleep(10 * time.Millisecond) // so that they come in another segment
		c.Close()
	}
}

// tunnelled gives a play that measures a server behind a tunnel.
func tunnelled(six bool, serve func(*net.TCPConn), prepare func(*far)) func(context.Context, *lab.Stage) (any, error) {
	return func(ctx context.Context, s *lab.Stage) (any, error) {
		f, err := behind(ctx, s, six, serve)
		if err != nil {
			return nil, err
		}
		if prepare != nil {
			prepare(f)
		}
		return Idle(ctx, f.options())
	}
}

// tracked measures a server behind a firewall of Linux.
func tracked(ctx context.Context, s *lab.Stage, loose bool) (any, error) {
	f, err := linked(ctx, s, nil)
	if err == nil {
		err = f.track(ctx, loose)
	}
	if err != nil {
		return nil, err
	}
	return Idle(ctx, f.options())
}
