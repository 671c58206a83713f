package scenarios

import (
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// listen makes a listener. A further call for the same endpoint changes the
// backlog, as listen() does.
func (t *throng) listen(order listenOrderOf) (m many, err error) {
	fd, ok := t.listeners[order.On]
	if !ok {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			m.fail("socket", err)
			return m, nil
		}
		// accept() is not to wait for ever for a client that does not come.
		limit := unix.NsecToTimeval(lab.Generous.Nanoseconds())
		err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
		if err == nil {
			err = unix.Bind(fd, sockaddr4(order.On))
		}
		if err != nil {
			unix.Close(fd)
			m.fail("bind", err)
			return m, nil
		}
		t.listeners[order.On] = fd
	}
	if err := unix.Listen(fd, order.Backlog); err != nil {
		m.fail("listen", err)
		return m, nil
	}
	m.Count = 1
	return m, nil
}

func (t *throng) connect(order connectOrder) (m many, err error) {
	kind := unix.SOCK_STREAM | unix.SOCK_CLOEXEC
	if order.NoWait {
		kind |= unix.SOCK_NONBLOCK
	}
	begin := time.Now()
	for m.Count < order.Count {
		fd, err := unix.Socket(unix.AF_INET, kind, 0)
		if err != nil {
			m.fail("socket", err)
			break
		}
		if err := setOptions(fd, order.Options); err != nil {
			unix.Close(fd)
			return m, err
		}
		if err := unix.Connect(fd, sockaddr4(order.To)); err != nil && !(order.NoWait && err == unix.EINPROGRESS) {
			unix.Close(fd)
			m.fail("connect", err)
			break
		}
		t.held = append(t.held, member{fd, order.To})
		if m.Count++; m.Count == 1 {
			if m.First, err = localPort(fd); err != nil {
				return m, err
			}
		}
	}
	m.Took = time.Since(begin)
	return m, nil
}

// connected counts, and keeps waiting what still waits.
func (t *throng) connected(order crowdOf) (m many, err error) {
	for _, c := range t.of(order.Of) {
		poll := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
		if _, err := unix.Poll(poll, 0); err != nil {
			return m, fmt.Errorf("poll: %w", err)
		}
		if poll[0].Revents == 0 {
			continue
		}
		errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			return m, fmt.Errorf("read SO_ERROR: %w", err)
		case errno != 0:
			m.fail("connect", unix.Errno(errno))
		case poll[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0:
			m.Count++
		}
	}
	return m, nil
}

func (t *throng) accept(order acceptOrder) (m many, err error) {
	l, ok := t.listeners[order.On]
	if !ok {
		return m, fmt.Errorf("accept on %s: nobody listens there", order.On)
	}
	begin := time.Now()
	for m.Count < order.Count {
		fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			m.fail("accept", err)
			break
		}
		t.held = append(t.held, member{fd, order.On})
		m.Count++
	}
	m.Took = time.Since(begin)
	return m, nil
}

func (t *throng) sockets(count int) (m many, err error) {
	for m.Count < count {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			m.fail("socket", err)
			break
		}
		t.held = append(t.held, member{fd: fd})
		m.Count++
	}
	return m, nil
}
