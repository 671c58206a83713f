package manual

// demo stages the article's fault on this machine.
var demo = Command{Run: "tcpvet demo", Shows: "stages the fault in private namespaces, with its diagnosis and cure"}

// claimsOnStates gives the claims about the failure and about TCP itself, up
// to the limits on TIME_WAIT.
func claimsOnStates() []Claim {
	return []Claim{
		{
			Says:    "`lsof -i | grep TIME_WAIT` prints nothing, so there are no sockets in TIME_WAIT.",
			Verdict: False,
			Why:     "The method proves nothing. lsof lists descriptors, and TIME-WAIT has none, so it can never show one.",
			Shown:   Commands{{Run: "ss -tanH state time-wait | wc -l", Shows: "counts them"}},
			See:     []string{"TIME-WAIT"},
		},
		{
			Says:    "Errno 99 came from some 27,000 sockets in CLOSE_WAIT.",
			Verdict: True,
			Why:     "It does, for one destination: 28,232 with the default range, and another destination still connects. The article's own numbers add up to 27,418, which is 814 short of that, so its totals alone do not prove it.",
			Shown:   Commands{demo, {Run: "sysctl net.ipv4.ip_local_port_range", Shows: "the first and last port; last - first + 1 is the limit for one destination"}},
			See:     []string{"EADDRNOTAVAIL", "ports"},
		},
		{
			Says:    "A list of eleven states and what each means.",
			Verdict: Partly,
			Why:     "Mostly right. FIN_WAIT_2 is muddled: the end in that state has nothing more to send, and it is the other end that still may.",
			Shown:   Commands{{Run: "tcpvet explain states", Shows: "the way through the states"}},
			See:     []string{"states", "FIN-WAIT-2"},
		},
		{
			Says:    "In the third step of the close the client goes to LAST_ACK.",
			Verdict: False,
			Why:     "The server does: it sends that FIN, as the end that closes second. The list further down in the article has it right.",
			Shown:   Commands{{Run: "ss -tano state last-ack", Shows: "found at the end that closed second"}},
			See:     []string{"LAST-ACK", "close"},
		},
		{
			Says:    "MSL = 2.",
			Verdict: False,
			Why:     "The maximum segment lifetime is a time, not a number: 2 min in RFC 9293. Linux does not count in it; it waits 60 s in all.",
			Shown:   Commands{{Run: "ss -tano state time-wait", Shows: "timer:(timewait,...) counts down from 60 s"}},
			See:     []string{"TIME-WAIT"},
		},
		{
			Says:    "Captures show a handshake of three segments, a close of four, and a close of three.",
			Verdict: True,
			Why:     "All three are as the kernel does it. In the third the FIN of the second end carries the ACK.",
			Shown:   Commands{{Run: "tcpdump -ni any 'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0'", Shows: "opening and closing segments as they pass", Root: true, Waits: true}},
			See:     []string{"handshake", "close"},
		},
		{
			Says:    "TIME_WAIT is kept for 2 MSL because the last ACK may be lost, and because old segments must die out.",
			Verdict: True,
			Why:     "Both reasons are right. When the last ACK is lost the FIN comes again, and TIME-WAIT answers it.",
			Shown:   Commands{{Run: "tcpvet explain close", Shows: "the closes, segment by segment"}},
			See:     []string{"TIME-WAIT", "close"},
		},
		{
			Says:    "It takes three segments to open, because SYN and ACK share one, and four to close, because the second end is not done yet.",
			Verdict: True,
			Why:     "And three to close, when the second end is ready at once.",
			Shown:   Commands{{Run: "tcpdump -ni any 'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0'", Shows: "opening and closing segments as they pass", Root: true, Waits: true}},
			See:     []string{"handshake", "close"},
		},
		{
			Says:    "Sockets in TIME_WAIT and in CLOSE_WAIT hold file handles, of which there are few.",
			Verdict: Partly,
			Why:     "True for CLOSE-WAIT, false for TIME-WAIT: that has no descriptor, no inode and no process.",
			Shown:   Commands{{Run: "ss -taneH state time-wait 2>/dev/null", Shows: "no inode and no user in any line"}},
			See:     []string{"TIME-WAIT", "CLOSE-WAIT", "EMFILE"},
		},
		{
			Says:    "TIME_WAIT bounds a client to 470 or 235 connections per second.",
			Verdict: Partly,
			Why:     "470 is right: 28,232 ports / 60 s = 470.5, for one destination, with reuse off. 235 is for a TIME-WAIT of 120 s, which no Linux has.",
			Shown:   Commands{{Run: "sysctl net.ipv4.ip_local_port_range", Shows: "the range; its number of ports divided by 60 is the rate"}},
			See:     []string{"ports", "TIME-WAIT"},
		},
		{
			Says:    "With a NAT or an L7 balancer between, the limit may lie there.",
			Verdict: True,
			Why:     "It opens the connections in the name of its clients and has one range of ports for all of them.",
			Shown:   Commands{{Run: "nstat -asz TcpExtTCPSynRetrans", Shows: "at the client: a NAT without ports drops SYNs, so they are sent again"}},
			See:     []string{"ports", "ETIMEDOUT"},
		},
		{
			Says:    "Long connections instead of short ones avoid it.",
			Verdict: True,
			Why:     "A connection that is used again costs no port and leaves no TIME-WAIT.",
			Shown:   Commands{{Run: "nstat -asz TcpActiveOpens", Shows: "connections opened from here; look twice for a rate"}},
			See:     []string{"ports", "fix"},
		},
		{
			Says:    "SO_LINGER: off; on with n seconds, where close() fails with EWOULDBLOCK when the time is up; on with 0, which sends an RST.",
			Verdict: Partly,
			Why:     "Right for 0: RST, no TIME-WAIT, data lost. Wrong for n with a full queue: on Linux close() returns 0 after n seconds, and the data stays queued and is still sent.",
			Shown:   Commands{{Run: "tcpvet explain linger", Shows: "the three cases side by side"}},
			See:     []string{"linger"},
		},
		{
			Says:    "A wider ip_local_port_range eases the trouble.",
			Verdict: True,
			Why:     "There are more ports then. Against a leak it only delays the end.",
			Shown:   Commands{{Run: "sysctl net.ipv4.ip_local_port_range", Shows: "the range in this namespace"}},
			See:     []string{"ip_local_port_range"},
		},
		{
			Says:    "Changing nf_conntrack_tcp_timeout_time_wait seemed to have no effect.",
			Verdict: True,
			Why:     "It rules the table of the firewall. The sockets are in another one. With it at 5 s the entry went after 5 s, and the TIME-WAIT stayed its 60 s.",
			Shown:   Commands{{Run: "sysctl -e net.netfilter.nf_conntrack_tcp_timeout_time_wait", Shows: "120 by default, while TIME-WAIT lasts 60 s"}},
			See:     []string{"nf_conntrack_tcp_timeout_time_wait"},
		},
		{
			Says:    "Set tcp_tw_reuse, tcp_timestamps and tcp_tw_recycle to 1, though many call that unsafe.",
			Verdict: Outdated,
			Why:     "tcp_tw_recycle was the unsafe one and is gone since Linux 4.12; a line with it makes `sysctl -p` fail. tcp_tw_reuse is safe for clients, and needs timestamps at both ends.",
			Shown:   Commands{{Run: "sysctl -e net.ipv4.tcp_tw_reuse net.ipv4.tcp_timestamps net.ipv4.tcp_tw_recycle", Shows: "two values; the third name is not known any more"}},
			See:     []string{"tcp_tw_reuse", "tcp_tw_recycle"},
		},
	}
}

