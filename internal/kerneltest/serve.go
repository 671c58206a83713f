package kerneltest

import (
	"net"
	"net/netip"
	"testing"
)

// Serve listens at an address, "127.0.0.1:0", until the test is over, and has serve take
// each connection in a goroutine of its own. What serve does not close stays open.
func Serve(t testing.TB, address string, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn.(*net.TCPConn))
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// HangUp closes what it is given: for Serve.
func HangUp(conn *net.TCPConn) { conn.Close() }
