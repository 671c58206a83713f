package manual

import "github.com/tcpvet/tcpvet"

var listen = statePage{
	state:   tcpvet.Listen,
	spelled: []string{"LISTENING"},
	title:   "a server waits for connections on this port",
	meaning: "The socket itself carries no data. Each connection that arrives becomes a socket of its own, which waits in the accept queue until the program calls accept().",
	comesIn: "A program calls listen() on a socket that has a port.",
	goesOut: "The program closes it or ends. Connections that still wait in the queue are then reset.",
	ender:   "The program.",
	lasts:   "No limit.",
	holds:   "Yes. The connections in its queue have none until they are accepted.",
	port:    "Yes, one; the connections that it accepts share it. So a server never runs out of ports this way.",
	many:    "Normal: one or two for each service. Look at the queue instead. Recv-Q is the number of connections that wait, Send-Q the most that may wait. Recv-Q above Send-Q means that the queue is full: further SYNs are dropped, and clients see a timeout, not a refusal.",
	todo:    "With a full queue, find out why the program does not accept: it is stuck, out of descriptors or too slow. A longer queue, by the backlog given to listen() and by `net.core.somaxconn`, only helps against short bursts.",
	seen:    "`ss` shows LISTEN, `netstat` and `lsof` too. In `/proc/net/tcp` it is 0A.",
	commands: Commands{
		{Run: "ss -tln", Shows: "listeners, with their queue in Recv-Q and its limit in Send-Q"},
		{Run: "nstat -asz TcpExtListenOverflows TcpExtListenDrops", Shows: "connections that a full queue turned away, since the namespace was made"},
	},
	values: Values{sysctl("net.core.somaxconn", ""), counter("TcpExtListenOverflows"), counter("TcpExtListenDrops")},
	see:    []string{"handshake", "somaxconn", "SYN-RECV"},
	refs:   []string{"RFC 9293, sections 3.3.2 and 3.10.7.2", "listen(2)"},
}

var synSent = statePage{
	state:   tcpvet.SynSent,
	title:   "this end has asked for a connection and waits for the answer",
	meaning: "A client has called connect(). Its SYN is on the way, or was lost, or is being ignored.",
	comesIn: "The client sends a SYN.",
	goesOut: "A SYN with ACK comes: ESTAB. An RST comes: connect() fails with ECONNREFUSED. Nothing comes: ETIMEDOUT. A bare SYN comes, because both ends called at once: SYN-RECV.",
	ender:   "The peer by answering, the program by closing or by a time limit of its own, and the kernel when it gives up.",
	lasts:   "About 135 s with the defaults, for 11 SYNs in all. `net.ipv4.tcp_syn_retries` rules it. Before Linux 6.5 it was 7 SYNs and 127 s.",
	holds:   "Yes.",
	port:    "Yes, from the moment of connect().",
	many:    "Something swallows the SYNs: a firewall that drops, a host that is down, a server whose accept queue is full. A closed port would answer at once.",
	todo:    "Try the same address from another host. Look at the server's accept queue. Give connect() a time limit of seconds in the program; two minutes is rarely what is wanted.",
	seen:    "`ss` shows SYN-SENT, `netstat` and `lsof` SYN_SENT. In `/proc/net/tcp` it is 02.",
	commands: Commands{
		{Run: "ss -tno state syn-sent", Shows: "each with its timer: the time to the next SYN, and how many were sent again"},
		{Run: "nstat -asz TcpExtTCPSynRetrans TcpAttemptFails", Shows: "SYNs sent again, and attempts that failed"},
	},
	values: Values{sysctl("net.ipv4.tcp_syn_retries", "SYNs sent again"), sysctl("net.ipv4.tcp_syn_linear_timeouts", "more, one each second"), counter("TcpAttemptFails")},
	see:    []string{"handshake", "ETIMEDOUT", "tcp_syn_retries"},
	refs:   []string{"RFC 9293, sections 3.5 and 3.10.7.3", "Documentation/networking/ip-sysctl.rst, tcp_syn_retries"},
}

