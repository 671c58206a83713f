package scenarios

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// rawClient makes requests by plain system calls, as a program in C does: it
// sets options and closes a connection only when told to, and retries nothing.
var rawClient = lab.Act{Name: "raw-client", Learn: func(c *lab.Cues) {
	cl := &client{}
	lab.On(c, clientLeak, cl.leak)
	lab.On(c, clientOnce, cl.once)
	lab.On(c, clientReuse, cl.reuse)
	lab.On(c, clientClose, cl.closeOldest)
	lab.On(c, clientGuard, cl.guard)
}}

// The cues of rawClient.
const (
	clientLeak  = "leak"  // leakOrder, leaked: a connection for each request, kept open
	clientOnce  = "once"  // netip.AddrPort, once: a request over a connection that is closed at once
	clientReuse = "reuse" // reuseOrder, reused: many requests over one connection, as long as the server keeps it
	clientClose = "close" // struct{}, closed: close the oldest connection that is held
	clientGuard = "guard" // []option, guarded: set options on what is held and on what clientLeak opens later
)

type leakOrder struct {
	To    netip.AddrPort
	Limit int           // stop after that many; one stops at the first failure anyway
	Every time.Duration // from the beginning of one to that of the next, at least
}

// leaked is what became of the requests.
type leaked struct {
	Opened    int
	Low, High uint16 // the lowest and the highest local port
	Last      uint16 // the local port of the last connection
	Took      time.Duration

	// First and Second are the median times of connect() in the first and
	// in the second half of the connections.
	First, Second time.Duration

	Failure *failure // nil where all went well
}

type once struct {
	Port    uint16 // the local port
	Held    bool   // a connection that is held, to somewhere else, has that port too
	Failure *failure
}

type reuseOrder struct {
	To    netip.AddrPort
	Times int
}

type reused struct {
	Answered    int
	Connections int    // more than one where the server found one idle and closed it
	Port        uint16 // the local port of the last
	Took        time.Duration
}

type closed struct {
	Port uint16 // the local port that it had
	Held int    // connections still held
}

// failure is a system call that failed on the way to a connection.
type failure struct {
	Call  string
	Errno int
	Took  time.Duration
}

func (f *failure) errno() unix.Errno { return unix.Errno(f.Errno) }

// name gives the C name of the error: EADDRNOTAVAIL.
func (f *failure) name() string { return unix.ErrnoName(f.errno()) }

// noPort tells whether the kernel had no local port to give.
func (f *failure) noPort() bool {
	return f != nil && f.Call == "connect" && f.errno() == unix.EADDRNOTAVAIL
}

// String gives what programs print.
func (f *failure) String() string {
	return fmt.Sprintf("%s: %s", f.Call, f.errno().Error())
}

// request is a request without a body.
const request = "GET /stock HTTP/1.1\r\nHost: stock\r\n\r\n"

type client struct {
	held    []int
	options []option // of what clientLeak opens
}

func (c *client) leak(order leakOrder) (leaked, error) {
	var l leaked
	var times []time.Duration
	begin := time.Now()
	for next := begin; l.Opened < order.Limit; {
		time.Sleep(time.Until(next))
		next = time.Now().Add(order.Every) // who is late does not hurry
		fd, took, fail := dial(order.To)
		if l.Failure = fail; fail != nil {
			break
		}
		c.held = append(c.held, fd)
		if err := setOptions(fd, c.options); err != nil {
			return l, err
		}
		if err := exchange(fd); err != nil {
			return l, fmt.Errorf("request %d to %s: %w", l.Opened+1, order.To, err)
		}
		port, err := localPort(fd)
		if err != nil {
			return l, err
		}
		times = append(times, took)
		if l.Opened == 0 || port < l.Low {
			l.Low = port
		}
		l.High, l.Last = max(l.High, port), port
		l.Opened++
	}
	l.Took = time.Since(begin)
	l.First, l.Second = median(times[:len(times)/2]), median(times[len(times)/2:])
	return l, nil
}

func (c *client) once(to netip.AddrPort) (once, error) {
	fd, _, fail := dial(to)
	if fail != nil {
		return once{Failure: fail}, nil
	}
	defer unix.Close(fd)
	port, err := localPort(fd)
	if err != nil {
		return once{}, err
	}
	o := once{Port: port}
	for _, other := range c.held {
		if p, err := localPort(other); err == nil && p == port {
			o.Held = true
			break
		}
	}
	return o, exchange(fd)
}

func (c *client) reuse(order reuseOrder) (r reused, err error) {
	begin := time.Now()
	for r.Answered < order.Times && err == nil {
		err = r.connect(order)
	}
	r.Took = time.Since(begin)
	return r, err
}

// connect goes on over a connection of its own. That the server closes it is no
// error once it has answered: a machine may be so busy that the server waits in
// vain for the next request, which pools then make again (RFC 9112, section
// 9.3.1).
func (r *reused) connect(order reuseOrder) error {
	fd, _, fail := dial(order.To)
	if fail != nil {
		return errors.New(fail.String())
	}
	defer unix.Close(fd)
	port, err := localPort(fd)
	if err != nil {
		return err
	}
	r.Port = port
	r.Connections++
	for before := r.Answered; r.Answered < order.Times; r.Answered++ {
		if err := exchange(fd); err != nil {
			if r.Answered > before && hungUp(err) {
				return nil
			}
			return fmt.Errorf("request %d, over connection %d to %s: %w", r.Answered+1, r.Connections, order.To, err)
		}
	}
	return nil
}

// hungUp tells whether an exchange failed because the server had closed.
func hungUp(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

func (c *client) closeOldest(struct{}) (closed, error) {
	if len(c.held) == 0 {
		return closed{}, errors.New("no connection is held")
	}
	fd := c.held[0]
	port, err := localPort(fd)
	if err != nil {
		return closed{}, err
	}
	c.held = c.held[1:]
	return closed{Port: port, Held: len(c.held)}, unix.Close(fd)
}

// guarded tells on how many connections that were held the options were set.
type guarded struct{ Held int }

func (c *client) guard(options []option) (guarded, error) {
	c.options = options
	for _, fd := range c.held {
		if err := setOptions(fd, options); err != nil {
			return guarded{}, err
		}
	}
	return guarded{len(c.held)}, nil
}

// dial opens a connection and times connect() alone.
func dial(to netip.AddrPort) (fd int, took time.Duration, fail *failure) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, failed("socket", err, 0)
	}
	begin := time.Now()
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	took = time.Since(begin)
	if err != nil {
		unix.Close(fd)
		return 0, took, failed("connect", err, took)
	}
	return fd, took, nil
}

func failed(call string, err error, took time.Duration) *failure {
	var errno unix.Errno
	errors.As(err, &errno)
	return &failure{Call: call, Errno: int(errno), Took: took}
}

// exchange makes a request and reads the whole answer.
func exchange(fd int) error {
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for rest := len(answer); rest > 0; {
		var b [len(answer)]byte
		n, err := unix.Read(fd, b[:rest])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		rest -= n
	}
	return nil
}

func localPort(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("read the local address: %w", err)
	}
	return uint16(sa.(*unix.SockaddrInet4).Port), nil
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}
