package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

func TestSelf(t *testing.T) {
	got, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	if uint64(got) != st.Ino {
		t.Errorf("got %d, stat says %d", got, st.Ino)
	}
}

// find looks for one namespace among those of the machine.
func findID(t testing.TB, opt Options, id tcpvet.NetnsID) (Found, bool) {
	t.Helper()
	all, _, err := Find(opt)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(all, func(a, b Found) int { return int(int64(a.ID) - int64(b.ID)) }) {
		t.Error("not sorted by ID")
	}
	i := slices.IndexFunc(all, func(f Found) bool { return f.ID == id })
	if i < 0 {
		return Found{}, false
	}
	return all[i], true
}

func TestFindSeesItself(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	f, ok := findID(t, Options{}, self)
	if !ok || f.PID == 0 {
		t.Fatalf("own namespace %d: %+v, %v", self, f, ok)
	}
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", f.PID))
	if err == nil && link != fmt.Sprintf("net:[%d]", self) {
		t.Errorf("process %d is in %s", f.PID, link)
	}
}

func TestFindOfFixtures(t *testing.T) {
	root := t.TempDir()
	link := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(text, path); err != nil {
			t.Fatal(err)
		}
	}
	link("1/ns/net", "net:[4026531833]")
	link("20/ns/net", "net:[4026532300]")
	link("21/ns/net", "net:[4026532300]")
	for pid := 30; pid < 60; pid++ {
		link(strconv.Itoa(pid)+"/ns/net", "net:[4026531833]")
	}
	link("70/task/70/comm", "x") // its main thread has exited, the other has not
	link("70/task/71/ns/net", "net:[4026532400]")
	link("80/comm", "x")            // died
	link("self/ns/net", "net:[77]") // no process of its own
	link("90/ns/net", "mnt:[77]")   // no network namespace
	mountinfo := strings.Join([]string{
		"22 27 8:1 / / rw - ext4 /dev/sda1 rw",
		"90 22 0:4 net:[4026532500] /run/netns/web\\040one rw shared:5 - nsfs nsfs rw",
		"91 22 0:4 net:[4026532500] /srv/ns/two rw - nsfs nsfs rw",
		"92 22 0:4 mnt:[4026532600] /run/snapd/ns/x.mnt rw - nsfs nsfs rw",
		"93 22 0:4 net:[4026532300] /run/docker/netns/1a2b rw master:1 shared:2 - nsfs nsfs rw",
		"94 22 0:4 net:[] /x rw - nsfs nsfs rw",
		"95 22 8:1 /net:[5] /x rw - ext4 /dev/sda1 rw",
		"96 22 8:1 net:[6] /x rw - ext4 /dev/sda1 rw",
		"97 22 0:4 net:[7] /x rw - ", "98",
	}, "\n")
	if err := os.MkdirAll(filepath.Join(root, "thread-self"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "thread-self/mountinfo"), []byte(mountinfo), 0o644); err != nil {
		t.Fatal(err)
	}
	all, gaps, err := Find(Options{Root: root, Dirs: []string{filepath.Join(root, "1"), filepath.Join(root, "absent")}})
	if err != nil || len(gaps) != 0 {
		t.Fatalf("gaps %+v, %v", gaps, err)
	}
	var got []string
	for _, f := range all {
		got = append(got, fmt.Sprintf("%d %q %d", f.ID, f.Names, f.PID))
		if len(f.paths) > maxPaths {
			t.Errorf("%d ways into %d", len(f.paths), f.ID)
		}
	}
	// Which process of several stands for a namespace is open.
	for i := range got {
		got[i] = strings.Replace(got[i], " 21", " 20", 1)
		if strings.HasPrefix(got[i], "4026531833 ") {
			got[i] = "4026531833 [] some"
		}
	}
	want := []string{`4026531833 [] some`, `4026532300 ["1a2b"] 20`, `4026532400 [] 70`, `4026532500 ["two" "web one"] 0`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, _, err := Find(Options{Root: filepath.Join(root, "absent")}); !os.IsNotExist(unwrap(err)) {
		t.Errorf("without procfs: %v", err)
	}
}

func unwrap(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if _, isPath := err.(*os.PathError); isPath {
			return err
		}
		err = u.Unwrap()
	}
}

// bind makes a network namespace that only a bind mount keeps.
func bind(t testing.TB, path string) tcpvet.NetnsID {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	type made struct {
		id  tcpvet.NetnsID
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- made{0, err}
			return
		}
		id, err := Self()
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
		done <- made{id, err}
	}()
	m := <-done
	if m.err != nil {
		t.Fatalf("make a namespace: %v", m.err)
	}
	t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
	return m.id
}

func TestRootFindMounted(t *testing.T) {
	kerneltest.Root(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "web one")
	id := bind(t, path)

	f, ok := findID(t, Options{}, id)
	if !ok || !slices.Equal(f.Names, []string{"web one"}) || f.PID != 0 {
		t.Errorf("by mountinfo: %+v, %v", f, ok)
	}

	// A second name is one of the same namespace; a plain file that ip
	// netns left and a namespace of another kind are none.
	second := filepath.Join(dir, "also")
	stale, other := filepath.Join(dir, "stale"), filepath.Join(dir, "uts")
	for _, p := range []string{second, stale, other} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for target, source := range map[string]string{second: path, other: "/proc/self/ns/uts"} {
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	}
	// With no mountinfo below Root, only the folder tells.
	all, _, err := Find(Options{Root: t.TempDir(), Dirs: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].ID != id || !slices.Equal(all[0].Names, []string{"also", "web one"}) {
		t.Errorf("by folder: %+v", all)
	}
}

func TestRootFindProcess(t *testing.T) {
	kerneltest.Root(t)
	cmd := exec.Command(kerneltest.Tool(t, "bash"), "-c", "read x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	name := fmt.Sprintf("pid:%d", cmd.Process.Pid)
	all, _, err := Find(Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Select(all, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid), &st); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || uint64(got[0].ID) != st.Ino || got[0].PID != cmd.Process.Pid || len(got[0].Names) != 0 {
		t.Errorf("got %+v, want the namespace %d of process %d", got, st.Ino, cmd.Process.Pid)
	}
}
