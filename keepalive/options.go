package keepalive

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Options say how connections are kept. The zero value is useful: it is what most
// programs want. A field that is zero has the default that it names.
type Options struct {
	// TCP keepalive: after Idle without a segment the kernel probes the peer, again
	// every Interval, and ends the connection when Count probes were not answered. Whole
	// seconds, from 1 s to 32,767 s; Count from 1 to 127. The defaults are 30 s, 3 s
	// and 5: a peer that is gone is noticed in 45 s, and an idle connection speaks
	// more often than middleboxes forget (AWS 350 s, Azure 240 s).
	Idle, Interval time.Duration
	Count          int

	// UserTimeout bounds how long data that was sent may go without an acknowledgement,
	// which keepalive does not: without it the kernel resends for about 15 minutes.
	// Whole milliseconds. 0 is Idle + Count * Interval, so that both notice at the
	// same time; below 0 it is not set. It is TCP_USER_TIMEOUT on Linux (RFC 5482),
	// TCP_RXT_CONNDROPTIME on macOS and TCP_MAXRT on Windows, both in whole seconds;
	// other systems have none, and Linux has none for Multipath TCP. On Linux it bounds
	// too how long a peer may leave the data that waits for it unread, with its window
	// closed, although its kernel answers: set it above the longest such pause.
	UserTimeout time.Duration

	// ConnectTimeout bounds a connect, name resolution included. 0 is 10 s: the kernel
	// sends a SYN again after 1, 2 and 4 s, and without a bound for two minutes.
	// Base.Timeout has no effect.
	ConnectTimeout time.Duration

	// Base is what else a dial needs: LocalAddr, Resolver, Control. Its keepalive
	// settings are replaced; its Control is called before the options above are set.
	Base net.Dialer

	// ServerIdle is how long the server keeps an idle HTTP connection, where it is
	// known: nginx's keepalive_timeout, Node's keepAliveTimeout. Transport lets go of
	// a connection before that, so that no request meets the server's FIN. 0 is not
	// known: idle connections are closed after 30 s then, which is under the 60 s
	// and 75 s of balancers and nginx, not under the 5 s of Node and Apache.
	ServerIdle time.Duration

	// MaxIdlePerHost is how many idle connections Transport keeps to one host. What is
	// above that is closed after its response, by this end, which leaves a
	// TIME-WAIT: with the 2 of net/http a burst of 100 requests leaves 98 of them. 0
	// is MaxPerHost, or 100 where that is 0 too.
	MaxIdlePerHost int

	// MaxPerHost bounds all connections to one host: what comes above waits for one
	// to be free. 0 is no bound, as in net/http.
	MaxPerHost int

	// ResponseTimeout bounds the wait for the head of a response after the request was
	// sent. A server that takes the request and says nothing answers keepalive
	// probes all the same, so that nothing else ends that wait but the request's
	// context. 0 is no bound, as in net/http: how long an answer may take, the server
	// knows. It is a timer for each request, which takes 1 to 2 us.
	ResponseTimeout time.Duration

	// Budget, where it is not nil, holds dials back before the local ports to one
	// destination run out.
	Budget *Budget

	// TrackLeaks remembers who opened each connection, and tells of those that stay
	// behind in CLOSE-WAIT: the peer has closed and this program has not. It tells
	// once for each, after LeakPatience (0 is 1 min) in which it was neither read nor
	// written to, to Logger (nil is slog.Default()) at level Warn and to OnLeak, if that
	// is set, from a goroutine of its own and one after the other. On systems other than
	// Linux and macOS states cannot be read, and nothing is told; of Multipath TCP
	// neither.
	TrackLeaks   bool
	LeakPatience time.Duration
	OnLeak       func(Leak)
	Logger       *slog.Logger

	// Stats, where it is not nil, counts what happens.
	Stats *Stats
}

const (
	defaultConnect    = 10 * time.Second
	defaultIdleConn   = 30 * time.Second
	defaultIdleConns  = 100
	defaultPatience   = time.Minute
	handshakeTimeout  = 10 * time.Second
	continueTimeout   = time.Second
	leastIdleConnsAll = 512 // half of the 1,024 descriptors that many shells allow
)

// timers gives the TCP settings with their defaults.
func (o *Options) timers() tcpvet.Timers {
	t := tcpvet.DefaultTimers()
	if o.Idle != 0 {
		t.Idle = o.Idle
	}
	if o.Interval != 0 {
		t.Interval = o.Interval
	}
	if o.Count != 0 {
		t.Count = o.Count
	}
	switch {
	case o.UserTimeout > 0:
		t.UserTimeout = o.UserTimeout
	case o.UserTimeout == 0:
		t.UserTimeout = min(t.Dead(), tcpvet.MaxUserTimeout)
	}
	return t
}

// Validate says what of the options cannot be done. A Dialer or a Transport of such
// options fails each dial with that error.
func (o Options) Validate() error {
	if err := o.validate(); err != nil {
		return fmt.Errorf("check keepalive options: %w", err)
	}
	return nil
}

func (o *Options) validate() error {
	if err := o.timers().Check(); err != nil {
		return err
	}
	for _, v := range [...]struct {
		name string
		d    time.Duration
	}{{"ConnectTimeout", o.ConnectTimeout}, {"ServerIdle", o.ServerIdle}, {"LeakPatience", o.LeakPatience}} {
		if v.d < 0 {
			return fmt.Errorf("%s %v: expected 0 for the default, or more", v.name, v.d)
		}
	}
	if o.ResponseTimeout < 0 {
		return fmt.Errorf("ResponseTimeout %v: expected 0 for no bound, or more", o.ResponseTimeout)
	}
	for _, v := range [...]struct {
		name string
		n    int
	}{{"MaxIdlePerHost", o.MaxIdlePerHost}, {"MaxPerHost", o.MaxPerHost}} {
		if v.n < 0 {
			return fmt.Errorf("%s %d: expected 0 for the default, or more", v.name, v.n)
		}
	}
	if o.OnLeak != nil && !o.TrackLeaks {
		return errors.New("OnLeak is set and TrackLeaks is not: it would never be called; set TrackLeaks")
	}
	if o.Budget != nil {
		return o.Budget.validate()
	}
	return nil
}

// idleConn is how long the transport keeps an idle connection. The server's clock
// started up to a round trip before ours, and the next request takes half of one: 1 s
// covers that with a segment that is sent twice, and timers of whole seconds. Of a limit
// below 2 s it is half, since 0 would be no limit.
func (o *Options) idleConn() time.Duration {
	if o.ServerIdle <= 0 {
		return defaultIdleConn
	}
	return o.ServerIdle - min(time.Second, o.ServerIdle/2)
}

func (o *Options) idlePerHost() int {
	switch {
	case o.MaxIdlePerHost > 0:
		return o.MaxIdlePerHost
	case o.MaxPerHost > 0:
		return o.MaxPerHost
	}
	return defaultIdleConns
}

// orDefault gives d, or what stands for 0.
func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
