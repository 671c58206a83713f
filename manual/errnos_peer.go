package manual

var connRefused = errnoPage{
	name:    "ECONNREFUSED",
	number:  111,
	message: "Connection refused",
	title:   "the host answered, and nobody listens there",
	meaning: []string{
		"An RST came back for the SYN. The network works. A full accept queue is not the reason: it makes the server silent.",
		"Trying again and again on a closed port of one's own host has a trap, where the port lies inside the local port range: the kernel may choose that very port for the client's end, and the socket is connected to itself. It then keeps the server from listening.",
	},
	causes: []cause{
		{"refused", "connect", "no listener on that address and port, in that namespace. A server that listens on 127.0.0.1 refuses on every other address."},
		{"refused", "connect", "port 0, which is never open"},
		{"refused", "connect", "a firewall that rejects with a TCP reset or with \"port unreachable\""},
	},
	commands: Commands{
		{Run: "ss -tlnH sport = :8080", Shows: "on the server: on which addresses it listens; put your port in"},
		{Run: "nstat -asz TcpAttemptFails TcpOutRsts", Shows: "attempts that failed here, and resets that this host sent"},
	},
	values: Values{counter("TcpAttemptFails"), counter("TcpOutRsts")},
	see:    []string{"handshake", "LISTEN", "ETIMEDOUT"},
	refs:   []string{"RFC 9293, section 3.5.2", "connect(2)"},
}

var timedOut = errnoPage{
	name:    "ETIMEDOUT",
	number:  110,
	message: "Connection timed out",
	musl:    "Operation timed out",
	aliases: []string{"i/o timeout"},
	title:   "nobody answered for too long",
	meaning: []string{
		"From connect(): no SYN was answered, for about 135 s with the defaults. From read() or write(): data or keepalive probes went unanswered. A time limit of the program's own ends earlier, with a message of its own.",
	},
	causes: []cause{
		{"timed-out", "connect", "a firewall drops the SYNs, the host is down, or the route back is wrong: nothing comes back at all"},
		{"timed-out", "connect", "the server's accept queue is full: on the server Recv-Q of the listener is above Send-Q, and ListenOverflows grows"},
		{"timed-out", "connect", "a NAT on the way has no port left: insert_failed grows in its conntrack statistics"},
		{"timed-out", "read, write", "data was sent and never confirmed, for some 15 min (tcp_retries2). A middlebox has forgotten the connection, or the peer is gone"},
		{"timed-out", "read, write", "keepalive found the peer silent, or TCP_USER_TIMEOUT ran out"},
	},
	commands: Commands{
		{Run: "ss -tno state syn-sent", Shows: "attempts that wait just now"},
		{Run: "ss -tln", Shows: "on the server: Recv-Q above Send-Q is a full queue"},
		{Run: "nstat -asz TcpExtTCPTimeouts TcpExtTCPAbortOnTimeout TcpExtListenOverflows", Shows: "timers that ran out, connections given up, and queues that were full"},
	},
	values: Values{sysctl("net.ipv4.tcp_syn_retries", ""), sysctl("net.ipv4.tcp_retries2", ""), keepaliveEnd(), counter("TcpExtTCPAbortOnTimeout")},
	see:    []string{"SYN-SENT", "keepalive", "tcp_retries2", "somaxconn"},
	refs:   []string{"RFC 9293, section 3.8.3", "tcp(7)"},
}

var netUnreach = errnoPage{
	name:    "ENETUNREACH",
	number:  101,
	message: "Network is unreachable",
	musl:    "Network unreachable",
	title:   "the routing table has no way there",
	meaning: []string{
		"The kernel found no route and sent nothing. In a container it often means that its network was never set up.",
	},
	causes: []cause{
		{"no-route", "connect", "no line of the table fits, and there is no default route in that namespace"},
		{"no-route", "connect", "the target is IPv6, and only IPv4 has a route. A program that tries both may report the wrong one"},
		{"loopback-down", "connect", "the target is 127.0.0.1, and lo was never brought up in that namespace"},
		{"", "connect", "the source address was removed between bind() and connect()"},
	},
	commands: Commands{
		{Run: "ip route show table all", Shows: "every route of the namespace"},
		{Run: "ip -6 route", Shows: "the main ones of IPv6"},
		{Run: "ip -br addr", Shows: "interfaces, whether they are up, and their addresses"},
	},
	see:  []string{"EHOSTUNREACH", "EADDRNOTAVAIL"},
	refs: []string{"connect(2), ip-route(8)"},
}

