package manual

const ipSysctl = "Documentation/networking/ip-sysctl.rst, "

var localPortRange = settingPage{
	name:     "ip_local_port_range",
	full:     "net.ipv4.ip_local_port_range",
	title:    "the ports that connect() chooses from",
	standard: "32768 60999, which is 28,232 ports",
	does:     "It bounds the ports that the kernel chooses by itself, for connect() and for bind() with port 0, for IPv4 and IPv6, TCP and UDP. connect() has the whole range for each destination.",
	doesNot:  "It does not bind a program that names its port. It cures no leak: a range twice as wide is full after twice the time.",
	when:     "When a healthy client really needs more connections to one destination. Widen it downwards, and put the ports of your servers into ip_local_reserved_ports first, or a client may sit on one of them when the server starts.",
	commands: Commands{
		{Run: `sysctl -w net.ipv4.ip_local_port_range="10240 60999"`, Shows: "widens it to 50,760 ports", Root: true, Changes: true},
	},
	values: Values{portRange(), sustainable()},
	see:    []string{"ports", "ip_local_reserved_ports", "EADDRNOTAVAIL"},
	refs:   []string{ipSysctl + "ip_local_port_range", "ip(7), IP_LOCAL_PORT_RANGE"},
}

var localReservedPorts = settingPage{
	name:     "ip_local_reserved_ports",
	full:     "net.ipv4.ip_local_reserved_ports",
	title:    "ports of the range that the kernel does not choose",
	standard: "empty",
	does:     "It keeps ports free for servers that name them. The kernel leaves them out when it chooses by itself.",
	doesNot:  "It forbids nothing: a program that asks for such a port gets it.",
	when:     "When a server's port lies inside the range. Never cover the whole range: then every connect() fails with EADDRNOTAVAIL, and no socket shows why.",
	values:   Values{portRange()},
	see:      []string{"ip_local_port_range", "ports"},
	refs:     []string{ipSysctl + "ip_local_reserved_ports"},
}

var twReuse = settingPage{
	name:     "tcp_tw_reuse",
	full:     "net.ipv4.tcp_tw_reuse",
	title:    "whether connect() may take over a port in TIME-WAIT",
	standard: "2 since Linux 4.19, before that 0",
	does:     "With 1, connect() may take a port whose TIME-WAIT to the same destination is older than 1 s (tcp_tw_reuse_delay). Timestamps keep old segments out, so both ends must have them. It works at once, on those that are there already. 2 allows it over loopback only, 0 never.",
	doesNot:  "It does nothing for a server, for CLOSE-WAIT or for FIN-WAIT-2. It does nothing without timestamps. It is not tcp_tw_recycle, and has none of its dangers.",
	when:     "Set it to 1 on a client that opens many short connections to one destination and cannot keep them open. The limit goes from ports per 60 s to ports per second.",
	commands: Commands{
		{Run: "sysctl -w net.ipv4.tcp_tw_reuse=1", Shows: "turns it on in this namespace", Root: true, Changes: true},
		{Run: "nstat -asz TcpExtTWRecycled", Shows: "how often it was done"},
	},
	values: Values{sysctl("net.ipv4.tcp_timestamps", ""), sustainable(), reused(), counter("TcpExtTWRecycled")},
	see:    []string{"TIME-WAIT", "tcp_timestamps", "tcp_tw_reuse_delay", "tcp_tw_recycle"},
	refs:   []string{ipSysctl + "tcp_tw_reuse", "net/ipv4/tcp_ipv4.c, tcp_twsk_unique", "RFC 6191"},
}

var twReuseDelay = settingPage{
	name:     "tcp_tw_reuse_delay",
	full:     "net.ipv4.tcp_tw_reuse_delay",
	title:    "how old a TIME-WAIT must be before it is reused",
	unit:     "ms",
	standard: "1000 ms; kernels without the setting have that built in",
	does:     "A TIME-WAIT younger than this is not taken over by tcp_tw_reuse. It bounds the rate to one destination: ports divided by this time.",
	doesNot:  "It does not shorten TIME-WAIT. 0 is refused.",
	when:     "Hardly ever. Only if 28,232 connections per second to one destination are too few.",
	values:   Values{sysctl("net.ipv4.tcp_tw_reuse", ""), reused()},
	see:      []string{"tcp_tw_reuse", "TIME-WAIT"},
	refs:     []string{ipSysctl + "tcp_tw_reuse_delay"},
}

var twRecycle = settingPage{
	name:     "tcp_tw_recycle",
	full:     "net.ipv4.tcp_tw_recycle",
	gone:     true,
	title:    "gone since Linux 4.12, and good riddance",
	standard: "none: the setting does not exist",
	does:     "Nothing any more: a line with it makes `sysctl -p` report an error. It used to end TIME-WAIT early by remembering one timestamp for each address.",
	doesNot:  "It was never safe. Hosts behind one NAT share an address and not a clock, so their connections were refused at random.",
	when:     "Take the line out of `/etc/sysctl.conf` and `/etc/sysctl.d`. If a client is short of ports, read about tcp_tw_reuse.",
	more: []Block{
		Heading("see it"),
		Commands{
			{Run: "cat /etc/sysctl.conf /etc/sysctl.d/*.conf 2>/dev/null | awk '/tcp_tw_recycle/'", Shows: "lines that still try to set it"},
		},
	},
	see:  []string{"tcp_tw_reuse", "TIME-WAIT"},
	refs: []string{"tcp(7), tcp_tw_recycle"},
}

