package source

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// empty tells that the namespace of the calling thread has nothing that the query
// asks for. counters are those of SocketCounters.
//
// sock_diag walks the table of the whole host for each namespace, if only to find
// nothing, so that it is worth a look at what the kernel counts.
func (l *live) empty(q Query, counters map[string]uint64) bool {
	if !procfs.NoTCP(counters) {
		return false
	}
	bound := q.states().Has(tcpvet.BoundInactive) && l.table.facts(tcpvet.FactBound) != 0
	return !bound || !mayBind(l.fs.Root, counters)
}

// mayBind tells that some TCP socket in the namespace of the calling thread may
// merely be bound, where none is in a table. It is true where that is not known.
//
// sockstat counts every socket that was made in the namespace (kernel function
// sock_inuse_get), of any family, and /proc/net/protocols those in a table, by
// protocol (sock_prot_inuse_get). What is in no table makes the difference: merely
// bound, or as fresh as socket() made it.
func mayBind(root string, counters map[string]uint64) bool {
	made, ok := counters["sockstat.sockets.used"]
	if !ok || made == 0 {
		return !ok
	}
	if root == "" {
		root = "/proc"
	}
	b, err := os.ReadFile(filepath.Join(root, "thread-self/net/protocols"))
	return err != nil || made > inTables(b)
}

// inTables sums up the third column of /proc/net/protocols. Protocols that do not
// count say -1, or 0.
func inTables(protocols []byte) uint64 {
	var sum uint64
	for line := range bytes.Lines(protocols) {
		if f := bytes.Fields(line); len(f) > 2 {
			if n, err := strconv.ParseUint(string(f[2]), 10, 32); err == nil {
				sum += n
			}
		}
	}
	return sum
}
