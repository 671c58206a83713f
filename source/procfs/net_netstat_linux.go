package procfs

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// counterFiles bounds the files of counters, in bytes: netstat has about 7 KB.
const counterFiles = 64 << 10

// Counters reads netstat, snmp, sockstat and sockstat6 of the calling thread's
// network namespace; see ParseNetstat and ParseSockstat for the names. Lock the
// thread if it has entered another namespace. orphan and mem of sockstat count
// for the whole host. sockstat6 is absent without IPv6.
//
// With an error the map holds what could be read.
func (fs FS) Counters() (map[string]uint64, error) {
	return fs.counters("netstat", "snmp", "sockstat", "sockstat6")
}

// SocketCounters is Counters without netstat, which has most of the counters
// and none that counts sockets.
func (fs FS) SocketCounters() (map[string]uint64, error) {
	return fs.counters("snmp", "sockstat", "sockstat6")
}

func (fs FS) counters(files ...string) (map[string]uint64, error) {
	path := filepath.Join(fs.root(), "thread-self/net")
	net, err := openRoot(path)
	if err != nil {
		return nil, fmt.Errorf("read counters: open %s: %w", path, err)
	}
	defer net.close()
	counters := make(map[string]uint64, 512)
	buf := make([]byte, counterFiles)
	var failed error
	for _, name := range files {
		b, err := net.read(name, buf)
		switch {
		case err == unix.ENOENT && name == "sockstat6":
			continue
		case err != nil:
		case name == "netstat" || name == "snmp":
			err = ParseNetstat(b, counters)
		default:
			err = ParseSockstat(name, b, counters)
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("read counters: %s/%s: %w", path, name, err)
		}
	}
	return counters, failed
}
