package scenarios

import (
	"errors"
	"net/netip"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// addressChooser binds and connects by either family, as it is told.
var addressChooser = lab.Act{Name: "address-chooser", Learn: func(c *lab.Cues) {
	ch := &chooser{bound: -1}
	lab.On(c, chooserConnect, ch.connect)
	lab.On(c, chooserBind, ch.bind)
	lab.On(c, chooserGo, ch.proceed)
}}

// The cues of addressChooser.
const (
	chooserConnect = "connect" // choice, chosen: bind() if told, connect(), and close() at once
	chooserBind    = "bind"    // choice, chosen: bind() and keep the socket
	chooserGo      = "go"      // choice, chosen: connect() with that socket
)

// choice is an address to bind to, the zero value for none, and where to connect to.
type choice struct {
	From netip.Addr
	To   netip.AddrPort
}

// chosen is what came of it.
type chosen struct {
	Source  netip.Addr // of the connection
	Failure *failure   // nil where all went well
}

type chooser struct{ bound int } // -1 for none

func (c *chooser) connect(order choice) (chosen, error) {
	r, err := c.bind(order)
	if err != nil || r.Failure != nil {
		return r, err
	}
	return c.proceed(order)
}

func (c *chooser) bind(order choice) (chosen, error) {
	family := unix.AF_INET
	if order.To.Addr().Is6() || order.From.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return chosen{Failure: failed("socket", err, 0)}, nil
	}
	// connect() is not to wait for ever where nothing answers.
	limit := unix.NsecToTimeval(lab.Generous.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return chosen{}, errors.Join(err, unix.Close(fd))
	}
	if order.From.IsValid() {
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(order.From, 0))); err != nil {
			return chosen{Failure: failed("bind", err, 0)}, unix.Close(fd)
		}
	}
	c.bound = fd
	return chosen{Source: order.From}, nil
}

func (c *chooser) proceed(order choice) (r chosen, err error) {
	fd := c.bound
	c.bound = -1
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if !order.To.IsValid() {
		return r, nil
	}
	if err := unix.Connect(fd, sockaddr(order.To)); err != nil {
		r.Failure = failed("connect", err, 0)
		return r, nil
	}
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		r.Source = netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		r.Source = netip.AddrFrom16(sa.Addr)
	}
	return r, err
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return sockaddr4(ap)
	}
	return &unix.SockaddrInet6{Addr: ap.Addr().As16(), Port: int(ap.Port())}
}
