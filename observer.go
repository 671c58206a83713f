package tcpvet

// Observer receives a look from a source, as it happens: first the host; then of
// each namespace the namespace, its listeners, its other sockets, with which those
// of others may come mixed. A process comes before the first socket that it holds.
// Gaps come at any time.
type Observer interface {
	Host(Host)
	Netns(Netns)
	Process(Process, ProcessInfo) // again at the end, where more is known then

	// Socket receives the next socket. It belongs to the source: it holds
	// until Socket returns. An error ends the look.
	Socket(*Socket) error

	Gap(Gap)

	// Changed tells that so many more sockets are known to have changed
	// while they were looked at: told twice, or gone before their holder
	// was found.
	Changed(sockets uint64)
}

// Host is what a look learned of the machine as a whole.
type Host struct {
	Name   string
	Kernel string // release, "" where it is not known

	// Counters holds host-wide numbers by name: "orphans", "tcp_max_orphans",
	// "conntrack.count", "conntrack.max", "tcp_mem.pages". A number that
	// could not be read is missing.
	Counters map[string]uint64

	// Settings are what the files of sysctl(8) set, in the order in which
	// they are read at boot: the last of one name holds. nil where they were
	// not read.
	Settings []Setting
}

// Setting is a line of a file of sysctl(8).
type Setting struct {
	File  string // "/etc/sysctl.conf"
	Line  int    // from 1
	Name  string // dotted: "net.ipv4.tcp_tw_reuse"
	Value string
}
