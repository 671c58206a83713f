package trace

import (
	"bytes"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// mostRemembered is how many names, and how many processes, are remembered before
// that begins anew.
const mostRemembered = 4096

// names gives processes their names and containers. What it has met before takes no
// memory.
type names struct {
	comms      map[[16]byte]string
	containers map[tcpvet.Process]*tcpvet.Container
	processes  procfs.Processes
	last       [64]named // by PID
}

// named is a process with what was made of its name.
type named struct {
	process   tcpvet.Process
	comm      [16]byte
	name      string
	container *tcpvet.Container
}

func newNames() *names {
	return &names{comms: make(map[[16]byte]string), containers: make(map[tcpvet.Process]*tcpvet.Container)}
}

// of gives the name of a process, and where it runs.
func (n *names) of(p tcpvet.Process, comm [16]byte) (string, *tcpvet.Container) {
	l := &n.last[uint32(p.PID)%uint32(len(n.last))]
	if l.process != p || l.comm != comm {
		*l = named{p, comm, n.comm(comm), n.container(p)}
	}
	return l.name, l.container
}

// comm gives a name as a string.
func (n *names) comm(b [16]byte) string {
	s, ok := n.comms[b]
	if !ok {
		if len(n.comms) >= mostRemembered {
			clear(n.comms)
		}
		end := bytes.IndexByte(b[:], 0)
		if end < 0 {
			end = len(b)
		}
		s = string(b[:end])
		n.comms[b] = s
	}
	return s
}

// container gives where a process runs, nil for the host itself and where that is not
// known: the process may have ended.
func (n *names) container(p tcpvet.Process) *tcpvet.Container {
	if !p.Known() {
		return nil
	}
	c, ok := n.containers[p]
	if !ok {
		if len(n.containers) >= mostRemembered {
			clear(n.containers)
		}
		info, _ := n.processes.Info(p) // what it lacks is not known
		c = info.Container
		n.containers[p] = c
	}
	return c
}
