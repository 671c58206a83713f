package tcpvet

import (
	"math/bits"
	"strings"
)

// Facts is a set of things that a source can know, or that a rule needs.
// What a source does not know is absent from what it reports, never zero.
type Facts uint32

// The facts. Those of the first group are known per socket (Socket.Known);
// the others per look.
const (
	FactQueues     Facts = 1 << iota // Recv-Q and Send-Q of a socket that is no listener
	FactBacklog                      // a listener's accept queue
	FactBacklogMax                   // the limit of a listener's accept queue
	FactInode                        // the socket's inode: 0 then means that no descriptor holds it
	FactUID                          // the owner's user ID
	FactCookie                       // the kernel's unique number for the socket
	FactTimer                        // which timer runs, and when it ends
	FactInfo                         // tcp_info: times of the last segments, retransmissions
	FactCgroup                       // cgroup 2 ID
	FactMini                         // TIME-WAIT mini-sockets are told apart from held FIN-WAIT-2

	FactTimeWait   // sockets in TIME-WAIT are seen at all
	FactBound      // merely bound sockets are seen
	FactListeners  // listening sockets are seen
	FactHolders    // which process holds a socket
	FactContainers // which container a process is in
	FactNetns      // which network namespace a socket is in
	FactPortRange  // the local port range and the reserved ports
	FactSysctls    // the other net.ipv4 settings
	FactCounters   // the counters of /proc/net/netstat and snmp
	FactAddresses  // the local addresses of each namespace
	FactLimits     // a process's descriptors and their limit
	FactTableless  // descriptors of TCP sockets that are in no table
	FactHosts      // what the name localhost means to a process
	FactSysctlConf // the settings that files set at boot
)

var factNames = [...]string{
	"queues", "backlog", "backlog-limit", "inode", "uid", "cookie", "timer", "tcp-info", "cgroup",
	"mini-sockets", "time-wait", "bound-sockets", "listeners", "holders", "containers", "netns",
	"port-range", "sysctls", "counters", "addresses", "limits", "tableless-sockets", "hosts-file", "sysctl-files",
}

// Has tells whether f holds all of want.
func (f Facts) Has(want Facts) bool { return f&want == want }

// Words gives the names of the facts in f, in a fixed order.
func (f Facts) Words() []string {
	words := make([]string, 0, bits.OnesCount32(uint32(f)))
	for i, name := range factNames {
		if f&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return words
}

// String gives the names of the facts in f, separated by commas.
func (f Facts) String() string { return strings.Join(f.Words(), ",") }

// ParseFact gives the fact of that name; ok is false for an unknown name, which
// a later version may have written.
func ParseFact(name string) (f Facts, ok bool) {
	for i, n := range factNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}
