package scenarios

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// keepingServer answers a request on each connection, one after the other, and
// closes none before it is told to. Where accept() fails it tries again a little
// later, as servers do.
var keepingServer = lab.Act{Name: "keeping-server", Learn: func(c *lab.Cues) {
	k := &keeping{}
	lab.On(c, keepingListen, k.listen)
	lab.On(c, keepingSeen, k.seen)
	lab.On(c, keepingClose, k.closeEnded)
}}

// The cues of keepingServer.
const (
	keepingListen = "listen" // keepingOrder, struct{}
	keepingSeen   = "seen"   // struct{}, keptOpen
	keepingClose  = "close"  // struct{}, keptOpen: close what the clients have closed so far
)

type keepingOrder struct {
	On      netip.AddrPort
	Backlog int
}

// keptOpen is what the server has done so far.
type keptOpen struct {
	Answered int
	Closed   int
	Failures int      // of accept()
	Failure  *failure // the last of them, nil for none
}

// acceptAgain is how long the server waits after an accept() that failed.
const acceptAgain = 10 * time.Millisecond

type keeping struct {
	mu   sync.Mutex
	held []int
	done keptOpen
}

func (k *keeping) listen(order keepingOrder) (struct{}, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return struct{}{}, fmt.Errorf("open a socket: %w", err)
	}
	if err := unix.Bind(fd, sockaddr4(order.On)); err != nil {
		return struct{}{}, fmt.Errorf("bind to %s: %w", order.On, err)
	}
	if err := unix.Listen(fd, order.Backlog); err != nil {
		return struct{}{}, fmt.Errorf("listen on %s: %w", order.On, err)
	}
	go func() {
		for {
			k.accept(fd)
		}
	}()
	return struct{}{}, nil
}

func (k *keeping) accept(listener int) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	switch {
	case errors.Is(err, unix.EINTR):
		return
	case err != nil:
		k.mu.Lock()
		k.done.Failures++
		k.done.Failure = failed("accept", err, 0)
		k.mu.Unlock()
		time.Sleep(acceptAgain)
		return
	}
	err = answerOnce(fd)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = append(k.held, fd)
	if err == nil {
		k.done.Answered++
	}
}

// answerOnce waits for a request and answers it.
func answerOnce(fd int) error {
	if err := readAll(fd, len(request)); err != nil {
		return err
	}
	_, err := unix.Write(fd, []byte(answer))
	return err
}

func (k *keeping) seen(struct{}) (keptOpen, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.done, nil
}

func (k *keeping) closeEnded(struct{}) (keptOpen, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = slices.DeleteFunc(k.held, func(fd int) bool {
		var b [1]byte
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != nil || n > 0 || unix.Close(fd) != nil {
			return false
		}
		k.done.Closed++
		return true
	})
	return k.done, nil
}
