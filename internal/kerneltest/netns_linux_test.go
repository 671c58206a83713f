package kerneltest

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func netnsOf(t *testing.T, task string) string {
	t.Helper()
	link, err := os.Readlink("/proc/" + task + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestRootNetns(t *testing.T) {
	Root(t)
	outside := netnsOf(t, "self")
	Netns(t)
	inside := netnsOf(t, "thread-self")
	if inside == outside {
		t.Fatal("the test is in the network namespace that it started in")
	}
	if got := netnsOf(t, "self"); got != outside {
		t.Errorf("the process's first thread went along: %s, was %s", got, outside)
	}

	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("lo is not up: %v", err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatalf("a dial from the test's goroutine is not inside: %v", err)
	}
	c.Close()

	out, err := exec.Command(Tool(t, "ip"), "-o", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(out), "\n"); lines != 1 || !strings.Contains(string(out), "LOOPBACK,UP") {
		t.Errorf("a child sees other interfaces than lo, up:\n%s", out)
	}

	// New threads come from an untouched one, not from the test's.
	seen := make(chan string)
	for range 20 {
		go func() {
			runtime.LockOSThread()
			link, _ := os.Readlink("/proc/thread-self/ns/net")
			seen <- link
		}()
	}
	for range 20 {
		if got := <-seen; got != outside {
			t.Errorf("another goroutine runs in %s, want %s", got, outside)
		}
	}
}

// No test runs on the first thread: that one could not end, and its namespace is
// what /proc/self shows.
func TestFirstThread(t *testing.T) {
	for range 50 {
		t.Run("", func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if unix.Gettid() == os.Getpid() {
				t.Error("a test runs on the process's first thread")
			}
		})
	}
}

func TestRootNetnsEnds(t *testing.T) {
	Root(t)
	var inside string
	t.Run("inside", func(t *testing.T) {
		Netns(t)
		inside = netnsOf(t, "thread-self")
	})
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		holders := threadsIn(t, inside)
		if len(holders) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the namespace is still held by threads %v", holders)
		}
	}
}

func threadsIn(t *testing.T, netns string) (in []string) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if link, _ := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); link == netns {
			in = append(in, task.Name())
		}
	}
	return in
}

// A forgotten child is found by name, and nothing else is.
func TestRootNetnsLeftBehind(t *testing.T) {
	Netns(t)
	inside := netnsOf(t, "thread-self")
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	left := leftBehind(inside, 0)
	if len(left) != 1 || left[0].pid != child.Process.Pid || left[0].name != "sleep" {
		t.Errorf("found %+v, want sleep, process %d", left, child.Process.Pid)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	if left := leftBehind(inside, time.Second); len(left) != 0 {
		t.Errorf("still found %+v", left)
	}
}