// claimsOnCures gives the other claims: how a CLOSE_WAIT comes about, what
// ends it, and what keepalive does.
func claimsOnCures() []Claim {
	return []Claim{
		{
			Says:    "SO_REUSEADDR lets a listener bind to a port with sockets in TIME_WAIT.",
			Verdict: True,
			Why:     "Without it bind() fails with EADDRINUSE until they are gone.",
			Shown:   Commands{{Run: "tcpvet explain reuseaddr", Shows: "which option allows what"}},
			See:     []string{"reuseaddr", "EADDRINUSE"},
		},
		{
			Says:    "No kernel setting cures CLOSE_WAIT; read the code.",
			Verdict: True,
			Why:     "Only the program can close its socket. Keepalive and `ss -K` give back the port at most, never the descriptor.",
			Shown:   Commands{demo},
			See:     []string{"CLOSE-WAIT", "fix"},
		},
		{
			Says:    "CLOSE_WAIT means that the program did not send the ACK.",
			Verdict: False,
			Why:     "The kernel sent the ACK at once, without the program. What is missing is the FIN that close() sends.",
			Shown:   Commands{{Run: "tcpdump -ni any 'tcp[tcpflags] & tcp-fin != 0'", Shows: "each FIN; of a CLOSE-WAIT only one end's ever comes", Root: true, Waits: true}},
			See:     []string{"CLOSE-WAIT", "close"},
		},
		{
			Says:    "A crawler's success ends in TIME_WAIT. An error ends in CLOSE_WAIT, if its HttpClient is not released.",
			Verdict: True,
			Why:     "After success the crawler closes first. On the error path the server does, and the code forgets to follow.",
			Shown:   Commands{{Run: "ss -tanH | awk '{print $1}' | sort | uniq -c", Shows: "both, counted"}},
			See:     []string{"time-wait or close-wait", "fix java"},
		},
		{
			Says:    "When the server exits first the client can still write. That draws an RST, and the second write gives SIGPIPE.",
			Verdict: True,
			Why:     "With two corrections to its wording: the client's own kernel raises SIGPIPE, not the server, and it does so once the RST has arrived. Three writes in a row all succeeded, and the fourth failed.",
			Shown:   Commands{{Run: "tcpvet explain EPIPE", Shows: "what the writer sees, and when"}},
			See:     []string{"EPIPE", "close"},
		},
		{
			Says:    "Only the end of the process gives the resources back.",
			Verdict: Partly,
			Why:     "Nearly. SOCK_DESTROY, which `ss -K` uses, gives back the port. The descriptor does need the process.",
			Shown:   Commands{{Run: "ss -Ktn state close-wait dst 10.0.3.7:8080", Shows: "destroys such sockets to one destination; put your own in", Root: true, Changes: true}},
			See:     []string{"CLOSE-WAIT", "ECONNABORTED"},
		},
		{
			Says:    "First cure for Python: `request.Session().close()`.",
			Verdict: Partly,
			Why:     "Right in kind: the session has to be closed. As printed, it makes a new session and closes that, which changes nothing. (The module is called requests, too.)",
			Shown:   Commands{{Run: "tcpvet explain fix python", Shows: "code that closes"}, demo},
			See:     []string{"fix python"},
		},
		{
			Says:    "Second cure for Python: an adapter that turns keepalive on.",
			Verdict: Partly,
			Why:     "It frees the port once the peer's FIN-WAIT-2 is gone, 61.8 s in a trial, if the peer has really closed. The descriptor leaks on, so Errno 99 becomes Errno 24. And it drops TCP_NODELAY.",
			Shown:   Commands{{Run: "ss -tno state close-wait", Shows: "with the adapter: timer:(keepalive,...)"}},
			See:     []string{"keepalive", "fix python"},
		},
		{
			Says:    "Nagle's algorithm allows one small segment in flight.",
			Verdict: True,
			Why:     "Together with delayed ACK it costs 44 ms for each write, write, read; 0.03 ms with TCP_NODELAY.",
			Shown:   Commands{{Run: "nstat -asz TcpExtDelayedACKs", Shows: "ACKs that were delayed, on the receiving host"}},
			See:     []string{"nagle"},
		},
		{
			Says:    "tcp_keepalive_time has no effect on a socket without SO_KEEPALIVE.",
			Verdict: True,
			Why:     "The setting is only the default for sockets that have the option, and the option is off by default.",
			Shown:   Commands{{Run: "ss -tno state established", Shows: "timer:(keepalive,...) where it is on"}},
			See:     []string{"keepalive", "tcp_keepalive_time"},
		},
		{
			Says:    "With 1800, 15 and 5 the probes follow each other after 15, 30, 45, 60 and 75 s.",
			Verdict: False,
			Why:     "The interval is constant: 15 s each time. The connection ends after 1800 + 5 x 15 = 1,875 s.",
			Shown:   Commands{{Run: "sysctl net.ipv4.tcp_keepalive_time net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes", Shows: "the end is at time + probes x intvl"}},
			See:     []string{"keepalive", "tcp_keepalive_intvl"},
		},
		{
			Says:    "Keepalive finds dead peers and keeps the entries of middleboxes alive.",
			Verdict: True,
			Why:     "Both, if the idle time is shorter than the middlebox's memory: 350 s and 240 s are common in clouds.",
			Shown:   Commands{{Run: "nstat -asz TcpExtTCPKeepAlive TcpExtTCPAbortOnTimeout", Shows: "probes sent, and connections given up"}},
			See:     []string{"keepalive"},
		},
		{
			Says:    "Keepalive can fill the tables of middleboxes, and a short outage can kill healthy connections.",
			Verdict: True,
			Why:     "Entries that would have gone are kept. An outage longer than probes x interval ends connections that are fine: 75 s with 15 and 5, 675 s with the defaults.",
			Shown:   Commands{{Run: "sysctl net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes", Shows: "their product is the outage that is survived"}},
			See:     []string{"keepalive", "tcp_keepalive_probes"},
		},
		{
			Says:    "HTTP keep-alive is not TCP keepalive. nginx and Apache have a time limit of their own for it.",
			Verdict: True,
			Why:     "One keeps a connection for more requests, the other probes it. nginx does not even turn TCP keepalive on, unless `so_keepalive=on` is set.",
			Shown:   Commands{{Run: "ss -tno state established", Shows: "connections of an HTTP server with keep-alive and without timer:(keepalive,...)"}},
			See:     []string{"keepalive", "fix nginx"},
		},
		{
			Says:    "HTTP keep-alive lowers the number of TIME_WAITs at the server.",
			Verdict: True,
			Why:     "True in kind: fewer connections are opened, so fewer are closed. How many fewer depends on how the clients use them.",
			Shown:   Commands{{Run: "nstat -asz TcpExtTW TcpPassiveOpens", Shows: "TIME-WAITs entered, and connections accepted"}},
			See:     []string{"keepalive", "TIME-WAIT"},
		},
	}
}
