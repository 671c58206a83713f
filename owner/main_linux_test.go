package owner_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/owner"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"close":  closeFirst,
		"keep":   keepUntilEnd,
		"inside": inside,
		"read":   readOnly,
	})
}

// stage is a test's own network namespace and BPF file system.
func stage(t testing.TB) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.BTF)
	kerneltest.Need(t, kernel.BPFMaps)
	kerneltest.Netns(t)
	kerneltest.BPFFS(t)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keep remembers until the test ends.
func keep(t testing.TB, o owner.Options) *owner.Keeper {
	t.Helper()
	k, err := owner.Keep(o)
	must(t, err)
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// reader finds what is remembered.
func reader(t testing.TB) *owner.Reader {
	t.Helper()
	r, err := owner.Open("")
	must(t, err)
	if r == nil {
		t.Fatal("no Keeper was found")
	}
	t.Cleanup(func() { r.Close() })
	return r
}
