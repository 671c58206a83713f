package trace

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// Of the objects only those are in the kernel whose feature was asked for.
func TestRootObjects(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	traced := func(o Options) func() (io.Closer, error) {
		return func() (io.Closer, error) { return Open(o) }
	}
	for _, test := range []struct {
		name string
		open func() (io.Closer, error)
		want []string
	}{
		{"opens", traced(Options{Kinds: Opens, PassShare: -1}), []string{"changes", "sweep"}},
		{"owners", traced(Options{Kinds: Opens}), []string{"adopt", "changes", "sweep"}},
		{"calls that cannot be told", traced(Options{Kinds: Opens | Closes, Calls: true, PassShare: -1}), []string{"changes", "sweep"}},
		{"calls", traced(Options{Calls: true, PassShare: -1}), []string{"calls", "changes", "sweep"}},
		{"stacks", traced(Options{Kinds: Opens, Stacks: true, PassShare: -1}), []string{"changes", "stacks", "sweep"}},
		{"leaks", func() (io.Closer, error) { return OpenStacks(StacksOptions{}) }, []string{"stacks"}},
		{"counts", func() (io.Closer, error) { return OpenCounter(nil) }, []string{"tally"}},
	} {
		c, err := test.open()
		must(t, err)
		if got := loaded(t); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v are loaded, want %v", test.name, got, test.want)
		}
		must(t, c.Close())
		if got := loaded(t); len(got) > 0 {
			t.Errorf("%s: %v are left", test.name, got)
		}
	}
}

// loaded gives the objects of which this process has programs in the kernel, by
// proc_pid_fdinfo(5).
func loaded(t *testing.T) (objects []string) {
	t.Helper()
	object := make(map[string]string)
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){
		"changes": loadChanges, "tally": loadTally, "adopt": loadAdopt, "calls": loadCalls, "stacks": loadStacks, "sweep": loadSweep,
	} {
		spec, err := load()
		must(t, err)
		for p := range spec.Programs {
			object[p[:min(len(p), 15)]] = name // BPF_OBJ_NAME_LEN and its end
		}
	}
	fds, err := os.ReadDir("/proc/self/fdinfo")
	must(t, err)
	for _, fd := range fds {
		f, err := os.Open("/proc/self/fdinfo/" + fd.Name())
		if err != nil {
			continue // that of the directory
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			number, ok := strings.CutPrefix(lines.Text(), "prog_id:")
			if !ok {
				continue
			}
			id, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
			must(t, err)
			p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
			must(t, err)
			info, err := p.Info()
			must(t, err)
			p.Close()
			if object[info.Name] == "" {
				t.Errorf("program %q is of no object", info.Name)
			}
			objects = append(objects, object[info.Name])
		}
		f.Close()
	}
	slices.Sort(objects)
	return slices.Compact(objects)
}