var maxTwBuckets = settingPage{
	name:     "tcp_max_tw_buckets",
	full:     "net.ipv4.tcp_max_tw_buckets",
	title:    "how many TIME-WAITs the kernel keeps",
	standard: "by memory; 131,072 on a host of 24 GB",
	does:     "A TIME-WAIT beyond this number is dropped at once, and TcpExtTCPTimeWaitOverflow counts it.",
	doesNot:  "It is no cure for many TIME-WAITs. Without the record, a late FIN or old data meets an RST instead of an answer.",
	when:     "Raise it when the overflow counter grows. Do not lower it.",
	commands: Commands{
		{Run: "nstat -asz TcpExtTCPTimeWaitOverflow", Shows: "how many were dropped"},
	},
	values: Values{counter("TcpExtTCPTimeWaitOverflow")},
	see:    []string{"TIME-WAIT"},
	refs:   []string{ipSysctl + "tcp_max_tw_buckets"},
}

var finTimeout = settingPage{
	name:     "tcp_fin_timeout",
	full:     "net.ipv4.tcp_fin_timeout",
	title:    "how long an abandoned FIN-WAIT-2 is kept",
	unit:     "s",
	standard: "60 s",
	does:     "A connection that this end has closed waits this long for the peer's FIN. Then it is forgotten.",
	doesNot:  "It has nothing to do with TIME-WAIT, though it is advised for that everywhere. It does not touch a FIN-WAIT-2 that a process still holds.",
	when:     "Lower it if FIN-WAIT-2s cost too much memory because peers do not close. The repair belongs there.",
	see:      []string{"FIN-WAIT-2", "TIME-WAIT"},
	refs:     []string{ipSysctl + "tcp_fin_timeout", "tcp(7)"},
}

var conntrackTimeWait = settingPage{
	name:     "nf_conntrack_tcp_timeout_time_wait",
	full:     "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
	title:    "how long the firewall remembers a closed connection",
	unit:     "s",
	standard: "120 s; the setting exists only where conntrack is loaded",
	does:     "The connection table of netfilter (conntrack) drops its entry this long after the close.",
	doesNot:  "It does not touch the sockets: TIME-WAIT stays 60 s, and so does its port.",
	when:     "When the conntrack table is near its limit. Not when ports run out on this host.",
	values:   Values{hostCounter("conntrack entries", "conntrack.count"), hostCounter("at most", "conntrack.max")},
	see:      []string{"TIME-WAIT", "ports"},
	refs:     []string{"Documentation/networking/nf_conntrack-sysctl.rst"},
}

var timestamps = settingPage{
	name:     "tcp_timestamps",
	full:     "net.ipv4.tcp_timestamps",
	title:    "a clock in every segment",
	standard: "1",
	does:     "Both ends put a time into each segment, 12 bytes of it. The kernel measures round trips with it and tells old segments from new ones. 1 adds a random offset for each connection, 2 does not, 0 turns timestamps off.",
	doesNot:  "With the offset it does not tell others how long this host has been up, which used to be a reason to turn it off.",
	when:     "Leave it on. Without timestamps tcp_tw_reuse does nothing.",
	values:   Values{reused()},
	see:      []string{"tcp_tw_reuse", "segment"},
	refs:     []string{"RFC 7323", ipSysctl + "tcp_timestamps"},
}

var conntrackMax = settingPage{
	name:     "nf_conntrack_max",
	full:     "net.netfilter.nf_conntrack_max",
	title:    "how many connections netfilter can follow",
	unit:     "entries",
	standard: "by memory; the setting exists only where conntrack is loaded",
	does:     "It bounds the table of conntrack, for all namespaces. Where it is full, packets that would begin an entry are dropped, and the kernel log says so: table full, dropping packet. To a client that looks like a service that does not answer.",
	doesNot:  "It gives no local port, and ends no TIME-WAIT. The sockets of this host are in another table.",
	when:     "When the table is near its limit and the host has the memory, some 300 bytes an entry. Keep the number of buckets in step.",
	commands: Commands{
		{Run: "sysctl -e net.netfilter.nf_conntrack_count", Shows: "entries now, in this namespace"},
	},
	values: Values{hostCounter("conntrack entries", "conntrack.count"), hostCounter("at most", "conntrack.max")},
	see:    []string{"nf_conntrack_tcp_timeout_time_wait", "ETIMEDOUT"},
	refs:   []string{"Documentation/networking/nf_conntrack-sysctl.rst"},
}
