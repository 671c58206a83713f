package kernel_test

import (
	"errors"
	"net"
	"os/exec"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

// ss -K is the judge of what the kernel can do.
func TestRootDestroyingAgreesWithSS(t *testing.T) {
	kerneltest.Root(t)
	ss := kerneltest.Tool(t, "ss")
	kerneltest.Netns(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := l.Addr().(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: to.Port}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(ss, "-Ktn", "dst", to.String()).CombinedOutput(); err != nil {
		t.Fatalf("ss -K: %v: %s", err, out)
	}
	// A destroyed socket has ECONNABORTED (tcp_abort).
	_, err = unix.Write(fd, []byte("x"))
	destroyed := errors.Is(err, unix.ECONNABORTED)
	if got := kernel.SockDestroy() == nil; got != destroyed {
		t.Errorf("the probe says %v (%v), and after ss -K write() gives %v", got, kernel.SockDestroy(), err)
	}
}
