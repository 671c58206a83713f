package tcpvet

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

	// LeaderExited tells that the main thread has exited while others run
	// on: ss -p and lsof do not see its sockets.
	LeaderExited bool
}
