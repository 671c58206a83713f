package procfs

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// ScanHolders finds out who holds which socket, in one pass over the
// descriptors of every process below Root, tcpvet itself included. Its time
// grows with the number of descriptors, and it allocates per process, not per
// descriptor.
//
// A process whose main thread has exited shows no descriptors of its own;
// those of its other threads are read. Else the threads of a process are taken
// to share one table, as they do unless one called unshare(CLONE_FILES). Two
// processes that share a table hold each socket both. A process that ends
// while it is read is no error. Those that may not be read are folded into one
// gap "holders", and so are those that failed otherwise.
//
// An error means that Root could not be read, or is that of ctx.
func (fs FS) ScanHolders(ctx context.Context) (*Holders, []tcpvet.Gap, error) {
	return fs.scanHolders(ctx, false)
}

// ScanDescriptors is ScanHolders for a later Tableless, which needs to know by
// which descriptor a process holds a socket.
func (fs FS) ScanDescriptors(ctx context.Context) (*Holders, []tcpvet.Gap, error) {
	return fs.scanHolders(ctx, true)
}

func (fs FS) scanHolders(ctx context.Context, descriptors bool) (*Holders, []tcpvet.Gap, error) {
	root, err := openRoot(fs.root())
	if err != nil {
		return nil, nil, fmt.Errorf("scan holders: open %s: %w; is procfs mounted there?", fs.root(), err)
	}
	defer root.close()
	s := &scan{
		ctx:  ctx,
		live: fs.live(),
		h:    newHolders(descriptors),
		text: make([]byte, 4096),
		list: make([]byte, 64<<10),
	}
	pids, err := s.pids(root)
	if err != nil {
		return nil, nil, fmt.Errorf("scan holders: list %s: %w", fs.root(), err)
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		s.process(root, pid)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s.h.finish()
	return s.h, s.gaps(fs), nil
}

// scan is one pass; its buffers serve all processes.
type scan struct {
	ctx  context.Context
	live bool // PIDs are those of this process's namespace
	h    *Holders
	text []byte // of small files
	list []byte // directory entries
	link [64]byte

	denied, failed int
	failure        error // the first of failed
}

func (s *scan) pids(root dir) ([]int32, error) {
	var pids []int32
	err := root.names(s.list, func(name []byte) bool {
		if pid, ok := decimal(name); ok && pid != 0 && pid <= 1<<31-1 {
			pids = append(pids, int32(pid))
		}
		return true
	})
	return pids, err
}

func (s *scan) process(root dir, pid int32) {
	d, err := openDir(root, strconv.Itoa(int(pid)))
	if err != nil {
		s.note(err)
		return
	}
	defer d.close()
	b, err := d.read("stat", s.text)
	if err != nil {
		s.note(err)
		return
	}
	st, err := parseStat(b)
	if err != nil {
		s.note(err)
		return
	}
	if st.flags&kernelThread != 0 || st.state == 'X' || st.state == 'Z' && st.threads <= 1 {
		return
	}
	n := s.h.process(tcpvet.Process{PID: pid, Start: st.start}, st.parent)
	if st.leaderExited() {
		s.h.procs[n].LeaderExited = true
		err = s.threads(d, n)
	} else {
		err = s.table(d, "fd", n)
	}
	s.note(err)
}

// threads reads the descriptor tables of a process without a leader, each
// once.
func (s *scan) threads(d dir, proc uint32) error {
	task, err := openDir(d, "task")
	if err != nil {
		return err
	}
	defer task.close()
	var tids []int
	err = task.names(s.list, func(name []byte) bool {
		if tid, ok := decimal(name); ok && tid <= 1<<31-1 && int32(tid) != s.h.procs[proc].PID {
			tids = append(tids, int(tid))
		}
		return true
	})
	if err != nil {
		return err
	}
	var read []int // a thread for each table that was read
	for _, tid := range tids {
		if s.seen(read, tid) {
			continue
		}
		before := s.h.procs[proc].Descriptors
		if e := s.table(task, strconv.Itoa(tid)+"/fd", proc); e != nil && !gone(e) {
			err = e
		}
		if s.h.procs[proc].Descriptors > before {
			read = append(read, tid)
		}
	}
	return err
}

// seen tells whether the thread uses a table that was read already. Where that
// cannot be asked, one table is taken to be all.
func (s *scan) seen(read []int, tid int) bool {
	const (
		files = 2 // KCMP_FILES in include/uapi/linux/kcmp.h
		most  = 16
	)
	if len(read) >= most {
		return true
	}
	for _, r := range read {
		if !s.live {
			return true
		}
		order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(r), uintptr(tid), files, 0, 0, 0)
		if errno != 0 && errno != unix.ESRCH || errno == 0 && order == 0 {
			return true
		}
	}
	return false
}

