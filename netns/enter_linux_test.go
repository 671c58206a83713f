package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/procfs"
	"golang.org/x/sys/unix"
)

// One's own namespace is visited without any privilege.
func TestDoInOwnNamespace(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	err = Found{ID: self}.Do(func() error {
		if id, err := Self(); err != nil || id != self {
			t.Errorf("in %d, %v; want %d", id, err, self)
		}
		return stop
	})
	if err != stop {
		t.Errorf("got %v, want the function's own error", err)
	}
	err = Found{ID: self}.Do(func() error { runtime.Goexit(); return nil })
	if err == nil {
		t.Error("a function that ended its goroutine counts as done")
	}
}

func TestEachHonoursContext(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err = Each(ctx, []Found{{ID: self}, {ID: self}, {ID: self}}, func(Found, error) error { n++; cancel(); return nil })
	if err != context.Canceled || n != 1 {
		t.Errorf("%d visits, %v", n, err)
	}
}

func TestRootEach(t *testing.T) {
	kerneltest.Root(t)
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a, b := bind(t, filepath.Join(dir, "a")), bind(t, filepath.Join(dir, "b"))
	find := func(id tcpvet.NetnsID) Found {
		t.Helper()
		f, ok := findID(t, Options{}, id)
		if !ok {
			t.Fatalf("namespace %d was not found", id)
		}
		return f
	}
	fa, fb, own := find(a), find(b), find(self)
	reused := fb
	reused.paths = []string{filepath.Join(dir, "a")} // the path stands for another one by now
	gone := Found{ID: 5, paths: []string{"/proc/4294967/ns/net", filepath.Join(dir, "absent"), "/proc/self/ns/uts", "/etc/passwd"}}
	second := fb
	second.paths = append([]string{"/proc/4294967/ns/net"}, fb.paths...)

	var threads []int
	var seen []string
	err = Each(context.Background(), []Found{own, fa, gone, reused, second, own, fa}, func(f Found, err error) error {
		in, e := Self()
		if e != nil {
			return e
		}
		threads = append(threads, unix.Gettid())
		switch enter, ok := errors.AsType[*EnterError](err); {
		case err == nil && in == f.ID:
			seen = append(seen, "in")
		case ok && enter.ID == f.ID && errors.Is(err, ErrGone) && !errors.Is(err, ErrNotPermitted):
			seen = append(seen, "gone")
		default:
			seen = append(seen, fmt.Sprintf("%d in %d: %v", f.ID, in, err))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, " "); got != "in in gone gone in in in" {
		t.Errorf("visits: %s", got)
	}
	for _, tid := range threads {
		if tid != threads[0] || tid == unix.Getpid() {
			t.Errorf("threads %v: want one, and not the main one", threads)
		}
	}
	// No thread of the process stays behind in a namespace.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		inside := 0
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			id, err := linked("/proc/self/task/" + task.Name() + "/ns/net")
			if err == nil && id != self {
				inside++
			}
		}
		if inside == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d threads stayed in other namespaces", inside)
		}
	}
}

func enterAndTell() error {
	path := os.Getenv("NETNS_PATH")
	id, err := ofFile(path)
	if err != nil {
		return err
	}
	err = Found{ID: id, paths: []string{path}}.Do(func() error { return nil })
	enter, ok := errors.AsType[*EnterError](err)
	if !ok {
		return fmt.Errorf("no EnterError: %v", err)
	}
	_, gaps, err := Find(Options{})
	if err != nil {
		return err
	}
	return kerneltest.Say(told{errors.Is(enter, ErrNotPermitted), errors.Is(enter, ErrGone), enter.Error(), enter.Gap(), gaps})
}

type told struct {
	NotPermitted, Gone bool
	Text               string
	Gap                tcpvet.Gap
	Gaps               []tcpvet.Gap
}

