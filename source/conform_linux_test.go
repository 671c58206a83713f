package source_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/sourcetest"
	"github.com/tcpvet/tcpvet/store"
)

type opener = func(t *testing.T) source.Source

// live opens a source of this machine.
func live(kind string) opener {
	return func(t *testing.T) source.Source {
		t.Helper()
		src, err := source.Open(kind)
		must(t, err)
		return src
	}
}

// printed reads what a command prints.
func printed(command string) opener {
	return func(t *testing.T) source.Source {
		t.Helper()
		words := strings.Fields(command)
		out, err := exec.Command(kerneltest.Tool(t, words[0]), words[1:]...).Output()
		must(t, err)
		src, err := source.File(bytes.NewReader(out), source.FileOptions{})
		must(t, err)
		return src
	}
}

// saved reads what a snapshot of the source holds.
func saved(open opener, compress bool) opener {
	return func(t *testing.T) source.Source {
		t.Helper()
		src := open(t)
		q := source.Query{Want: everything, Netns: source.Namespaces{All: true}}
		if src.Facts(tcpvet.FactNetns) != 0 {
			q.Netns = source.Namespaces{Names: []string{ownNetns(t)}}
		}
		var file bytes.Buffer
		var out io.WriteCloser = nopCloser{&file}
		if compress {
			out = gzip.NewWriter(&file)
		}
		w := store.NewWriter(out, store.Header{Taken: time.Now(), Source: src.Name(), Facts: source.Known(src, q)})
		must(t, src.Look(t.Context(), q, w))
		must(t, w.Close())
		must(t, out.Close())
		back, err := source.File(&file, source.FileOptions{})
		must(t, err)
		return back
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

const everything = ^tcpvet.Facts(0)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ownNetns names the namespace of the test's thread.
func ownNetns(t testing.TB) string {
	t.Helper()
	id, err := netns.Self()
	must(t, err)
	return fmt.Sprint(id)
}

// sources holds every source that there is.
var sources = []struct {
	name string
	open opener
}{
	{"netlink", live("netlink")},
	{"procfs", live("procfs")},
	{"ss -tanpieO", printed("ss -tanpieO")},
	{"ss -tano", printed("ss -tano")},
	{"ss -tanpH", printed("ss -tanpH")},
	{"netstat -tanp", printed("netstat -tanp")},
	{"lsof -nP -iTCP", printed("lsof -nP -iTCP")},
	{"/proc/net/tcp", printed("cat /proc/thread-self/net/tcp /proc/thread-self/net/tcp6")},
	{"bpf", withBPF},
}

// withBPF opens the iterators where the kernel has them.
func withBPF(t *testing.T) source.Source {
	t.Helper()
	kerneltest.Need(t, bpfiter.Probe)
	return live("bpf")(t)
}

func TestRootConform(t *testing.T) {
	kerneltest.Root(t)
	for _, s := range sources {
		t.Run(s.name, func(t *testing.T) { sourcetest.Conform(t, s.open) })
		t.Run("snapshot of "+s.name, func(t *testing.T) { sourcetest.Conform(t, saved(s.open, false)) })
	}
	t.Run("compressed snapshot", func(t *testing.T) { sourcetest.Conform(t, saved(live("netlink"), true)) })
	t.Run("auto", func(t *testing.T) { sourcetest.Conform(t, live("auto")) })
}

// The best source against every other, and those against each other that
// share what it does not.
func TestRootAgree(t *testing.T) {
	kerneltest.Root(t)
	for _, s := range sources[1:] {
		t.Run("netlink and "+s.name, func(t *testing.T) { sourcetest.Agree(t, live("netlink"), s.open) })
	}
	t.Run("procfs and /proc/net/tcp", func(t *testing.T) { sourcetest.Agree(t, live("procfs"), sources[7].open) })
	t.Run("procfs and bpf", func(t *testing.T) { sourcetest.Agree(t, live("procfs"), withBPF) })
	t.Run("lsof and netstat", func(t *testing.T) { sourcetest.Agree(t, sources[6].open, sources[5].open) })
	t.Run("a snapshot and its source", func(t *testing.T) {
		sourcetest.Agree(t, live("netlink"), saved(live("netlink"), false))
	})
}
