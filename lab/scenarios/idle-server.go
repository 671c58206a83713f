package scenarios

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// idleServer answers requests as an HTTP/1.1 server does that keeps connections
// alive, and closes one that has been idle for a while.
var idleServer = lab.Act{Name: "idle-server", Learn: func(c *lab.Cues) {
	s := &server{}
	lab.On(c, serverListen, s.listen)
	lab.On(c, serverTraffic, s.traffic)
}}

// The cues of idleServer.
const (
	serverListen  = "listen"  // listenOrder, struct{}
	serverTraffic = "traffic" // struct{}, traffic
)

type listenOrder struct {
	On   []netip.AddrPort
	Idle time.Duration // how long a connection may be idle after an answer
}

// traffic is what a server has done so far.
type traffic struct{ Accepted, Answered, Closed int64 }

// answer is all that the server ever says.
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstock\n"

type server struct {
	idle                       time.Duration
	accepted, answered, closed atomic.Int64
}

func (s *server) listen(order listenOrder) (struct{}, error) {
	s.idle = order.Idle
	// As most servers, it sets no SO_KEEPALIVE, which Go does unasked.
	config := net.ListenConfig{KeepAlive: -1}
	for _, on := range order.On {
		l, err := config.Listen(context.Background(), "tcp", on.String())
		if err != nil {
			return struct{}{}, fmt.Errorf("listen on %s: %w", on, err)
		}
		go s.accept(l)
	}
	return struct{}{}, nil
}

func (s *server) traffic(struct{}) (traffic, error) {
	return traffic{s.accepted.Load(), s.answered.Load(), s.closed.Load()}, nil
}

func (s *server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		go s.serve(c)
	}
}

// serve answers one request after another until the client closes, or no
// further one comes in time. Idle means after an answer: a client that a busy
// machine keeps from its first request is waited for.
func (s *server) serve(c net.Conn) {
	// 200 bytes hold any request that comes here; thousands of connections
	// wait at once.
	r := bufio.NewReaderSize(c, 200)
	for readRequest(r) == nil {
		if _, err := c.Write([]byte(answer)); err != nil {
			break
		}
		s.answered.Add(1) // the client may have read it before
		if c.SetReadDeadline(time.Now().Add(s.idle)) != nil {
			break
		}
	}
	if c.Close() == nil {
		s.closed.Add(1)
	}
}

// readRequest reads up to the empty line that ends a request without a body.
func readRequest(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= len("\r\n") {
			return nil
		}
	}
}
