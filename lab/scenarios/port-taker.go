package scenarios

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// portTaker takes local ports by the thousand: it binds, connects, or closes what
// it has opened before the server does.
var portTaker = lab.Act{Name: "port-taker", Learn: func(c *lab.Cues) {
	t := &taker{}
	lab.On(c, takerTake, t.take)
	lab.On(c, takerChurn, churn)
	lab.On(c, takerRelease, t.release)
}}

// The cues of portTaker.
const (
	takerTake    = "take"    // takeOrder, taken: sockets that it keeps
	takerChurn   = "churn"   // churnOrder, churned: connections that it closes first
	takerRelease = "release" // struct{}, taken: close all that is kept, before the server does
)

// takeOrder says how each socket is made. It stops at the first that fails.
type takeOrder struct {
	Count int

	// Bind is the address to bind to, with port 0, before connect(); the zero
	// Addr leaves it. Late sets IP_BIND_ADDRESS_NO_PORT before that.
	Bind netip.Addr
	Late bool

	To netip.AddrPort // to connect to; the zero value for none
}

// taken is what came of it.
type taken struct {
	Count     int
	Low, High uint16        // of the local ports
	Odd       int           // odd ones of these
	Median    time.Duration // of connect()
	Failure   *failure      // nil where all went well
}

type taker struct{ kept []int }

func (t *taker) take(order takeOrder) (taken, error) {
	var r taken
	var times []time.Duration
	for ; r.Count < order.Count; r.Count++ {
		fd, took, fail := order.socket()
		if fail != nil {
			r.Failure = fail
			break
		}
		t.kept = append(t.kept, fd)
		times = append(times, took)
		port, err := localPort(fd)
		if err != nil {
			return r, err
		}
		if r.Count == 0 || port < r.Low {
			r.Low = port
		}
		r.High = max(r.High, port)
		r.Odd += int(port % 2)
	}
	r.Median = median(times)
	return r, nil
}

// socket makes one, and times connect() alone.
func (o *takeOrder) socket() (fd int, took time.Duration, fail *failure) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, failed("socket", err, 0)
	}
	defer func() {
		if fail != nil {
			unix.Close(s)
		}
	}()
	if o.Late {
		if err := unix.SetsockoptInt(s, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return 0, 0, failed("setsockopt", err, 0)
		}
	}
	if o.Bind.IsValid() {
		if err := unix.Bind(s, sockaddr4(netip.AddrPortFrom(o.Bind, 0))); err != nil {
			return 0, 0, failed("bind", err, 0)
		}
	}
	if !o.To.IsValid() {
		return s, 0, nil
	}
	begin := time.Now()
	err = unix.Connect(s, sockaddr4(o.To))
	took = time.Since(begin)
	if err != nil {
		return 0, 0, failed("connect", err, took)
	}
	return s, took, nil
}

func (t *taker) release(struct{}) (taken, error) {
	r := taken{Count: len(t.kept)}
	defer func() { t.kept = nil }()
	for _, fd := range t.kept {
		err := closeFirst(fd)
		if errors.Is(err, unix.ENOTCONN) {
			err = nil // it was merely bound
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// churnOrder asks for requests over a connection each, one after the other.
type churnOrder struct {
	To    netip.AddrPort
	Count int

	// Insist is for how long it tries again where no port is left, since
	// the last request that was answered.
	Insist time.Duration
}

// churned is what came of it.
type churned struct {
	Count   int
	Took    time.Duration
	Refused int      // connects for which no port was left
	Failure *failure // nil where all were made
}

// churn makes requests. It closes each connection first, and goes on once the
// server has closed too: its own end is in TIME-WAIT then.
func churn(order churnOrder) (c churned, err error) {
	begin := time.Now()
	defer func() { c.Took = time.Since(begin) }()
	for last := begin; c.Count < order.Count; {
		fd, _, fail := dial(order.To)
		switch {
		case fail == nil:
			if err := askAndClose(fd); err != nil {
				return c, fmt.Errorf("request %d to %s: %w", c.Count+1, order.To, err)
			}
			c.Count++
			last = time.Now()
		case fail.noPort() && time.Since(last) < order.Insist:
			c.Refused++
			time.Sleep(time.Millisecond)
		default:
			c.Failure = fail
			return c, nil
		}
	}
	return c, nil
}

// askAndClose makes a request and closes.
func askAndClose(fd int) error {
	if err := exchange(fd); err != nil {
		unix.Close(fd)
		return err
	}
	return closeFirst(fd)
}

// closeFirst sends the first FIN and waits for the other before it closes, so that
// its end is in TIME-WAIT by then.
func closeFirst(fd int) error {
	defer unix.Close(fd)
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	for {
		var b [1]byte
		n, err := unix.Read(fd, b[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n > 0:
			return errors.New("read: the server says more than its answer")
		}
		return nil
	}
}
