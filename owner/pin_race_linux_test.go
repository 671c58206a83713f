package owner

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// taker removes a folder that is not locked yet, as another Keeper that begins may do:
// it takes that for one of a dead Keeper. It goes by the descriptor of the folder above,
// for it is on another thread, in another mount namespace.
func taker(parent *os.File, kept string, stop <-chan struct{}) (took bool) {
	for {
		select {
		case <-stop:
			return false
		default:
		}
		fd, err := unix.Openat(int(parent.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		dir := os.NewFile(uintptr(fd), ".")
		names, _ := dir.Readdirnames(-1)
		dir.Close()
		for _, name := range names {
			if name == kept {
				continue
			}
			one, err := unix.Openat(int(parent.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			took := unix.Flock(one, unix.LOCK_SH|unix.LOCK_NB) == nil
			if took {
				time.Sleep(20 * time.Millisecond) // most likely the Keeper waits for the lock by then
				took = unix.Unlinkat(int(parent.Fd()), name, unix.AT_REMOVEDIR) == nil
			}
			unix.Close(one)
			if took {
				return true
			}
		}
	}
}

// A folder that was taken away before it was locked is made again.
func TestRootPinTaken(t *testing.T) {
	kerneltest.Netns(t)
	root := kerneltest.BPFFS(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	other, err := newPin(root)
	must(err)
	defer other.remove()
	parent, err := os.Open(filepath.Dir(other.path))
	must(err)
	defer parent.Close()
	for deadline := time.Now().Add(30 * time.Second); ; {
		stop, done := make(chan struct{}), make(chan bool)
		go func() { done <- taker(parent, filepath.Base(other.path), stop) }()
		p, err := newPin(root)
		close(stop)
		took := <-done
		must(err)
		if !alive(p.path) {
			t.Fatalf("%s is not there, or not locked", p.path)
		}
		must(p.remove())
		if took {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no folder could be taken away in time")
		}
	}
}
