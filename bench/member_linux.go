package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// member is a process that makes part of a population, says so by a line, and
// keeps it until its standard input ends.
func member(args []string) error {
	if args[0] == requestsWord {
		return makeRequests(args[1:])
	}
	var made []int
	err := func() (err error) {
		switch {
		case len(args) == 3 && args[0] == "hold":
			made, err = hold(args[1], args[2])
			return err
		case len(args) == 4 && args[0] == "close":
			return closeFirst(args[1], args[2], args[3])
		case len(args) == 3 && args[0] == "stir":
			return stir(args[1], args[2])
		}
		return fmt.Errorf("unknown work %q", args)
	}()
	if err != nil {
		return fmt.Errorf("%v: after %d descriptors: %w", args, len(made), err)
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// hold makes so many connections to a listener of its own and keeps both ends.
func hold(address, pairs string) (made []int, err error) {
	ap, n, err := addressAndCount(address, pairs)
	if err != nil {
		return nil, err
	}
	l, err := listen(ap)
	if err != nil {
		return nil, err
	}
	made = append(made, l)
	for range n {
		client, server, err := pair(l, ap)
		if err != nil {
			return made, err
		}
		made = append(made, client, server)
	}
	// The listener goes: what is counted are the connections.
	return made, unix.Close(l)
}

// closeFirst makes connections to as many addresses as destinations says, from
// the given one upward, in turn, and closes each at once, the client first. All
// go to one listener.
func closeFirst(address, destinations, connections string) error {
	first, n, err := addressAndCount(address, connections)
	if err != nil {
		return err
	}
	spread, err := strconv.Atoi(destinations)
	if err != nil {
		return err
	}
	at := first
	if spread > 1 {
		at = netip.AddrPortFrom(netip.IPv4Unspecified(), first.Port())
	}
	l, err := listen(at)
	if err != nil {
		return err
	}
	defer unix.Close(l)
	to := first
	for i := range n {
		if i%spread == 0 {
			to = first
		}
		client, server, err := pair(l, to)
		if err != nil {
			return err
		}
		unix.Close(client)
		unix.Close(server)
		to = netip.AddrPortFrom(to.Addr().Next(), to.Port())
	}
	return nil
}

// stir makes and closes so many connections a second from now on.
func stir(address, perSecond string) error {
	ap, n, err := addressAndCount(address, perSecond)
	if err != nil {
		return err
	}
	l, err := listen(ap)
	if err != nil {
		return err
	}
	go func() {
		for range time.Tick(time.Second / time.Duration(n)) {
			client, server, err := pair(l, ap)
			if err != nil {
				fmt.Fprintln(os.Stderr, "stir:", err)
				os.Exit(1)
			}
			unix.Close(client)
			unix.Close(server)
		}
	}()
	return nil
}

func addressAndCount(address, count string) (netip.AddrPort, int, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ap, 0, err
	}
	n, err := strconv.Atoi(count)
	return ap, n, err
}

func listen(ap netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	const backlog = 128
	if err = unix.Bind(fd, sockaddr(ap)); err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen on %s: %w", ap, err)
	}
	return fd, nil
}

// pair connects to a listener of this process and accepts: over loopback the
// handshake is over when connect(2) returns.
func pair(l int, to netip.AddrPort) (client, server int, err error) {
	client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("open socket: %w", err)
	}
	if err = unix.Connect(client, sockaddr(to)); err != nil {
		unix.Close(client)
		return -1, -1, fmt.Errorf("connect to %s: %w", to, err)
	}
	server, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC)
	if err != nil {
		unix.Close(client)
		return -1, -1, fmt.Errorf("accept: %w", err)
	}
	return client, server, nil
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
}
