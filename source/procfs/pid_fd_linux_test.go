package procfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

func scanNow(t testing.TB, fs FS) (*Holders, []tcpvet.Gap) {
	t.Helper()
	h, gaps, err := fs.ScanHolders(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return h, gaps
}

func TestScanHoldersFindsItself(t *testing.T) {
	fd, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	self := process(t, os.Getpid())
	h, _ := scanNow(t, FS{})
	first, others, ok := h.Lookup(inode(t, fd))
	if !ok || first != self || len(others) != 0 {
		t.Errorf("holder of the listener: %v %v %v, want %v alone", first, others, ok, self)
	}
	before, ok := h.Counts(self)
	if !ok || before.Sockets < 1 || before.Descriptors <= before.Sockets || before.LeaderExited {
		t.Errorf("counts of this process: %+v", before)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	h, _ = scanNow(t, FS{})
	if after, _ := h.Counts(self); after.Sockets != before.Sockets+2 || after.Descriptors != before.Descriptors+2 {
		t.Errorf("two more sockets: %+v, then %+v", before, after)
	}
}

// A socket that children inherit counts once, with the parent first, and those
// are the holders that lsof shows.
func TestScanHoldersInherited(t *testing.T) {
	fd, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "listener")
	defer socket.Close()
	var children []tcpvet.Process
	for range 3 {
		pid, _ := play(t, "hold", func(c *exec.Cmd) { c.ExtraFiles = []*os.File{socket} })
		children = append(children, process(t, pid))
	}
	h, _ := scanNow(t, FS{})
	first, others, ok := h.Lookup(inode(t, fd))
	if self := process(t, os.Getpid()); !ok || first != self {
		t.Errorf("first holder %v, want the parent %v", first, self)
	}
	slices.SortFunc(children, func(a, b tcpvet.Process) int { return int(a.Start) - int(b.Start) })
	if !slices.Equal(others, children) {
		t.Errorf("others %v, want the children %v", others, children)
	}

	lsof := kerneltest.Tool(t, "lsof")
	out, err := exec.Command(lsof, "-nP", "-w", "-F", "pd", "-p", pids(append(children, first))).Output()
	if err != nil {
		t.Fatalf("lsof: %v\n%s", err, out)
	}
	var seen []string
	pid := ""
	for line := range strings.Lines(string(out)) {
		switch line = strings.TrimSpace(line); {
		case line[0] == 'p':
			pid = line[1:]
		case line == fmt.Sprintf("d%d", inode(t, fd)): // lsof calls the inode of a socket its device
			seen = append(seen, pid)
		}
	}
	var want []string
	for _, p := range append(others, first) {
		want = append(want, strconv.Itoa(int(p.PID)))
	}
	slices.Sort(seen)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(seen), want) {
		t.Errorf("lsof sees the socket in %v, the scan in %v", seen, want)
	}
}

func pids(ps []tcpvet.Process) string {
	var s []string
	for _, p := range ps {
		s = append(s, strconv.Itoa(int(p.PID)))
	}
	return strings.Join(s, ",")
}

