package trace

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// A process in a cgroup of a name like Docker's is told with its container, and one
// that is in none without.
func TestRootContainer(t *testing.T) { kerneltest.Undisturbed(t, testContainer) }

func testContainer(t testing.TB) {
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.CgroupV2)
	mount, err := kernel.CgroupV2Mount()
	must(t, err)
	id := strings.Repeat("0123456789abcdef", 4)
	parent := filepath.Join(mount, "tcpvet-trace-"+strconv.Itoa(os.Getpid()))
	group := filepath.Join(parent, "docker-"+id+".scope")
	must(t, os.MkdirAll(group, 0o755))
	t.Cleanup(func() {
		for _, dir := range []string{group, parent} {
			until(t, "the cgroup to be empty", func() bool { return os.Remove(dir) == nil })
		}
	})
	cg, err := os.Open(group)
	must(t, err)
	defer cg.Close()

	f := follow(t, Options{PassShare: 1})
	l, at := listen(t, lo4)
	for _, test := range []struct {
		want   tcpvet.Container
		inside func(*exec.Cmd)
	}{
		{tcpvet.Container{ID: id, Runtime: "docker"}, func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cg.Fd())}
		}},
		{tcpvet.Container{}, nil},
	} {
		var answer holdingAnswer
		p := start(t, "hold", holding{To: at}, test.inside)
		must(t, p.answer.Decode(&answer))
		server := accept(t, l)
		opened := f.one("open", of(tcpvet.EventOpen, answer.Cookie))
		must(t, p.end())
		closed := f.one("close", of(tcpvet.EventClose, answer.Cookie))
		server.close()
		for _, e := range []tcpvet.Event{opened, closed} {
			var got tcpvet.Container
			if e.Container != nil {
				got = *e.Container
			}
			if got != test.want || e.Process != p.id || e.Netns != f.options.Netns[0] {
				t.Errorf("%v of %v in %v: container %+v, want %v, %v, %+v", e.Kind, e.Process, e.Netns, got, p.id, f.options.Netns[0], test.want)
			}
		}
	}
}
