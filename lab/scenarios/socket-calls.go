package scenarios

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// socketCalls makes the system calls that it is told to, one a cue, as a program
// in C does: it sets no option unasked, retries nothing, and tells a call that
// fails by its errno. SIGPIPE is ignored, as Go does for sockets.
var socketCalls = lab.Act{Name: "socket-calls", Learn: func(c *lab.Cues) {
	lab.On(c, callListen, listenSocket)
	lab.On(c, callConnect, connectSocket)
	lab.On(c, callAccept, acceptSocket)
	lab.On(c, callWrite, writeSocket)
	lab.On(c, callFill, fillSocket)
	lab.On(c, callRead, readSocket)
	lab.On(c, callDrain, drainSocket)
	lab.On(c, callHangUp, hangUpSocket)
	lab.On(c, callLinger, lingerSocket)
	lab.On(c, callShutdown, shutdownSocket)
	lab.On(c, callClose, closeSocket)
	lab.On(c, callSet, setSocket)
	lab.On(c, callAwait, awaitSocket)
}}

// The cues of socketCalls. Each is answered by a returned.
const (
	callListen   = "listen"   // listenCall: socket(), bind(), listen()
	callConnect  = "connect"  // connectCall: socket(), bind() if told, connect()
	callAccept   = "accept"   // socketCall: accept()
	callWrite    = "write"    // writeCall: write() until all is written
	callFill     = "fill"     // socketCall: write() until the queue is full
	callRead     = "read"     // socketCall: read() what is there, without waiting
	callDrain    = "drain"    // socketCall: read() up to the end
	callHangUp   = "hang-up"  // socketCall: read() up to the end, and close() at once
	callLinger   = "linger"   // lingerCall: setsockopt(SO_LINGER)
	callShutdown = "shutdown" // socketCall: shutdown(SHUT_WR)
	callClose    = "close"    // socketCall: close()
)

type listenCall struct {
	On    netip.AddrPort
	Reuse bool // set SO_REUSEADDR before
}

type connectCall struct {
	To   netip.AddrPort
	From netip.AddrPort // to bind to before; the zero value for none
}

type socketCall struct{ FD int }

type writeCall struct {
	FD   int
	Data []byte
}

type lingerCall struct{ FD, Seconds int }

// returned is what came of a cue.
type returned struct {
	FD      int            // a new socket
	Local   netip.AddrPort // its local endpoint
	Bytes   int            // read or written
	Data    []byte         // what was read, by callRead
	End     bool           // read() gave 0: the peer has closed
	Took    time.Duration  // by the last system call
	Failure *failure       // nil where all went well
}

// listenBacklog is enough for every scenario.
const listenBacklog = 64

func listenSocket(order listenCall) (returned, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return returned{Failure: failed("socket", err, 0)}, nil
	}
	if order.Reuse {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return giveUp(fd, "setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sockaddr4(order.On)); err != nil {
		return giveUp(fd, "bind", err)
	}
	if err := unix.Listen(fd, listenBacklog); err != nil {
		return giveUp(fd, "listen", err)
	}
	return returned{FD: fd, Local: order.On}, nil
}

func connectSocket(order connectCall) (returned, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return returned{Failure: failed("socket", err, 0)}, nil
	}
	if order.From.IsValid() {
		if err := unix.Bind(fd, sockaddr4(order.From)); err != nil {
			return giveUp(fd, "bind", err)
		}
	}
	begin := time.Now()
	err = unix.Connect(fd, sockaddr4(order.To))
	took := time.Since(begin)
	if err != nil {
		return giveUp(fd, "connect", err)
	}
	return withLocal(returned{FD: fd, Took: took})
}

func acceptSocket(order socketCall) (returned, error) {
	fd, _, err := unix.Accept4(order.FD, unix.SOCK_CLOEXEC)
	if err != nil {
		return returned{Failure: failed("accept", err, 0)}, nil
	}
	return withLocal(returned{FD: fd})
}

// giveUp closes a socket with which a call has failed.
func giveUp(fd int, call string, err error) (returned, error) {
	unix.Close(fd)
	return returned{Failure: failed(call, err, 0)}, nil
}

func withLocal(r returned) (returned, error) {
	sa, err := unix.Getsockname(r.FD)
	if err != nil {
		return r, fmt.Errorf("read the local address: %w", err)
	}
	in, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return r, fmt.Errorf("read the local address: %T is no IPv4", sa)
	}
	r.Local = netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
	return r, nil
}

func writeSocket(order writeCall) (r returned, err error) {
	for r.Bytes < len(order.Data) {
		begin := time.Now()
		n, err := unix.Write(order.FD, order.Data[r.Bytes:])
		r.Took = time.Since(begin)
		if err != nil {
			r.Failure = failed("write", err, r.Took)
			break
		}
		r.Bytes += n
	}
	return r, nil
}

func fillSocket(order socketCall) (r returned, err error) {
	data := make([]byte, 1<<16)
	for {
		n, err := unix.SendmsgN(order.FD, data, nil, nil, unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			return r, nil
		case err != nil:
			r.Failure = failed("send", err, 0)
			return r, nil
		}
		r.Bytes += n
	}
}

func readSocket(order socketCall) (r returned, err error) {
	data := make([]byte, 1<<16)
	n, _, err := unix.Recvfrom(order.FD, data, unix.MSG_DONTWAIT)
	if err != nil {
		r.Failure = failed("recv", err, 0)
		return r, nil
	}
	r.Bytes, r.Data, r.End = n, data[:n], n == 0
	return r, nil
}

func drainSocket(order socketCall) (r returned, err error) {
	data := make([]byte, 1<<16)
	for {
		n, err := unix.Read(order.FD, data)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			r.Failure = failed("read", err, 0)
			return r, nil
		case n == 0:
			r.End = true
			return r, nil
		}
		r.Bytes += n
	}
}

func hangUpSocket(order socketCall) (returned, error) {
	r, err := drainSocket(order)
	if err != nil || r.Failure != nil {
		return r, err
	}
	c, err := closeSocket(order)
	r.Took, r.Failure = c.Took, c.Failure
	return r, err
}

func lingerSocket(order lingerCall) (r returned, err error) {
	l := unix.Linger{Onoff: 1, Linger: int32(order.Seconds)}
	if err := unix.SetsockoptLinger(order.FD, unix.SOL_SOCKET, unix.SO_LINGER, &l); err != nil {
		r.Failure = failed("setsockopt", err, 0)
	}
	return r, nil
}

func shutdownSocket(order socketCall) (r returned, err error) {
	if err := unix.Shutdown(order.FD, unix.SHUT_WR); err != nil {
		r.Failure = failed("shutdown", err, 0)
	}
	return r, nil
}

func closeSocket(order socketCall) (r returned, err error) {
	begin := time.Now()
	err = unix.Close(order.FD)
	r.Took = time.Since(begin)
	if err != nil {
		r.Failure = failed("close", err, r.Took)
	}
	return r, nil
}

func sockaddr4(ap netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
}
