package run

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// An empty group whose tcpvet lives is nobody else's to remove; one whose tcpvet has
// ended is, with what is empty below it.
func TestRootSweep(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.CgroupV2)
	mount, err := kernel.CgroupV2Mount()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := os.MkdirTemp(mount, "tcpvet-test-[x]-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeTree(parent); err != nil {
			t.Error(err)
		}
	})
	first, err := newGroupIn(parent)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(parent, "other")
	below := filepath.Join(first.path, "below")
	for _, path := range []string{other, below} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	second, err := newGroupIn(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(below); err != nil {
		t.Errorf("the group of a run that lives was removed: %v", err)
	}
	first.dir.Close()
	sweep(parent)
	if _, err := os.Stat(first.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group of a run that has ended stays: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("a group of others was removed: %v", err)
	}
	if removed, err := second.remove(); err != nil || !removed {
		t.Errorf("remove: %v, %v", removed, err)
	}
	second.dir.Close()
}

// Below a threaded group no process may be put: it is said before.
func TestRootThreadedGroup(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.CgroupV2)
	mount, err := kernel.CgroupV2Mount()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := os.MkdirTemp(mount, "tcpvet-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			if err := removeTree(parent); err == nil || time.Now().After(deadline) {
				return
			}
		}
	})
	threaded := filepath.Join(parent, "threaded")
	if err := os.Mkdir(threaded, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(threaded+"/cgroup.type", []byte("threaded"), 0); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip(kerneltest.LacksFeature + " threaded cgroups here")
	} else if err != nil {
		t.Fatal(err)
	}
	if g, err := newGroupIn(threaded); err == nil {
		t.Errorf("a group below a threaded one: %v", g.path)
	} else if left, _ := filepath.Glob(threaded + "/" + prefix + "*"); left != nil {
		t.Errorf("%v, and it leaves %v", err, left)
	} else {
		t.Log(err)
	}
}
