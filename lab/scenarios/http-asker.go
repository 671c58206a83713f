package scenarios

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// httpAsker makes HTTP requests, one after the other, over one connection for as
// long as the server lets it, and lets the server close first.
var httpAsker = lab.Act{Name: "http-asker", Learn: func(c *lab.Cues) {
	a := &asker{}
	lab.On(c, askerAsk, a.ask)
	lab.On(c, askerClose, a.close)
}}

// The cues of httpAsker.
const (
	askerAsk   = "ask"   // askOrder, asked
	askerClose = "close" // struct{}, struct{}: close the connection that is kept
)

type askOrder struct {
	To    netip.AddrPort
	Path  string
	Times int // it stops at the first answer that is not 200
}

// asked is what came of it.
type asked struct {
	Answered    int // by 200
	Connections int // that were opened
	Status      int // of the last answer
	Took        time.Duration
}

type asker struct {
	to   netip.AddrPort
	kept net.Conn
	r    *bufio.Reader
}

func (a *asker) ask(order askOrder) (r asked, err error) {
	begin := time.Now()
	defer func() { r.Took = time.Since(begin) }()
	if a.kept != nil && a.to != order.To {
		if _, err := a.close(struct{}{}); err != nil {
			return r, err
		}
	}
	for a.to = order.To; r.Answered < order.Times; r.Answered++ {
		if a.kept == nil {
			dialer := net.Dialer{KeepAlive: -1}
			if a.kept, err = dialer.DialContext(context.Background(), "tcp", order.To.String()); err != nil {
				return r, err
			}
			a.r = bufio.NewReader(a.kept)
			r.Connections++
		}
		if r.Status, err = a.once(order.Path); err != nil {
			return r, fmt.Errorf("request %d to %s: %w", r.Answered+1, order.To, err)
		}
		if r.Status != http.StatusOK {
			return r, nil
		}
	}
	return r, nil
}

// once makes a request. Where the server says that it closes, it waits for the
// server to do so.
func (a *asker) once(path string) (status int, err error) {
	if _, err := fmt.Fprintf(a.kept, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, a.to); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(a.r, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if !resp.Close {
		return resp.StatusCode, nil
	}
	if _, err := a.r.Peek(1); err != io.EOF {
		return 0, fmt.Errorf("wait for the server to close: %w", err)
	}
	_, err = a.close(struct{}{})
	return resp.StatusCode, err
}

func (a *asker) close(struct{}) (struct{}, error) {
	if a.kept == nil {
		return struct{}{}, nil
	}
	tcp := a.kept.(*net.TCPConn)
	defer tcp.Close()
	a.kept = nil
	// The server's FIN is waited for, so that whose end is in TIME-WAIT is
	// not left to chance: see closeFirst.
	if err := tcp.CloseWrite(); err != nil {
		return struct{}{}, err
	}
	if _, err := a.r.ReadByte(); err != io.EOF {
		return struct{}{}, fmt.Errorf("wait for the server to close: %w", err)
	}
	return struct{}{}, nil
}
