package netns

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
	"golang.org/x/sys/unix"
)

// Found is a network namespace and the ways into it.
type Found struct {
	ID    tcpvet.NetnsID
	Names []string // file names of its bind mounts, sorted, as ip netns shows them
	PID   int      // a process whose main thread is in it; 0 if there is none, or none that may be seen

	paths []string // files that lead to it, the surest first
}

// maxPaths bounds the ways into one namespace that are kept: a process may end
// before it is entered, so there are a few to try.
const maxPaths = 6

// Name gives the first name of the namespace, or its number.
func (f *Found) Name() string {
	if len(f.Names) > 0 {
		return f.Names[0]
	}
	return strconv.FormatUint(uint64(f.ID), 10)
}

// Options says where to look. The zero value looks at the machine.
type Options struct {
	Root string   // where procfs is mounted; "" for /proc
	Dirs []string // folders of bind mounts; nil for those of ip netns and Docker
}

// dirs are the folders in which ip(8) and dockerd mount namespaces. Bind mounts
// elsewhere show in mountinfo.
var dirs = []string{"/run/netns", "/var/run/netns", "/run/docker/netns", "/var/run/docker/netns"}

// Find gives every network namespace that the main thread of a process is in
// or that a bind mount keeps, sorted by ID. One that only a descriptor or
// another thread keeps is not found.
//
// Processes and mounts that vanish meanwhile are no error. Processes that may
// not be looked at are folded into one gap. An error means that Root could not
// be read.
func Find(opt Options) ([]Found, []tcpvet.Gap, error) {
	root := opt.Root
	if root == "" {
		root = "/proc"
	}
	folders := opt.Dirs
	if folders == nil {
		folders = dirs
	}
	s := search{found: map[tcpvet.NetnsID]*Found{}}
	s.mounts(root)
	for _, dir := range folders {
		s.dir(dir)
	}
	if err := s.processes(root); err != nil {
		return nil, nil, fmt.Errorf("find namespaces: %w", err)
	}
	all := make([]Found, 0, len(s.found))
	for _, f := range s.found {
		slices.Sort(f.Names)
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Found) int { return cmp.Compare(a.ID, b.ID) })
	var gaps []tcpvet.Gap
	if s.denied > 0 {
		gaps = append(gaps, tcpvet.Gap{
			What:  "namespaces",
			Err:   "read the namespaces of other processes: permission denied",
			Needs: needs("CAP_SYS_PTRACE"),
			Count: s.denied,
		})
	}
	return all, gaps, nil
}

type search struct {
	found  map[tcpvet.NetnsID]*Found
	denied int
}

func (s *search) get(id tcpvet.NetnsID) *Found {
	f := s.found[id]
	if f == nil {
		f = &Found{ID: id}
		s.found[id] = f
	}
	return f
}

// mounted notes a bind mount, which one way may find after another did.
func (s *search) mounted(id tcpvet.NetnsID, path string) {
	f := s.get(id)
	if name := filepath.Base(path); !slices.Contains(f.Names, name) {
		f.Names = append(f.Names, name)
	}
	if len(f.paths) < maxPaths && !slices.Contains(f.paths, path) {
		f.paths = append(f.paths, path)
	}
}

// mounts reads the bind mounts of this thread's mount namespace.
func (s *search) mounts(root string) {
	f, err := os.Open(filepath.Join(root, "thread-self/mountinfo"))
	if err != nil {
		return // the folders are looked at anyway
	}
	defer f.Close()
	procfs.ReadMounts(f, func(m *procfs.Mount) bool {
		if m.Is("nsfs") && strings.HasPrefix(m.Root(), "net:[") {
			if id, ok := ParseID(m.Root()); ok {
				s.mounted(id, m.Point())
			}
		}
		return true
	})
}

// dir looks through a folder of bind mounts, for where mountinfo is not
// readable. What is no namespace is passed over: ip netns leaves plain files
// behind.
func (s *search) dir(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if id, err := ofFile(path); err == nil {
			s.mounted(id, path)
		}
	}
}

func (s *search) processes(root string) error {
	d, err := os.Open(root)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(4096)
		for _, name := range names {
			if pid, err := strconv.ParseUint(name, 10, 31); err == nil && pid > 0 {
				s.process(root, name, int(pid))
			}
		}
		if err != nil {
			return nil // io.EOF, or procfs is gone
		}
	}
}

func (s *search) process(root, name string, pid int) {
	path := root + "/" + name + "/ns/net"
	id, err := linked(path)
	if errors.Is(err, unix.ENOENT) {
		// The main thread may have exited and left others.
		path, id, err = threadOf(root, name)
	}
	switch {
	case err == nil:
		f := s.get(id)
		if f.PID == 0 {
			f.PID = pid
		}
		if len(f.paths) < maxPaths {
			f.paths = append(f.paths, path)
		}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		s.denied++
	}
}
