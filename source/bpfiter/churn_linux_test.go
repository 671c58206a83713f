package bpfiter_test

import (
	"net/netip"
	"os/exec"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// While others come and go, a socket that stays is counted once, and the rest is off
// by no more than what came and went.
func TestRootChurn(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	id, err := netns.Self()
	must(t, err)
	sysctl(t, "ipv4/ip_local_port_range", "10000 59999")
	const steady, wave = 400, 20
	l, at := listen(t, netip.MustParseAddrPort("127.0.0.1:7000"), 64)
	busy, busyAt := listen(t, netip.MustParseAddrPort("127.0.0.1:8000"), 64)
	var churned atomic.Uint64
	open := func(n int) (fds []int) {
		for range n {
			c, s := pair(t, l, at)
			fds = append(fds, c, s)
		}
		return fds
	}
	open(steady)

	// The other end of the churn runs elsewhere; this thread is in the namespace.
	stop, ended := make(chan struct{}), make(chan error)
	var ready bool
	churner := kerneltest.Start(t, "churn", &ready, func(*exec.Cmd) {})
	go func() {
		for {
			fd, _, err := unix.Accept4(busy, unix.SOCK_CLOEXEC)
			if err != nil {
				ended <- err
				return
			}
			churned.Add(1)
			_, _ = unix.Read(fd, make([]byte, 1))
			unix.Close(fd)
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
		}
	}()
	until(t, "connections come and go", func() bool { return churned.Load() > wave })

	c, err := bpfiter.NewCounter(bpfiter.Options{Info: true})
	must(t, err)
	defer c.Close()
	for range 20 {
		must(t, c.Reset())
		listening := new(tcpvet.PortSet)
		listening.Add(at.Port(), at.Port())
		listening.Add(busyAt.Port(), busyAt.Port())
		must(t, c.Space(id, bpfiter.Space{Ports: &tcpvet.Ports{Low: 10000, High: 59999}, Listening: listening}))
		var client, server, other uint64
		tell := func(s *tcpvet.Socket) error {
			switch {
			case s.State == tcpvet.Listen:
			case s.Role == tcpvet.Client && s.Remote == at:
				client++
			case s.Role == tcpvet.Server && s.Local == at:
				server++
			default:
				other++
			}
			return nil
		}
		from := churned.Load()
		_, err := c.Held(t.Context(), tell)
		must(t, err)
		_, err = c.Rest(t.Context(), tell)
		must(t, err)
		moved := churned.Load() - from
		// Both ends of each but the last have closed.
		if closes, ok := c.Closes(); !ok || closes+2 < 2*moved {
			t.Errorf("%d closes (%v) where %d connections came and went", closes, ok, moved)
		}
		must(t, c.Groups(func(g tcpvet.Group, x *tcpvet.Tally) error {
			switch {
			case g.Service != at:
				other += x.Total()
			case g.Role == tcpvet.Client:
				client += x.Total()
			default:
				server += x.Total()
			}
			return nil
		}))
		if client != steady || server != steady {
			t.Errorf("%d clients and %d servers that stayed, want %d each", client, server, steady)
		}
		// Each connection that came meanwhile has two ends, each of which may be
		// met twice: as it is held, and as it is not.
		if most := 4 * (moved + 2); other > most {
			t.Errorf("%d sockets that come and go, and %d connections came and went", other, moved)
		}
	}
	close(stop)
	churner.End()
	fd := newSocket(t, busyAt.Addr())
	must(t, unix.Connect(fd, sockaddr(busyAt))) // wakes the acceptor
	closed(t, fd)
	must(t, <-ended)
}

// churn opens and resets connections, one after the other.
func churn() error {
	if err := kerneltest.Say(true); err != nil {
		return err
	}
	over := make(chan struct{})
	go func() { kerneltest.UntilEnd(); close(over) }()
	for {
		select {
		case <-over:
			return nil
		default:
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: 8000, Addr: [4]byte{127, 0, 0, 1}})
		if err == nil { // no TIME-WAIT is left
			err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
}
