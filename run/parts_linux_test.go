package run_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The parts are programs in Go, which makes its own system calls: no library can be put
// before it.

// tellOptions prints the values of a connection.
func tellOptions(c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		panic(err)
	}
	_ = raw.Control(func(fd uintptr) {
		var values []int
		for _, name := range []int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT, unix.TCP_USER_TIMEOUT} {
			v, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name)
			values = append(values, v)
		}
		on, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		fmt.Println(values, on)
	})
}

func arguments() []string { return strings.Fields(os.Getenv("TCPVET_TEST_ARGS")) }

// clientPart dials an address, with Go's default keepalive or without ("-1s"), and tells
// what the connection has; then it waits for the peer to close, and ends without
// closing ("leak") or closes.
func clientPart() error {
	args := arguments()
	keepalive, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	c, err := (&net.Dialer{KeepAlive: keepalive}).Dial("tcp", args[0])
	if err != nil {
		return err
	}
	tellOptions(c)
	if len(args) > 2 && args[2] == "leak" {
		_, _ = io.Copy(io.Discard, c)
		os.Exit(0) // without closing it
	}
	return c.Close()
}

// serverPart accepts a connection, tells its address first, and what the connection has.
func serverPart() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	c, err := l.Accept()
	if err != nil {
		return err
	}
	tellOptions(c)
	_, _ = io.Copy(io.Discard, c)
	return c.Close()
}
