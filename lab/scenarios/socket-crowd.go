package scenarios

import (
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// socketCrowd holds many sockets, and makes the same system call on all of them, or
// on those of one service. As socketCalls it sets no option unasked.
var socketCrowd = lab.Act{Name: "socket-crowd", Learn: func(c *lab.Cues) {
	t := &throng{listeners: make(map[netip.AddrPort]int)}
	lab.On(c, crowdListen, t.listen)
	lab.On(c, crowdConnect, t.connect)
	lab.On(c, crowdConnected, t.connected)
	lab.On(c, crowdAccept, t.accept)
	lab.On(c, crowdSockets, t.sockets)
	lab.On(c, crowdWrite, t.write)
	lab.On(c, crowdRead, t.read)
	lab.On(c, crowdShutdown, t.shutdown)
	lab.On(c, crowdReset, t.reset)
	lab.On(c, crowdClose, t.close)
	lab.On(c, crowdOpenFile, openFile)
}}

// The cues of socketCrowd. Each is answered by a many, and stops at the first call
// that fails, unless it says otherwise.
const (
	crowdListen    = "listen"    // listenOrderOf: socket(), bind(), listen()
	crowdConnect   = "connect"   // connectOrder: socket(), connect()
	crowdConnected = "connected" // crowdOf: which of those that did not wait are connected; counts those that failed
	crowdAccept    = "accept"    // acceptOrder: accept()
	crowdSockets   = "sockets"   // int: socket(), so many times
	crowdWrite     = "write"     // writeOrder: write(), without waiting; goes on where a queue is full
	crowdRead      = "read"      // crowdOf: read() what is there, without waiting; counts those that ended or failed
	crowdShutdown  = "shutdown"  // shutdownOrder: shutdown()
	crowdReset     = "reset"     // crowdOf: SO_LINGER with 0 s, and close(): an RST
	crowdClose     = "close"     // crowdOf: close()
	crowdOpenFile  = "open-file" // struct{}: open() of a file that is there
)

type listenOrderOf struct {
	On      netip.AddrPort
	Backlog int
}

type connectOrder struct {
	To      netip.AddrPort
	Count   int
	NoWait  bool     // connect() returns at once: EINPROGRESS
	Options []option // set before
}

type acceptOrder struct {
	On    netip.AddrPort
	Count int
}

type writeOrder struct {
	Of   netip.AddrPort // the zero value for all
	Each int            // bytes to each
	Fill bool           // until the queue is full
}

type shutdownOrder struct {
	Of  netip.AddrPort
	How int // unix.SHUT_WR
}

// crowdOf chooses sockets by the service that they belong to; the zero AddrPort
// means all.
type crowdOf struct{ Of netip.AddrPort }

// many is what came of a cue.
type many struct {
	Count   int           // sockets with which all went well
	First   uint16        // the local port of the first that was opened
	Bytes   int           // read or written, together
	Full    int           // writes that found the queue full
	Ended   int           // reads that gave 0
	Failed  int           // sockets that failed
	Took    time.Duration // by all calls
	Failure *failure      // the first; nil for none
}

func (m *many) fail(call string, err error) {
	if m.Failed++; m.Failure == nil {
		m.Failure = failed(call, err, 0)
	}
}

// throng is the sockets of one process, in the order in which they came.
type throng struct {
	listeners map[netip.AddrPort]int
	held      []member
}

type member struct {
	fd      int
	service netip.AddrPort // the zero value for none yet
}

// of gives those of a service.
func (t *throng) of(service netip.AddrPort) []member {
	return slices.DeleteFunc(slices.Clone(t.held), func(m member) bool {
		return service.IsValid() && m.service != service
	})
}

func (t *throng) write(order writeOrder) (m many, err error) {
	data := make([]byte, 1<<16)
	if !order.Fill {
		data = data[:order.Each]
	}
	for _, c := range t.of(order.Of) {
		for {
			n, err := unix.SendmsgN(c.fd, data, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			switch {
			case err == unix.EAGAIN:
				m.Full++
			case err != nil:
				m.fail("send", err)
			default:
				m.Bytes += n
				if order.Fill {
					continue
				}
				m.Count++
			}
			break
		}
	}
	return m, nil
}

func (t *throng) read(order crowdOf) (m many, err error) {
	data := make([]byte, 1<<16)
	for _, c := range t.of(order.Of) {
		for {
			n, _, err := unix.Recvfrom(c.fd, data, unix.MSG_DONTWAIT)
			switch {
			case err == unix.EAGAIN:
				m.Count++
			case err != nil:
				m.fail("recv", err)
			case n == 0:
				m.Ended++
			default:
				m.Bytes += n
				continue
			}
			break
		}
	}
	return m, nil
}

func (t *throng) shutdown(order shutdownOrder) (m many, err error) {
	for _, c := range t.of(order.Of) {
		if err := unix.Shutdown(c.fd, order.How); err != nil {
			m.fail("shutdown", err)
			break
		}
		m.Count++
	}
	return m, nil
}

func (t *throng) reset(order crowdOf) (m many, err error) {
	for _, c := range t.of(order.Of) {
		if err := unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			m.fail("setsockopt", err)
			return m, nil
		}
	}
	return t.close(order)
}

func (t *throng) close(order crowdOf) (m many, err error) {
	for _, c := range t.of(order.Of) {
		if err := unix.Close(c.fd); err != nil {
			m.fail("close", err)
			break
		}
		t.held = slices.DeleteFunc(t.held, func(o member) bool { return o.fd == c.fd })
		m.Count++
	}
	return m, nil
}

func openFile(struct{}) (m many, err error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		m.fail("open", err)
		return m, nil
	}
	m.Count = 1
	return m, unix.Close(fd)
}
