package manual

var addrNotAvail = errnoPage{
	name:    "EADDRNOTAVAIL",
	number:  99,
	message: "Cannot assign requested address",
	musl:    "Address not available",
	aliases: []string{"Can't assign requested address"},
	title:   "no local address or port could be given to the connection",
	meaning: []string{
		"The wording says \"address\", and mostly it is the port. connect() needs a local port that no other connection between the same two addresses and the same remote port has. With the default range that makes 28,232 connections to one destination. When all are taken, connect() fails, and the same moment it still works to any other destination.",
		"So a number for the whole host proves nothing. Count for one local address, remote address and remote port, in one network namespace. Sockets of IPv6 that carry IPv4 addresses count too, for they share the ports.",
	},
	causes: []cause{
		{"ports-exhausted", "connect", "as many sockets to that destination as the range has ports less the reserved ones; other destinations work. CLOSE-WAIT: the program leaks. TIME-WAIT: it opens too many short connections. ESTAB: a pool without a bound."},
		{"reserved-ports", "connect", "`net.ipv4.ip_local_reserved_ports` of that namespace covers the range; it takes no sockets at all"},
		{"tuple-exists", "connect", "the program chose its source port, and that very connection exists"},
		{"address-not-local", "bind", "the address is on no interface of that namespace, and neither `net.ipv4.ip_nonlocal_bind` nor IP_FREEBIND allows that"},
		{"ipv6-disabled", "connect, bind", "the target or source is IPv6, and `/proc/net/if_inet6` is empty or lacks `::1`; often `/etc/hosts` of the container gives `::1` for localhost"},
		{"loopback-down", "connect, bind", "the target is `::1`, and lo is down in that namespace"},
		{"no-source-address", "connect", "there is a route to the IPv6 target, and every address is tentative (flag 40 in `/proc/net/if_inet6`); a deprecated one (flag 20) still serves where there is no other"},
		{"bound-ports", "connect", "listeners, and sockets that were bound, hold the ports of the range"},
		{"no-route", "connect", "no route leads to the IPv6 target, and no interface that is up has an IPv6 address"},
	},
	more: []Block{
		Heading("the first signs"),
		Para("connect() tries even ports first. Once half of the range is taken for a destination, it has to look further: its time goes from about 10 us to 300-700 us. Each failing connect() burns 0.6 to 4 ms of CPU. No counter of the kernel moves."),
		Para("Go tries again by itself: one Dial is three failing calls."),
		Heading("what helps"),
		List{
			"CLOSE-WAIT holds the ports: repair the program. See `fix`. A wider range only makes it last longer.",
			"TIME-WAIT holds them: use connections again, or see `tcp_tw_reuse`.",
			"ESTAB holds them: bound the pool, or spread the load over more destination or source addresses.",
			"No socket holds them: read the table above from its second line on.",
		},
	},
	commands: Commands{
		{Run: "tcpvet diagnose", Shows: "which destination is short of ports, and who took them"},
		{Run: "tcpvet trace --failures", Shows: "each connect() that fails so from now on: whose, to where, why, and who holds the ports", Root: true, Waits: true},
		{Run: "ss -tanH dst 10.0.3.7:8080 | awk '{print $1}' | sort | uniq -c", Shows: "the sockets to one destination, by state; put your own in"},
		{Run: "sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports", Shows: "the ports there are; run it in the namespace of the program"},
		{Run: "cat /proc/net/if_inet6", Shows: "IPv6 addresses; no file or no line means none"},
	},
	values: Values{portRange(), sustainable()},
	see:    []string{"ports", "CLOSE-WAIT", "TIME-WAIT", "EADDRINUSE"},
	refs:   []string{"connect(2), bind(2)", "net/ipv4/inet_hashtables.c, __inet_hash_connect", "Documentation/networking/ip-sysctl.rst, ip_local_port_range"},
}

