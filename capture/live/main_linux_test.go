package live

import (
	"errors"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"open": openAndTell,
		"wait": func() error { select {} },
	})
}

// ring tells whether the kernel has what a capture needs.
func ring() error {
	l, err := Open(Options{Interface: "lo", Buffer: 1 << 16})
	if err == nil {
		return l.Close()
	}
	return err
}

// tun tells whether network interfaces of programs can be made.
func tun() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return &kernel.Unsupported{Feature: "/dev/net/tun", Err: err}
	}
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}