var synRecv = statePage{
	state:   tcpvet.SynRecv,
	spelled: []string{"SYN-RCVD", "SYN-RECEIVED", "NEW-SYN-RECV"},
	title:   "a server has answered a SYN and waits for the last step",
	meaning: "The server's kernel has sent its SYN with ACK. The connection is not yet handed to the program.",
	comesIn: "A SYN arrives at a listener.",
	goesOut: "The client's ACK comes: ESTAB, and on to the accept queue. No ACK comes: it is dropped.",
	ender:   "The client by answering, the kernel by giving up. The program knows nothing of it.",
	lasts:   "63 s with the defaults: the answer is sent again 5 times, as `net.ipv4.tcp_synack_retries` says.",
	holds:   "No.",
	port:    "No port of its own. It uses the listener's.",
	many:    "The last step does not arrive. Either answers get lost on their way back (asymmetric routes, a firewall), or somebody sends SYNs with false addresses. A full accept queue also keeps sockets here.",
	todo:    "Look whether they come from many addresses that never answer (a flood: leave `net.ipv4.tcp_syncookies` at 1) or from clients that you know (a path problem). Check the accept queue.",
	seen:    "`ss` shows SYN-RECV, `netstat` and `lsof` SYN_RECV. RFC 9293 calls it SYN-RECEIVED. In `/proc/net/tcp` it is 03.",
	commands: Commands{
		{Run: "ss -tan state syn-recv", Shows: "who has not finished"},
		{Run: "nstat -asz TcpExtTCPReqQFullDrop TcpExtSyncookiesSent", Shows: "SYNs dropped for lack of room, and cookies sent instead"},
	},
	values: Values{sysctl("net.ipv4.tcp_synack_retries", "answers sent again"), sysctl("net.ipv4.tcp_max_syn_backlog", ""), sysctl("net.ipv4.tcp_syncookies", "")},
	see:    []string{"handshake", "tcp_max_syn_backlog", "tcp_abort_on_overflow"},
	refs:   []string{"RFC 9293, sections 3.5 and 3.10.7.4", "Documentation/networking/ip-sysctl.rst, tcp_synack_retries"},
}

var established = statePage{
	state:   tcpvet.Established,
	spelled: []string{"ESTABLISHED", "EST"},
	title:   "the connection is open both ways",
	meaning: "Both ends have agreed. Data may flow, or nothing may happen for days: an idle connection sends no segment at all, unless somebody asked for keepalive.",
	comesIn: "The handshake is complete: at the client when the SYN with ACK arrives, at the server one segment later.",
	goesOut: "The first end to close sends a FIN and goes to FIN-WAIT-1; the other one goes to CLOSE-WAIT. An RST ends it at once. So does the kernel, when data or keepalive probes go unanswered for too long.",
	ender:   "Either program, or the kernel as above.",
	lasts:   "No limit. If the peer vanishes while nothing is in flight, and keepalive is off, it stays for ever.",
	holds:   "Yes, once the server has accepted it.",
	port:    "Yes at the client. A server's connections share the listener's port.",
	many:    "Normal, as long as the number stands still. If it grows and most are idle, some pool has no upper bound, or the peers went away without a word.",
	todo:    "Bound the pools. Set an idle limit. Turn keepalive on for connections that may idle for long.",
	seen:    "`ss` shows ESTAB, `netstat` and `lsof` ESTABLISHED. In `/proc/net/tcp` it is 01. The \"estab\" of `ss -s` and the counter TcpCurrEstab hold CLOSE-WAIT as well.",
	commands: Commands{
		{Run: "ss -tno state established", Shows: "those with keepalive have timer:(keepalive,...); an idle one without any timer has it off"},
		{Run: "tcpvet count --by service,process", Shows: "who holds how many, and to where"},
	},
	values: Values{sysctl("net.ipv4.tcp_keepalive_time", "s"), sysctl("net.ipv4.tcp_retries2", ""), counter("TcpCurrEstab")},
	see:    []string{"keepalive", "CLOSE-WAIT", "tcp_retries2"},
	refs:   []string{"RFC 9293, sections 3.3.2 and 3.8.4"},
}