var addrInUse = errnoPage{
	name:    "EADDRINUSE",
	number:  98,
	message: "Address already in use",
	musl:    "Address in use",
	title:   "bind() cannot have the port",
	meaning: []string{
		"For a server: somebody has the port. For a client: it calls bind() before connect(), and pays for that with a shared range.",
	},
	causes: []cause{
		{"bound-ports", "bind with port 0", "a client that chooses its source address. bind() does not know the destination yet, so all destinations together have one range. 28,232 connections, and no more to anywhere."},
		{"reserved-ports", "bind with port 0", "the reserved ports cover the range"},
		{"", "bind, listen", "another socket listens on the port. Two live listeners need SO_REUSEPORT on both."},
		{"tuple-exists", "bind", "the program chose its source port, and that very connection exists; without SO_REUSEADDR on both it ends here, and with it at connect()"},
		{"", "bind", "no listener, but old connections in TIME-WAIT (or leaked ones) on the port, and no SO_REUSEADDR"},
		{"", "bind", "the listener was closed while another thread sat in accept(): that call keeps it alive"},
	},
	more: []Block{
		Heading("what helps"),
		List{
			"A client that only wants a certain source address sets IP_BIND_ADDRESS_NO_PORT before bind(). The port is then chosen at connect(), and every destination has the whole range again.",
			"A server sets SO_REUSEADDR before bind(). Nearly every framework does.",
		},
	},
	commands: Commands{
		{Run: "ss -tlnH sport = :8080", Shows: "who listens on a port; put your own in"},
		{Run: "ss -tanH sport = :8080", Shows: "connections on it, in any state"},
		{Run: "tcpvet ls state bound-inactive", Shows: "ports that are bound and do nothing, where the kernel tells"},
	},
	values: Values{portRange()},
	see:    []string{"reuseaddr", "BOUND-INACTIVE", "ports"},
	refs:   []string{"bind(2), ip(7)"},
}

var inval = errnoPage{
	name:    "EINVAL",
	number:  22,
	message: "Invalid argument",
	title:   "from connect(): source and target do not go together",
	meaning: []string{
		"EINVAL has a hundred meanings. These are the ones that connect() has for it.",
	},
	causes: []cause{
		{"source-scope", "connect", "the socket is bound to 127.0.0.1, and the target is another host: loopback addresses do not leave the machine"},
		{"", "connect", "the target is an IPv6 link-local address (fe80::) without the interface behind it: `fe80::1%eth0`"},
		{"no-route", "connect", "the route to the target is a blackhole"},
	},
	commands: Commands{
		{Run: "ip route get 127.0.0.1", Shows: "the way to an address, and the source that would be chosen; put the target in"},
		{Run: "ip route show type blackhole", Shows: "routes that lead nowhere on purpose"},
	},
	see:  []string{"EADDRNOTAVAIL", "ENETUNREACH"},
	refs: []string{"connect(2), ipv6(7), ip-route(8)"},
}

var again = errnoPage{
	name:    "EAGAIN",
	number:  11,
	message: "Resource temporarily unavailable",
	aliases: []string{"EWOULDBLOCK"},
	title:   "not now; for UDP, no local port is left",
	meaning: []string{
		"From a read or write on a socket that does not block it is no fault: nothing to read yet, or no room to write. From connect() or a first send on a UDP socket it means what EADDRNOTAVAIL means for TCP.",
	},
	causes: []cause{
		{"ports-exhausted", "connect, sendto (UDP)", "UDP sockets hold all ports of the range. UDP does not count by destination: a port taken is taken for all. Look for a resolver or a metrics client that opens a socket for each packet."},
		{"", "read, write", "the socket does not block, or SO_RCVTIMEO or SO_SNDTIMEO ran out"},
	},
	commands: Commands{
		{Run: "ss -uanH | wc -l", Shows: "UDP sockets"},
		{Run: "sysctl net.ipv4.ip_local_port_range", Shows: "the range that TCP and UDP each have"},
	},
	values: Values{portRange()},
	see:    []string{"EADDRNOTAVAIL", "ports"},
	refs:   []string{"socket(7), udp(7)"},
}

var mfile = errnoPage{
	name:    "EMFILE",
	number:  24,
	message: "Too many open files",
	musl:    "No file descriptors available",
	title:   "the process may open no more descriptors",
	meaning: []string{
		"Every socket that a process holds takes a descriptor, and RLIMIT_NOFILE bounds them. A leak ends here: that of a server, which spends no ports, and that of a client whose ports something gave back. (ENFILE, 23, is the bound of the whole machine.)",
		"A server at its limit cannot accept. Its queue fills, and clients see timeouts. The port still looks open.",
	},
	causes: []cause{
		{"descriptor-limit", "socket, accept", "the process has as many descriptors as its limit allows"},
	},
	more: []Block{
		Heading("what helps"),
		List{
			"See what the descriptors are. Mostly sockets in CLOSE-WAIT: repair the code; a higher limit only delays it.",
			"Mostly sockets that no table lists: connections that were reset or timed out, and never closed by the program. The same repair.",
			"An honest need of many connections: raise the limit of the service (LimitNOFILE= in its systemd unit).",
		},
	},
	commands: Commands{
		{Run: "ls /proc/PID/fd | wc -l", Shows: "descriptors in use"},
		{Run: "grep 'open files' /proc/PID/limits", Shows: "the limit"},
		{Run: "tcpvet count --by process,state", Shows: "what the sockets among them are"},
	},
	see:  []string{"CLOSE-WAIT", "UNCONN", "fix"},
	refs: []string{"getrlimit(2), accept(2)"},
}
