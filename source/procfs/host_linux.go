package procfs

import (
	"bytes"
	"path/filepath"

	"github.com/tcpvet/tcpvet"
)

// HostInfo reads the name of the machine, its kernel and its counters. What
// cannot be read is missing: tcp_max_orphans exists in the first network
// namespace only, conntrack.count is that of the calling thread's namespace, and
// without conntrack there is neither that nor conntrack.max.
func (fs FS) HostInfo() tcpvet.Host {
	h := tcpvet.Host{Counters: map[string]uint64{}}
	root, err := openRoot(fs.root())
	if err != nil {
		return h
	}
	defer root.close()
	buf := make([]byte, 4096)
	text := func(name string) []byte {
		b, err := root.read(filepath.Join("sys", name), buf)
		if err != nil {
			return nil
		}
		return bytes.TrimSpace(b)
	}
	h.Name = string(text("kernel/hostname"))
	h.Kernel = string(text("kernel/osrelease"))
	for counter, name := range map[string]string{
		"tcp_max_orphans": "net/ipv4/tcp_max_orphans",
		"conntrack.count": "net/netfilter/nf_conntrack_count",
		"conntrack.max":   "net/netfilter/nf_conntrack_max",
	} {
		if v, ok := decimal(text(name)); ok {
			h.Counters[counter] = v
		}
	}
	if b, err := root.read("thread-self/net/sockstat", buf); err == nil {
		sockstat := map[string]uint64{}
		if ParseSockstat("sockstat", b, sockstat) == nil {
			for counter, name := range map[string]string{
				"orphans":       "sockstat.TCP.orphan",
				"tcp_mem.pages": "sockstat.TCP.mem",
			} {
				if v, ok := sockstat[name]; ok {
					h.Counters[counter] = v
				}
			}
		}
	}
	return h
}
