package sockdiag

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// Sockets that leave the bucket in which an answer ended make the kernel pass
// over as many others. Dump tells those all the same.
func TestRootPassedOverAreTold(t *testing.T) {
	kerneltest.Crowded(t, 1024) // four sockets in a bucket
	l, at := listen(t, "127.0.0.1", 128)
	type end struct {
		fd   int
		peer uint64
	}
	ends := make(map[uint64]end) // by cookie
	for range 2000 {
		a, b := connect(t, at), accept(t, l)
		ends[cookie(t, a)], ends[cookie(t, b)] = end{a, cookie(t, b)}, end{b, cookie(t, a)}
	}
	c := dial(t)
	dumpAll(t, c, Request{}) // the kernel's first answer on a connection is a short one

	mended := 0
	for seam := 1; seam <= 10; seam++ {
		answers := answersOf(t, c)
		if len(answers) <= seam+1 {
			t.Fatalf("%d answers for %d sockets", len(answers), len(ends))
		}
		// When one answer is handed over the kernel has filled the next, and
		// not yet the one behind it: then the last sockets of the next leave.
		first, next := answers[seam-1][0], answers[seam]
		told := make(map[uint64]int)
		st, err := c.Dump(t.Context(), Request{}, func(s *tcpvet.Socket) error {
			if s.Cookie == first {
				for _, cookie := range next[len(next)-2:] {
					if e, ok := ends[cookie]; ok {
						disconnect(t, e.fd)
						delete(ends, cookie)
						delete(ends, e.peer) // it is reset
					}
				}
			}
			told[s.Cookie]++
			return nil
		})
		must(t, err)
		if st.Unsure > 0 {
			t.Errorf("seam %d: %+v", seam, st)
		}
		mended += st.Mended
		for cookie, n := range told {
			if n != 1 {
				t.Errorf("seam %d: socket %x was told %d times", seam, cookie, n)
			}
		}
		for cookie := range ends {
			if told[cookie] == 0 {
				t.Errorf("seam %d: stable socket %x was not told", seam, cookie)
			}
		}
	}
	// Else the kernel passed over none, and nothing is proved.
	if mended == 0 {
		t.Error("no socket was passed over")
	}
	t.Logf("%d sockets were found in a second look", mended)
}

// answersOf gives the cookies that the kernel tells, one list an answer.
func answersOf(t *testing.T, c *Conn) (answers [][]uint64) {
	t.Helper()
	var answer []uint64
	_, err := c.pass(t.Context(), Request{}, 0, func(m *Message) error {
		answer = append(answer, rawCookie(m.Payload))
		return nil
	}, seamWatch{done: func() {
		answers = append(answers, answer)
		answer = nil
	}})
	must(t, err)
	return answers
}

// disconnect ends a connection by an RST, as connect(2) to AF_UNSPEC does: both
// ends leave the table at once.
func disconnect(t *testing.T, fd int) {
	t.Helper()
	var unspec [16]byte
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspec)), uintptr(len(unspec))); errno != 0 {
		t.Fatal(errno)
	}
}

// Listeners that share a port share a bucket, whatever the table's size. A
// look-up does not find a certain one of them, so they are always walked again.
func TestRootPassedOverListenersAreTold(t *testing.T) {
	kerneltest.Netns(t)
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 8080}
	ends := make(map[uint64]int)
	for range 1500 {
		fd := newTCP(t, unix.AF_INET)
		must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		must(t, unix.Bind(fd, at))
		must(t, unix.Listen(fd, 1))
		ends[cookie(t, fd)] = fd
	}
	c := dial(t)
	dumpAll(t, c, Request{})
	answers := answersOf(t, c)
	const leave = 20
	told := make(map[uint64]int)
	st, err := c.Dump(t.Context(), Request{}, func(s *tcpvet.Socket) error {
		if s.Cookie == answers[0][0] {
			for _, cookie := range answers[1][:leave] {
				disconnect(t, ends[cookie]) // a listener stops to listen
				delete(ends, cookie)
			}
		}
		told[s.Cookie]++
		return nil
	})
	must(t, err)
	if st.Mended != leave || st.Unsure != 0 {
		t.Errorf("%+v, want %d mended", st, leave)
	}
	for cookie := range ends {
		if told[cookie] != 1 {
			t.Errorf("stable listener %x was told %d times", cookie, told[cookie])
		}
	}
}
