package source_test

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// holdTableless holds, by the words that follow the part, sockets of each kind that
// is in no table, or that are in one, and says how many the kernel ended.
func holdTableless() error {
	h := tablelessHolder{}
	l, err := h.listener()
	if err != nil {
		return err
	}
	steps := []func(int) error{h.resetClient, h.resetServer, h.resetClientWithData, h.shutDown, h.fresh, h.refused, h.disconnected}
	if os.Getenv("TABLED") != "" {
		steps = append(steps, h.bound, h.established, h.elsewhere)
	}
	for _, step := range steps {
		if err := step(l); err != nil {
			return err
		}
	}
	if os.Getenv("TABLED") == "" {
		if err := unix.Close(l); err != nil {
			return err
		}
	}
	if err := kerneltest.Say(os.Getpid()); err != nil {
		return err
	}
	kerneltest.UntilEnd()
	return nil
}

type tablelessHolder struct{}

// The counts of what holdTableless leaves in no table. Both ends of what was shut
// down are held.
const (
	tablelessUsed  = 5
	tablelessQuiet = 3
)

func (tablelessHolder) socket() (int, error) {
	return unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

func (h tablelessHolder) listener() (int, error) {
	l, err := h.socket()
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(l, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}); err != nil {
		return 0, err
	}
	return l, unix.Listen(l, 64)
}

func (h tablelessHolder) pair(l int) (client, server int, err error) {
	at, err := unix.Getsockname(l)
	if err != nil {
		return 0, 0, err
	}
	if client, err = h.socket(); err != nil {
		return 0, 0, err
	}
	if err := unix.Connect(client, at); err != nil {
		return 0, 0, err
	}
	server, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC)
	return client, server, err
}

// reset closes one end with an RST and waits until the other has it.
func (h tablelessHolder) reset(end, other int) error {
	if err := unix.SetsockoptLinger(end, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Close(end); err != nil {
		return err
	}
	return h.closed(other)
}

// closed waits until the kernel has closed the socket.
func (tablelessHolder) closed(fd int) error {
	for range 1000 {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		if info.State == uint8(tcpvet.Unconn) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("socket %d is not closed after 10 s", fd)
}

func (h tablelessHolder) resetClient(l int) error {
	client, server, err := h.pair(l)
	if err != nil {
		return err
	}
	return h.reset(server, client)
}

func (h tablelessHolder) resetServer(l int) error {
	client, server, err := h.pair(l)
	if err != nil {
		return err
	}
	return h.reset(client, server)
}

func (h tablelessHolder) resetClientWithData(l int) error {
	client, server, err := h.pair(l)
	if err != nil {
		return err
	}
	if _, err := unix.Write(server, []byte("x")); err != nil {
		return err
	}
	return h.reset(server, client)
}

// shutDown ends both directions and closes neither end.
func (h tablelessHolder) shutDown(l int) error {
	client, server, err := h.pair(l)
	if err != nil {
		return err
	}
	for _, fd := range []int{client, server} {
		if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
			return err
		}
	}
	if err := h.closed(client); err != nil {
		return err
	}
	return h.closed(server)
}

func (h tablelessHolder) fresh(int) error {
	_, err := h.socket()
	return err
}

// refused leaves a connect() that failed, whose error nobody has fetched: that
// would clear the socket.
func (h tablelessHolder) refused(int) error {
	closed, err := h.socket()
	if err != nil {
		return err
	}
	if err := unix.Bind(closed, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}); err != nil {
		return err
	}
	at, err := unix.Getsockname(closed)
	if err != nil {
		return err
	}
	fd, err := h.socket()
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	if err := unix.Connect(fd, at); err != nil && err != unix.EINPROGRESS {
		return err
	}
	if err := h.closed(fd); err != nil {
		return err
	}
	return unix.Close(closed)
}

// disconnected asks for its end itself, and may connect again.
func (h tablelessHolder) disconnected(l int) error {
	client, server, err := h.pair(l)
	if err != nil {
		return err
	}
	var unspec [16]byte // AF_UNSPEC is 0
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(client), uintptr(unsafe.Pointer(&unspec)), unsafe.Sizeof(unspec)); errno != 0 {
		return errno
	}
	return unix.Close(server)
}

func (h tablelessHolder) bound(int) error {
	fd, err := h.socket()
	if err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
}

func (h tablelessHolder) established(l int) error {
	_, _, err := h.pair(l)
	return err
}

// elsewhere has a connection in another namespace, whose tables nobody reads.
func (tablelessHolder) elsewhere(int) error {
	done := make(chan error)
	go func() {
		lockForever()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		_, err := connected()
		done <- err
	}()
	return <-done
}