// Without CAP_SYS_ADMIN one sees a namespace and does not get in.
func TestRootEnterAsNobody(t *testing.T) {
	kerneltest.Root(t)
	dir, err := os.MkdirTemp("", "netns-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a")
	id := bind(t, path)
	const nobody = 65534
	var got told
	kerneltest.Play(t, "enter", &got, func(c *exec.Cmd) {
		c.Env = append(c.Env, "NETNS_PATH="+path)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	if !got.NotPermitted || got.Gone || !strings.Contains(got.Text, "needs root") {
		t.Errorf("got %+v", got)
	}
	if g := got.Gap; g.Netns != id || g.Needs != "root" || g.What != "sockets" || g.Where != fmt.Sprintf("netns %d", id) {
		t.Errorf("gap %+v", g)
	}
	// This test's process is another user's, at the least.
	if len(got.Gaps) != 1 || got.Gaps[0].What != "namespaces" || got.Gaps[0].Count < 1 || got.Gaps[0].Needs != "root" {
		t.Errorf("gaps of Find: %+v", got.Gaps)
	}
}

type thousandFound struct {
	Made, Entered, WithTCP, Settings int
	CPU, Wall                        time.Duration
}

// mostCPU is about twice what a look takes.
const mostCPU = 2 * time.Second

// thousand makes a thousand namespaces in its own mount namespace, ten of them
// with a listener, and measures a look at all.
func thousand() error {
	dir := os.Getenv("NETNS_DIR")
	const many, busy = 1000, 10
	made := make(chan error)
	keep := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		made <- func() error {
			for i := range many {
				path := filepath.Join(dir, fmt.Sprintf("ns%d", i))
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					return err
				}
				if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
					return err
				}
				if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
					return err
				}
				if i%(many/busy) == 0 {
					fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
					if err != nil {
						return err
					}
					if err := unix.Listen(fd, 1); err != nil {
						return err
					}
				}
			}
			return nil
		}()
		<-keep
	}()
	if err := <-made; err != nil {
		return err
	}
	defer close(keep)

	var got thousandFound
	for range 5 { // what a busy machine does to one look, it does not to each
		var err error
		if got, err = lookAtAll(); err != nil {
			return err
		}
		if got.CPU <= mostCPU {
			break
		}
	}
	got.Made = many
	return kerneltest.Say(got)
}

// lookAtAll finds the namespaces of thousand and enters each.
func lookAtAll() (got thousandFound, err error) {
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	start := time.Now()
	found, _, err := Find(Options{})
	if err != nil {
		return got, err
	}
	ours := found[:0]
	for _, f := range found {
		if len(f.Names) == 1 && strings.HasPrefix(f.Names[0], "ns") {
			ours = append(ours, f)
		}
	}
	err = Each(context.Background(), ours, func(f Found, err error) error {
		if err != nil {
			return err
		}
		got.Entered++
		sysctls, err := procfs.FS{}.Sysctls()
		if err != nil {
			return err
		}
		counters, err := procfs.FS{}.Counters()
		if err != nil {
			return err
		}
		if sysctls["net.ipv4.ip_local_port_range"] != "" && counters["TcpExtTW"] == 0 {
			got.Settings++
		}
		if !procfs.NoTCP(counters) {
			got.WithTCP++
		}
		return nil
	})
	if err != nil {
		return got, err
	}
	got.Wall = time.Since(start)
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	got.CPU = time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return got, nil
}

// A host of a thousand containers: finding and entering the namespaces and
// reading settings and counters takes well under 2 s.
func TestRootThousandNamespaces(t *testing.T) {
	kerneltest.Root(t)
	var got thousandFound
	kerneltest.Play(t, "thousand", &got, func(c *exec.Cmd) {
		c.Env = append(c.Env, "NETNS_DIR="+t.TempDir())
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // the mounts end with it
	})
	t.Logf("%d namespaces in %v, CPU %v", got.Entered, got.Wall.Round(time.Millisecond), got.CPU.Round(time.Millisecond))
	if got.Entered != got.Made || got.Settings != got.Made || got.WithTCP != 10 {
		t.Errorf("got %+v, want all %d entered and read, 10 with TCP sockets", got, got.Made)
	}
	if got.CPU > mostCPU {
		t.Errorf("took %v of CPU", got.CPU)
	}
}
