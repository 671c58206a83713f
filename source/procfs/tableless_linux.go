package procfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// ProbeTableless tells whether the kernel says of a descriptor in /proc that it is
// a TCP socket, without which Tableless finds nothing: nil where it does.
func ProbeTableless() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	if !isTCP(fmt.Sprintf("/proc/self/fd/%d", fd)) {
		return errors.New("read the protocol of a socket in /proc: the kernel does not tell it")
	}
	return nil
}

// isTCP asks for the name of a socket's protocol (kernel function
// sockfs_xattr_get). It opens nothing.
func isTCP(path string) bool {
	var buf [16]byte
	n, err := unix.Getxattr(path, "system.sockprotoname", buf[:])
	if err != nil {
		return false
	}
	name := string(bytes.TrimRight(buf[:n], "\x00"))
	return name == "TCP" || name == "TCPv6"
}

// TablelessOptions say what Tableless may take for granted.
type TablelessOptions struct {
	// Of tells whether to ask about a process; nil asks about all.
	Of func(tcpvet.Process) bool

	// Bound tells whether Lookup was asked for the merely bound sockets of a
	// network namespace, so that what is left is not bound; nil for none.
	Bound func(tcpvet.NetnsID) bool
}

// Tableless counts, by the process that Lookup would give first, the descriptors of
// TCP sockets that no table of the kernel has: those that Lookup was not asked for,
// and which say of themselves that they are closed. h comes from ScanDescriptors.
// What is closed, or replaced by another file, meanwhile does not count, and neither
// does a socket that was opened since.
//
// The sockets are asked by TCP_INFO on a duplicate (pidfd_getfd(2)), for which
// ptrace has to be allowed. Each takes some 5 us. The error is that of ctx.
func (fs FS) Tableless(ctx context.Context, h *Holders, opt TablelessOptions) (map[tcpvet.Process]*tcpvet.Tableless, error) {
	found := make(map[tcpvet.Process]*tcpvet.Tableless)
	if !fs.live() {
		return found, nil // those PIDs are not ours to ask
	}
	root, err := openRoot(fs.root())
	if err != nil {
		return found, nil // as if all had ended
	}
	defer root.close()
	all := h.left(opt.Of)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].proc == all[0].proc {
			n++
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if a, ok := openAsker(root, &h.procs[all[0].proc], opt.Bound); ok {
			for _, s := range all[:n] {
				if answer := a.ask(s); answer != other {
					count(found, s, answer)
				}
			}
			a.close()
		}
		all = all[n:]
	}
	return found, nil
}

func count(found map[tcpvet.Process]*tcpvet.Tableless, s leftSocket, answer answer) {
	t := found[s.first]
	if t == nil {
		t = new(tcpvet.Tableless)
		found[s.first] = t
	}
	switch answer {
	case used:
		if t.Used++; t.Used == 1 {
			t.Inode = s.inode // of what matters most
		}
	case quiet:
		t.Quiet++
	case unasked:
		t.Unasked++
	}
	if t.Inode == 0 {
		t.Inode = s.inode
	}
}

// answer is what a socket says of itself.
type answer uint8

const (
	other   answer = iota // no TCP, in some table, or gone
	used                  // closed after a connection
	quiet                 // closed, and had none
	unasked               // TCP, and no more could be asked
)

// asker asks about the sockets of one process.
type asker struct {
	dir    dir // of the process: it goes on meaning that process
	tables []fdTable
	bound  func(tcpvet.NetnsID) bool
	link   [64]byte
}

// fdTable is a table of descriptors.
type fdTable struct {
	path  string // of its directory, below that of the process
	pidfd int    // below 0 where there is none
}

func openAsker(root dir, p *holder, bound func(tcpvet.NetnsID) bool) (*asker, bool) {
	d, err := openDir(root, strconv.Itoa(int(p.PID)))
	if err != nil {
		return nil, false
	}
	a := &asker{dir: d, bound: bound}
	if !p.LeaderExited {
		fd, err := unix.PidfdOpen(int(p.PID), 0)
		a.tables = []fdTable{{"fd", orNone(fd, err)}}
	} else {
		a.threads(p.PID)
	}
	// Only now: what was opened above then is this process's.
	var text [4096]byte
	b, err := d.read("stat", text[:])
	if err == nil {
		if st, e := parseStat(b); e == nil && st.start == p.Start {
			return a, true
		}
	}
	a.close()
	return nil, false
}

