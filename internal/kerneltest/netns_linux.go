package kerneltest

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A test in a namespace of its own ends with its thread. The process's first
// thread cannot end before the process, and /proc/self shows its namespaces, so
// no test may run on it: the main goroutine, which only waits while tests run,
// keeps it.
func init() { runtime.LockOSThread() }

// Netns needs root and runs the rest of the test in a new network namespace
// that has nothing but lo, which is up, and the kernel's default settings.
//
// The namespace belongs to one operating system thread, which the test's
// goroutine keeps:
//
//   - Sockets that the test opens itself are inside, and so are connections
//     that any goroutine accepts from them.
//   - Programs that the test starts are inside.
//   - Goroutines that it starts, subtests and http.Transport's dials among them,
//     are outside. net.Dial of a literal address does not change goroutine.
//   - Read /proc/thread-self/net and /proc/thread-self/ns/net, not those of
//     /proc/self: these show the process's first thread, which is outside.
//
// The thread dies with the test, and the namespace with its thread. A process
// that is then still inside fails the test by its name. The guard does not kill
// it: a root test that picks processes to kill by looking around is one mistake
// away from ending the machine's.
func Netns(t testing.TB) {
	t.Helper()
	Root(t)
	runtime.LockOSThread() // and never unlock: what ran here must not run elsewhere
	newNetns(t)
}

// Crowded is Netns with a table of connections of its own that has so many
// buckets, a power of two, so that sockets share them as on a host with a
// million (net.ipv4.tcp_child_ehash_entries, Linux 6.1).
func Crowded(t testing.TB, buckets int) {
	t.Helper()
	Netns(t)
	const file = "/proc/sys/net/ipv4/tcp_child_ehash_entries"
	Need(t, func() error {
		_, err := os.Stat(file)
		return err
	})
	// It is for the namespaces that are made from this one.
	if err := os.WriteFile(file, []byte(strconv.Itoa(buckets)), 0); err != nil {
		t.Fatalf("set the buckets of new network namespaces: %v", err)
	}
	newNetns(t)
}

// newNetns moves the thread into a new network namespace until the test ends.
func newNetns(t testing.TB) {
	t.Helper()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	if err := upLoopback(); err != nil {
		t.Fatal(err)
	}
	inside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatalf("read the name of the new network namespace: %v", err)
	}
	t.Cleanup(func() {
		for _, p := range leftBehind(inside, 10*time.Second) {
			t.Errorf("process %d (%s) was left in the test's network namespace: end it", p.pid, p.name)
		}
	})
}

// upLoopback sets IFF_UP of lo in the caller's network namespace (netdevice(7)).
func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket to set lo up: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("read flags of lo: %w", err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

type leftover struct {
	pid  int
	name string
}

// leftBehind lists the processes in a network namespace, given as its link text
// "net:[4026532177]". Those that are just ending get grace for it: a child that
// was waited for is gone, but its own children may not be.
func leftBehind(netns string, grace time.Duration) []leftover {
	var found []leftover
	for deadline := time.Now().Add(grace); ; time.Sleep(10 * time.Millisecond) {
		found = insideNow(netns)
		if len(found) == 0 || time.Now().After(deadline) {
			return found
		}
	}
}

func insideNow(netns string) []leftover {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []leftover
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A process that has ended, or is ending, has no link to read.
		if ns, err := os.Readlink("/proc/" + d.Name() + "/ns/net"); err != nil || ns != netns {
			continue
		}
		comm, _ := os.ReadFile("/proc/" + d.Name() + "/comm")
		found = append(found, leftover{pid, string(trimNewline(comm))})
	}
	return found
}

func trimNewline(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}