var unconn = statePage{
	state:   tcpvet.Unconn,
	spelled: []string{"CLOSED", "UNCONNECTED", "TCP_CLOSE"},
	title:   "a socket without a connection",
	meaning: "RFC 9293 calls it CLOSED: there is no connection. A program can still hold such a socket. It is either fresh from socket(), or its connection was ended by an RST or a timeout and nobody has called close() since.",
	comesIn: "A program calls socket(). Or a connection dies under a program that still holds its socket.",
	goesOut: "bind(), connect() or listen(), or the program closes it.",
	ender:   "The program.",
	lasts:   "No limit.",
	holds:   "Yes, and nothing else.",
	port:    "No, unless it was bound; then see BOUND-INACTIVE.",
	many:    "Descriptors leak: keepalive or a reset has freed the ports of forgotten connections, and the program has still not closed them. It ends in EMFILE.",
	todo:    "Find the code that keeps the sockets: see the topic `fix`.",
	seen:    "In no table of TCP sockets: `ss -t` and `/proc/net/tcp` do not list it. Only the process shows it, as a socket whose inode is in no table. The UNCONN in the output of `ss -u` is an ordinary UDP socket. The numbered state 07 in `/proc/net/tcp` and CLOSE in `netstat` are this state. As a word for this page `CLOSE` is taken: `tcpvet explain close` tells how connections end.",
	commands: Commands{
		{Run: "ls -l /proc/PID/fd | awk '/socket:/ {n++} END {print n+0}'", Shows: "how many sockets of any kind a process holds; compare with what the tables list"},
		{Run: "cat /proc/net/sockstat", Shows: "TCP: \"alloc\" counts such sockets too, \"inuse\" does not"},
	},
	values: Values{counter("sockstat.TCP.inuse"), counter("sockstat.TCP.alloc")},
	see:    []string{"EMFILE", "BOUND-INACTIVE", "fix"},
	refs:   []string{"RFC 9293, section 3.3.2"},
}

var boundInactive = statePage{
	state:   tcpvet.BoundInactive,
	spelled: []string{"BOUND"},
	title:   "a socket has a port and does nothing with it",
	meaning: "The program has called bind(), and neither listen() nor connect() has followed. It is Linux's own word for a closed socket that holds a port.",
	comesIn: "bind() gives the socket a port: the one asked for, or a free one for port 0.",
	goesOut: "connect() or listen(), or the program closes it.",
	ender:   "The program.",
	lasts:   "No limit.",
	holds:   "Yes.",
	port:    "Yes. Whatever local address it is bound to, connect() no longer chooses that port by itself, for any destination.",
	many:    "The local port range gets smaller for everybody in the namespace, while the usual tables show nothing.",
	todo:    "A client should not call bind() with port 0. If it must choose its source address, set IP_BIND_ADDRESS_NO_PORT first: the port is then chosen at connect(), for that destination only.",
	seen:    "Only newer kernels list it, and only to programs that ask for it; `ss` of Debian 12 does not. `netstat` and `/proc/net/tcp` never do. tcpvet lists it where the kernel can.",
	commands: Commands{
		{Run: "tcpvet ls state bound-inactive", Shows: "the ports and who holds them"},
	},
	values: Values{portRange()},
	see:    []string{"ports", "EADDRINUSE"},
	refs:   []string{"ip(7), IP_BIND_ADDRESS_NO_PORT", "include/net/tcp_states.h, TCP_BOUND_INACTIVE"},
}