func orNone(fd int, err error) int {
	if err != nil {
		return -1
	}
	return fd
}

// threads finds the tables of a process whose main thread has exited: a few, for
// threads share one unless they asked for their own.
func (a *asker) threads(leader int32) {
	const most = 16
	task, err := openDir(a.dir, "task")
	if err != nil {
		return
	}
	defer task.close()
	var list [4096]byte
	_ = task.names(list[:], func(name []byte) bool { // what was read until an error serves
		if tid, ok := decimal(name); ok && tid != uint64(leader) {
			fd, err := unix.PidfdOpen(int(tid), unix.PIDFD_THREAD)
			a.tables = append(a.tables, fdTable{"task/" + string(name) + "/fd", orNone(fd, err)})
		}
		return len(a.tables) < most
	})
}

func (a *asker) close() {
	for _, p := range a.tables {
		if p.pidfd >= 0 {
			unix.Close(p.pidfd)
		}
	}
	a.dir.close()
}

// ask asks a socket about itself.
func (a *asker) ask(s leftSocket) answer {
	for _, p := range a.tables {
		name := p.path + "/" + strconv.FormatUint(uint64(s.fd), 10)
		link, err := a.dir.readlink(name, a.link[:])
		if inode, ok := socketInode(link); err != nil || !ok || inode != s.inode {
			continue
		}
		if !isTCP(fmt.Sprintf("/proc/self/fd/%d/%s", a.dir.fd, name)) {
			return other
		}
		if p.pidfd < 0 {
			return unasked
		}
		fd, err := unix.PidfdGetfd(p.pidfd, int(s.fd), 0)
		switch {
		case err == unix.EBADF || gone(err):
			return other
		case err != nil:
			return unasked
		}
		defer unix.Close(fd)
		return a.say(fd, s.inode)
	}
	return other
}

// say asks a duplicate of the descriptor.
func (a *asker) say(fd int, inode uint64) answer {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Ino != inode {
		return other // replaced since the link was read
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	switch {
	case err != nil:
		return unasked
	case info.State != uint8(tcpvet.Unconn):
		return other // of a namespace that was not looked at, or opened since
	case hadConnection(info):
		return used
	case a.maybeBound(fd):
		return other
	}
	return quiet
}

// hadConnection tells that a closed socket had a connection. bytes_acked counts the
// SYN that opened it, bytes_received a FIN too; an end that was accepted, and has
// neither, knows the round trip of the handshake. All of them outlive the
// connection, and none a disconnection that the program asked for, nor does a
// connect() that failed set one (kernel functions tcp_done and tcp_disconnect).
func hadConnection(i *unix.TCPInfo) bool {
	return i.Bytes_acked > 0 || i.Bytes_received > 0 || i.Rtt > 0
}

// maybeBound tells that bind() may keep a port for the socket, which puts it into a
// table that was not read. A failed connect() leaves a port in its name as well.
func (a *asker) maybeBound(fd int) bool {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return true
	}
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		if n.Port == 0 {
			return false
		}
	case *unix.SockaddrInet6:
		if n.Port == 0 {
			return false
		}
	}
	if a.bound == nil {
		return true
	}
	ns, err := unix.IoctlRetInt(fd, unix.SIOCGSKNS)
	if err != nil {
		return true
	}
	defer unix.Close(ns)
	var st unix.Stat_t
	return unix.Fstat(ns, &st) != nil || !a.bound(tcpvet.NetnsID(st.Ino))
}

// PtraceNeeds says what would let one ask sockets of other processes about
// themselves.
func PtraceNeeds() string {
	if unix.Geteuid() != 0 {
		return "root"
	}
	return "CAP_SYS_PTRACE"
}