// A process whose main thread has exited keeps its sockets in the others.
func TestScanHoldersLeaderExited(t *testing.T) {
	pid, line := play(t, "leader", nil)
	ino, err := strconv.ParseUint(line, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	p := process(t, pid)
	for { // the thread says its line and the leader exits in either order
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if st, err := parseStat(b); err == nil && st.leaderExited() {
			break
		}
	}
	h, _ := scanNow(t, FS{})
	if first, others, ok := h.Lookup(ino); !ok || first != p || len(others) != 0 {
		t.Errorf("holder: %v %v %v, want %v alone", first, others, ok, p)
	}
	c, ok := h.Counts(p)
	if !ok || !c.LeaderExited || c.Sockets != 1 {
		t.Errorf("counts %+v: want one socket, and that the leader has exited", c)
	}
	// Go's threads share one table: each descriptor counts once.
	want, err := os.ReadDir(fmt.Sprintf("/proc/%d/task/%d/fd", pid, liveThread(t, pid)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Descriptors != uint64(len(want)) {
		t.Errorf("%d descriptors, a thread of it has %d", c.Descriptors, len(want))
	}

	info, err := FS{}.ProcessInfo(p)
	if err != nil {
		t.Fatal(err)
	}
	self, err := FS{}.ProcessInfo(process(t, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if !info.LeaderExited || info.Exe != self.Exe || info.Netns != self.Netns || info.Netns == 0 || len(info.Args) == 0 {
		t.Errorf("got %+v, want the executable and the namespace of %+v", info, self)
	}
}

func liveThread(t testing.TB, pid int) int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if tid, _ := strconv.Atoi(task.Name()); tid != pid {
			return tid
		}
	}
	t.Fatalf("process %d has no other thread", pid)
	return 0
}

func TestScanHoldersOfFixtures(t *testing.T) {
	root := t.TempDir()
	stat := func(pid int, state string, parent int, flags, threads, start int) string {
		return fmt.Sprintf("%d (x) y) %s %d 2 3 0 -1 %d 7 8 9 10 11 12 13 14 20 0 %d 0 %d 1000000 200", pid, state, parent, flags, threads, start)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fds := func(dir string, links ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		for i, link := range links {
			if err := os.Symlink(link, filepath.Join(root, dir, strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("10/stat", stat(10, "S", 1, 0, 1, 100))
	fds("10/fd", "/dev/null", "socket:[501]", "pipe:[501]", "socket:[502]", "socket:[502]")
	write("11/stat", stat(11, "S", 10, 0, 1, 100))
	fds("11/fd", "socket:[501]", "anon_inode:[eventpoll]", "socket:[x]", "/srv/socket:[503]")
	write("12/stat", stat(12, "Z", 1, 0, 3, 90)) // its leader has exited
	fds("12/fd")
	write("12/task/12/stat", "")
	fds("12/task/12/fd")
	fds("12/task/13/fd", "socket:[601]")
	fds("12/task/14/fd", "socket:[601]")
	write("20/stat", stat(20, "S", 2, kernelThread, 1, 1))
	fds("20/fd", "socket:[701]") // is not even looked at
	write("21/stat", stat(21, "Z", 1, 0, 1, 5))
	fds("22/fd", "socket:[801]") // died: no stat
	write("23/stat", "garbage")
	fds("24/stat") // a folder, which cannot be read
	write("self/stat", stat(99, "S", 1, 0, 1, 9))

	h, gaps := scanNow(t, FS{Root: root})
	p := func(pid int32, start uint64) tcpvet.Process { return tcpvet.Process{PID: pid, Start: start} }
	for inode, want := range map[uint64][]tcpvet.Process{
		501: {p(10, 100), p(11, 100)},
		502: {p(10, 100)},
		601: {p(12, 90)},
		503: nil, 701: nil, 801: nil,
	} {
		first, others, ok := h.Lookup(inode)
		got := append([]tcpvet.Process{first}, others...)
		if ok != (want != nil) || ok && !slices.Equal(got, want) {
			t.Errorf("socket %d: %v %v, want %v", inode, got, ok, want)
		}
	}
	seen := map[int32]Counts{}
	for p, c := range h.Processes() {
		seen[p.PID] = c
	}
	want := map[int32]Counts{10: {5, 3, false}, 11: {4, 1, false}, 12: {1, 1, true}}
	if len(seen) != len(want) || seen[10] != want[10] || seen[11] != want[11] || seen[12] != want[12] {
		t.Errorf("counts %v, want %v", seen, want)
	}
	if len(gaps) != 1 || gaps[0].What != "holders" || gaps[0].Count != 2 || gaps[0].Err == "" {
		t.Errorf("gaps %+v, want the two processes whose stat is none", gaps)
	}

	if _, _, err := (FS{Root: filepath.Join(root, "absent")}).ScanHolders(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without procfs: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := (FS{Root: root}).ScanHolders(ctx); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

// Descriptors cost no allocation.
func TestTableAllocatesNothingPerDescriptor(t *testing.T) {
	d, err := openRoot("/proc/self")
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	allocs := func() float64 {
		return testing.AllocsPerRun(5, func() {
			s := &scan{ctx: context.Background(), h: newHolders(false), list: make([]byte, 64<<10)}
			if err := s.table(d, "fd", s.h.process(tcpvet.Process{PID: 1}, 0)); err != nil {
				t.Fatal(err)
			}
		})
	}
	few := allocs()
	for range 500 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	if many := allocs(); many > few+1 {
		t.Errorf("%v allocations, and %v with 500 sockets more", few, many)
	}
}

func TestDirentry(t *testing.T) {
	// struct linux_dirent64: inode, offset, length, type, name.
	entry := append(make([]byte, 16), 24, 0, 10, 'f', 'd', 0, 0, 0)
	if name, size := direntry(entry); string(name) != "fd" || size != 24 {
		t.Errorf("got %q, %d", name, size)
	}
	for cut := range len(entry) {
		if name, size := direntry(entry[:cut]); size != 0 {
			t.Errorf("cut to %d bytes: %q, %d", cut, name, size)
		}
	}
	if name, size := direntry(append(make([]byte, 16), 24, 0, 10, 'a', 'b', 'c', 'd', 'e')); size != 0 {
		t.Errorf("a name without an end: %q, %d", name, size)
	}
}
