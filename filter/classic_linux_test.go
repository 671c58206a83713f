package filter

import (
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// datagrams is a pair of sockets of which the second runs a program on each
// datagram, from its first byte on, as a packet socket does on a frame.
func datagrams(t *testing.T) (in, out int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func attach(fd int, program []Instr) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
		Len: uint16(len(program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0])),
	})
}

// The kernel lets the programs through and runs them as the tests' interpreter
// does.
func TestClassicInKernel(t *testing.T) {
	if unsafe.Sizeof(Instr{}) != unix.SizeofSockFilter {
		t.Fatalf("an instruction has %d bytes, the kernel's %d", unsafe.Sizeof(Instr{}), unix.SizeofSockFilter)
	}
	in, out := datagrams(t)
	taken, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		f, err := Packets(small.draw(t, 4, true))
		if err != nil {
			t.Fatal(err)
		}
		cooked, _ := f.Classic(AtNetwork)
		if err := attach(out, cooked); err != nil {
			t.Fatalf("%q: %v: %v", f, err, cooked)
		}
		program, _ := f.Classic(AtEthernet)
		if err := attach(out, program); err != nil {
			t.Fatalf("%q: %v: %v", f, err, program)
		}
		for range 10 {
			frame := small.drawPacket(t).frame(AtEthernet)
			if _, err := unix.Write(in, frame.bytes); err != nil {
				t.Fatal(err)
			}
			n, err := unix.Read(out, make([]byte, 256))
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				t.Fatal(err)
			}
			want, e := run(program, frame)
			if e != nil || (want != 0) != (err == nil) || err == nil && n != len(frame.bytes) {
				t.Fatalf("%q: the kernel read %d bytes, %v; the program says %d, %v", f, n, err, want, e)
			}
			if err == nil {
				taken++
			} else {
				left++
			}
		}
	})
	if taken == 0 || left == 0 {
		t.Errorf("%d datagrams taken, %d left out: nothing was told apart", taken, left)
	}
}

// The longest program that Classic gives is not too long for the kernel, with
// what a socket's owner may put in front.
func TestClassicLongestInKernel(t *testing.T) {
	_, out := datagrams(t)
	var longest []Instr
	var terms Or
	for i := 0; ; i++ {
		terms = append(terms, Port{Remote, Eq, uint16(i)})
		program, exact := (&PacketFilter{terms}).Classic(AtEthernet)
		if !exact {
			break
		}
		longest = program
	}
	if len(longest) < maxInstructions*9/10 {
		t.Fatalf("the longest program has %d instructions", len(longest))
	}
	full := append(make([]Instr, 0, 4096), longest...)
	for len(full) < len(longest)+16 {
		full = append([]Instr{{Code: ldxImm}}, full...)
	}
	if err := attach(out, full); err != nil {
		t.Errorf("%d instructions: %v", len(full), err)
	}
}
