package trace

import (
	"debug/elf"
	"strconv"

	"github.com/tcpvet/tcpvet"
)

// goPrograms remembers which processes run a Go program.
type goPrograms map[tcpvet.Process]bool

// mostPrograms is how many processes are remembered before it begins anew.
const mostPrograms = 4096

// is tells whether a process runs a Go program, false where its executable cannot be
// read: its failures are then told one by one. That the PID may belong to another
// process by now matters no more than that.
func (g goPrograms) is(p tcpvet.Process) bool {
	is, known := g[p]
	if known || !p.Known() {
		return is
	}
	if len(g) >= mostPrograms {
		clear(g)
	}
	f, err := elf.Open("/proc/" + strconv.Itoa(int(p.PID)) + "/exe")
	if err == nil {
		is = isGo(f)
		f.Close()
	}
	g[p] = is
	return is
}

// isGo tells whether Go's linker made the file: both sections stay when it is stripped.
func isGo(f *elf.File) bool {
	return f.Section(".go.buildinfo") != nil || f.Section(".gopclntab") != nil
}
