package tcpvet

import "net/netip"

// Process identifies a process: a PID alone may be used again.
type Process struct {
	PID   int32
	Start uint64 // clock ticks after boot, field 22 of /proc/PID/stat
}

// Nobody, the zero Process, holds what has no descriptor: TIME-WAIT, orphans,
// connections not yet accepted.
var Nobody = Process{}

// Unseen stands for a process that could not be seen: the socket has a
// descriptor, in a process that this look was not allowed to read or that came
// too late.
var Unseen = Process{PID: -1}

// Several stands for many processes folded together by a bounded Census.
var Several = Process{PID: -2}

// Known tells whether p is a process and none of the special values.
func (p Process) Known() bool { return p.PID > 0 }

// ProcessInfo is what a look learned of a process.
type ProcessInfo struct {
	Comm      string
	Args      []string // nil where it could not be read
	Exe       string   // base name of the executable, "" where it could not be read
	UID       uint32
	Container *Container
	Unit      string // systemd unit, "" for none
	Netns     NetnsID

	// Descriptors counts the open descriptors, Sockets those that are
	// sockets of any family, DescriptorLimit is the soft RLIMIT_NOFILE.
	// 0 where they could not be read.
	Descriptors, Sockets, DescriptorLimit uint64

	// Tableless counts the descriptors of TCP sockets that are in no table of
	// the kernel; nil where that was not looked for.
	Tableless *Tableless

	// Localhost holds what the hosts file of its mount namespace gives for
	// the name localhost, in the order of the file; nil where that was not
	// read.
	Localhost []netip.Addr

	// LeaderExited tells that the main thread has exited while others run
	// on: ss -p and lsof do not see its sockets.
	LeaderExited bool

	// Ended tells that it has ended: its name is what was remembered of it.
	Ended bool
}

// Tableless counts descriptors of TCP sockets that are in no table of the kernel:
// ss(8) and netstat(8) do not show them.
type Tableless struct {
	// Used have had a connection: bytes came in or were acknowledged, or a
	// round trip was timed. It has ended, and the program still holds the
	// descriptor.
	Used uint64

	// Quiet have had none, as far as the kernel can be asked: a socket() that
	// is not connected yet, or whose connect() failed, or which the program
	// disconnected. One look does not tell which.
	Quiet uint64

	// Unasked are those that the kernel could not be asked about.
	Unasked uint64

	Inode uint64 // of one of Used, else of one of the others; 0 for none
}

// Total is the number of such descriptors.
func (t *Tableless) Total() uint64 { return t.Used + t.Quiet + t.Unasked }