var hostUnreach = errnoPage{
	name:    "EHOSTUNREACH",
	number:  113,
	message: "No route to host",
	musl:    "Host is unreachable",
	title:   "the way is known, and the host cannot be reached on it",
	meaning: []string{
		"In spite of the message there mostly is a route. The last step of it fails, or somebody on the way says no.",
	},
	causes: []cause{
		{"", "connect", "the neighbour does not answer: no host has that address on the link. It takes about 3 s"},
		{"", "connect", "a router or firewall answers \"host unreachable\" or \"prohibited\" by ICMP"},
		{"no-route", "connect", "the route is of the type unreachable"},
	},
	commands: Commands{
		{Run: "ip neigh", Shows: "neighbours; FAILED and INCOMPLETE do not answer"},
		{Run: "ip route show type unreachable", Shows: "routes that forbid it"},
	},
	see:  []string{"ENETUNREACH", "ETIMEDOUT"},
	refs: []string{"connect(2), icmp(7)"},
}

var connReset = errnoPage{
	name:    "ECONNRESET",
	number:  104,
	message: "Connection reset by peer",
	title:   "an RST came for an open connection",
	meaning: []string{
		"The connection is gone at once, with whatever was in flight. An RST does not say why it was sent, or by whom: a middlebox can send it in the name of the peer.",
	},
	causes: []cause{
		{"reset", "read", "the peer closed while data that it had not read lay in its queue"},
		{"reset", "read", "data reached a peer that had closed already. Typical: the server's idle limit ended the connection just as a request went out"},
		{"reset", "read", "the peer closed with SO_LINGER 0, or its process was killed with unread data"},
		{"reset", "read", "the peer restarted and knows the connection no more"},
		{"reset", "read", "a middlebox rejects a connection that it has forgotten"},
	},
	more: []Block{
		Heading("what helps"),
		List{
			"Requests that race the server's idle limit: let the client's limit be the shorter one, and let it repeat requests that may be repeated.",
			"A server that resets: let it read the request to its end before it closes.",
		},
	},
	commands: Commands{
		{Run: "nstat -asz TcpEstabResets TcpExtTCPAbortOnClose TcpExtTCPAbortOnData", Shows: "open connections that were reset; closed here with unread data; with data after close or by SO_LINGER 0"},
		{Run: "tcpdump -ni any 'tcp[tcpflags] & tcp-rst != 0'", Shows: "each RST, and who sends it", Root: true, Waits: true},
	},
	values: Values{counter("TcpEstabResets"), counter("TcpExtTCPAbortOnClose"), counter("TcpExtTCPAbortOnData")},
	see:    []string{"EPIPE", "close", "linger"},
	refs:   []string{"RFC 9293, sections 3.5.2 and 3.5.3"},
}

var pipe = errnoPage{
	name:    "EPIPE",
	number:  32,
	message: "Broken pipe",
	aliases: []string{"SIGPIPE"},
	title:   "writing to a connection that is over",
	meaning: []string{
		"The writer's own kernel says so, and sends SIGPIPE with it unless the program has turned that off. The peer only sent the RST that came before.",
		"When a server exits first, the client's first write succeeds: the kernel takes the data and sends it. It draws an RST. A write after that fails with EPIPE. Writes made before the RST is back all succeed, so nobody can count on \"the second one\".",
	},
	causes: []cause{
		{"reset", "write", "an RST came earlier, and this is the next write"},
		{"", "write", "the program itself called shutdown() for writing"},
	},
	more: []Block{
		Heading("what helps"),
		List{
			"Read as well as write: a read would have returned 0, the end, before the first write.",
			"In C use MSG_NOSIGNAL, or ignore SIGPIPE, so that an error comes instead of the end of the process.",
		},
	},
	commands: Commands{
		{Run: "ss -tanH state close-wait", Shows: "connections whose peer has closed: a write to one of these leads here"},
	},
	values: Values{counter("TcpEstabResets")},
	see:    []string{"ECONNRESET", "close"},
	refs:   []string{"send(2), signal(7)", "RFC 9293, section 3.5.2"},
}

var connAborted = errnoPage{
	name:    "ECONNABORTED",
	number:  103,
	message: "Software caused connection abort",
	musl:    "Connection aborted",
	title:   "this host itself ended the connection",
	meaning: []string{
		"Not the peer: somebody here destroyed the socket under the program, with `ss -K` or the like. From accept() it can mean that the client was gone before its turn came.",
	},
	causes: []cause{
		{"", "read, write", "the socket was destroyed from outside: the owner of an ESTAB gets this, and the peer an RST. In CLOSE-WAIT reads give the end and writes give this. The port is free; the descriptor is not, until the program closes it"},
		{"", "accept", "the connection ended while it waited in the queue; accept again"},
	},
	commands: Commands{
		{Run: "nstat -asz TcpEstabResets", Shows: "open connections that ended by force"},
	},
	values: Values{counter("TcpEstabResets")},
	see:    []string{"ECONNRESET", "CLOSE-WAIT"},
	refs:   []string{"ss(8), option -K; accept(2)"},
}