// table reads one table of descriptors.
func (s *scan) table(d dir, name string, proc uint32) error {
	fds, err := openDir(d, name)
	if err != nil {
		return err
	}
	defer fds.close()
	var refused unix.Errno
	c := &s.h.procs[proc].Counts
	err = fds.names(s.list, func(name []byte) bool {
		if refused != 0 {
			c.Descriptors++ // the whole process refuses: still counted
			return true
		}
		n, errno := fds.readlinkNUL(name, s.link[:])
		switch {
		case errno == 0:
			c.Descriptors++
			if inode, ok := socketInode(s.link[:n]); ok {
				c.Sockets++
				fd, _ := decimal(name)
				s.h.add(inode, uint32(fd), proc)
			}
		case gone(errno): // closed meanwhile
		default:
			c.Descriptors++
			refused = errno
		}
		return c.Descriptors&0xfff != 0 || s.ctx.Err() == nil
	})
	if err == nil && refused != 0 {
		err = refused
	}
	return err
}

// socketInode reads the text of a link to a socket, socket:[4711]
// (sockfs_dname in net/socket.c).
func socketInode(link []byte) (inode uint64, ok bool) {
	const prefix = "socket:["
	if len(link) < len(prefix)+2 || string(link[:len(prefix)]) != prefix || link[len(link)-1] != ']' {
		return 0, false
	}
	return decimal(link[len(prefix) : len(link)-1])
}

// note counts what came between the scan and a process.
func (s *scan) note(err error) {
	switch {
	case err == nil || gone(err):
	case denied(err):
		s.denied++
	default:
		s.failed++
		if s.failure == nil {
			s.failure = err
		}
	}
}

func (s *scan) gaps(fs FS) []tcpvet.Gap {
	var gaps []tcpvet.Gap
	if s.denied > 0 {
		gaps = append(gaps, tcpvet.Gap{
			What:  "holders",
			Err:   fmt.Sprintf("read the descriptors of other processes: %v", unix.EACCES),
			Needs: holderNeeds(),
			Count: s.denied,
		})
	}
	if s.failed > 0 {
		gaps = append(gaps, tcpvet.Gap{
			What:  "holders",
			Err:   fmt.Sprintf("read the descriptors of a process: %v", s.failure),
			Count: s.failed,
		})
	}
	return append(gaps, fs.hiddenProcesses()...)
}

// holderNeeds says what would open the descriptors of others: the file's mode
// asks for one capability, ptrace_may_access for the other.
func holderNeeds() string {
	if unix.Geteuid() != 0 {
		return "root"
	}
	return "CAP_SYS_PTRACE + CAP_DAC_READ_SEARCH"
}

// hiddenProcesses gives a gap where procfs is mounted with hidepid, so that
// processes of others do not even show (proc.5). With CAP_SYS_PTRACE they do.
func (fs FS) hiddenProcesses() []tcpvet.Gap {
	if unix.Geteuid() == 0 || !fs.live() {
		return nil
	}
	f, err := os.Open(fs.root() + "/thread-self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	var gaps []tcpvet.Gap
	ReadMounts(f, func(m *Mount) bool {
		if m.Point() != fs.root() || !m.Is("proc") {
			return true
		}
		gaps = nil // a later mount covers an earlier one
		switch string(m.option("hidepid")) {
		case "", "0", "off", "1", "noaccess":
		default:
			gaps = []tcpvet.Gap{{
				What:  "holders",
				Err:   fmt.Sprintf("list processes: %s is mounted with hidepid=%s", fs.root(), m.option("hidepid")),
				Needs: "root",
			}}
		}
		return true
	})
	return gaps
}
