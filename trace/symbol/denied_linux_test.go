package symbol

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// That files may not be opened is told once, of a process whose calls are asked for.
func TestRootDenied(t *testing.T) {
	kerneltest.Root(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := resolver(t, Options{})
	p := r.process(self(t))
	other := *p
	dir := t.TempDir()
	var secret [3]mapping
	for i := range secret {
		name := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		secret[i] = mapping{low: 1, high: 2, device: "00:00", inode: info.Sys().(*syscall.Stat_t).Ino, path: name, exec: true}
	}
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer unix.Setfsuid(0)
	p.maps = secret[:]
	r.openFiles(p)
	if gaps := r.Gaps(); len(gaps) != 0 {
		t.Errorf("nothing was asked for: %+v", gaps)
	}
	for range 2 {
		if r.image(p, &secret[0]) != nil || r.image(p, &secret[1]) != nil || r.image(&other, &secret[0]) != nil {
			t.Fatal("it could be read")
		}
	}
	gaps := r.Gaps()
	if len(gaps) != 1 || gaps[0].Count != 1 || gaps[0].Needs != "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" || !strings.Contains(gaps[0].Err, secret[0].path) {
		t.Errorf("got %+v, want one of %s", gaps, secret[0].path)
	}
}
