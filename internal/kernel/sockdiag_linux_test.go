package kernel

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// message builds a netlink message as struct nlmsghdr lays it out
// (include/uapi/linux/netlink.h).
func message(kind uint16, body ...byte) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	binary.NativeEndian.PutUint32(b, uint32(unix.NLMSG_HDRLEN+len(body)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return append(b, body...)
}

func errno(e unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(e)))
}

func TestDiagMessages(t *testing.T) {
	for _, test := range []struct {
		name     string
		datagram []byte
		seen     int
		done     bool
		err      error
	}{
		{"two sockets", append(message(20, 1, 2, 3, 4), message(20, 5, 6, 7, 8)...), 2, false, nil},
		{"padded to four bytes", append(append(message(20, 1), 0, 0, 0), message(unix.NLMSG_DONE, 0, 0, 0, 0)...), 1, true, nil},
		{"done", message(unix.NLMSG_DONE, 0, 0, 0, 0), 0, true, nil},
		{"done by a kernel that sends no code", message(unix.NLMSG_DONE), 0, true, nil},
		{"done in error", message(unix.NLMSG_DONE, errno(unix.ENOENT)...), 0, true, unix.ENOENT},
		{"error", message(unix.NLMSG_ERROR, errno(unix.EPROTONOSUPPORT)...), 0, true, unix.EPROTONOSUPPORT},
	} {
		t.Run(test.name, func(t *testing.T) {
			seen := 0
			done, err := diagMessages(test.datagram, func([]byte) { seen++ })
			if seen != test.seen || done != test.done || !errors.Is(err, test.err) {
				t.Errorf("saw %d, done %v, error %v; want %d, %v, %v", seen, done, err, test.seen, test.done, test.err)
			}
		})
	}
	if _, err := diagMessages(message(20, 1, 2, 3, 4)[:18], func([]byte) {}); err == nil {
		t.Error("a message cut short passes")
	}
}

// What a kernel without tcp_diag answers (ENOENT, net/core/sock_diag.c) is a
// "no"; what a security module or a full machine answers is not.
func TestDiagAnswer(t *testing.T) {
	for err, no := range map[unix.Errno]bool{
		unix.ENOENT: true, unix.EPROTONOSUPPORT: true, unix.EINVAL: true,
		unix.EPERM: false, unix.ENOBUFS: false, unix.EAGAIN: false,
	} {
		got := diagAnswer("x", err)
		if errors.Is(got, errors.ErrUnsupported) != no || !errors.Is(got, err) {
			t.Errorf("%v: got %v, unsupported should be %v", err, got, no)
		}
	}
}

func FuzzDiagMessages(f *testing.F) {
	f.Add(append(message(20, make([]byte, 72)...), message(unix.NLMSG_DONE, 0, 0, 0, 0)...))
	f.Add(message(unix.NLMSG_ERROR, errno(unix.ENOENT)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		diagMessages(b, func(body []byte) { total += unix.NLMSG_HDRLEN + len(body) })
		if total > len(b) {
			t.Errorf("saw %d bytes of %d", total, len(b))
		}
	})
}
