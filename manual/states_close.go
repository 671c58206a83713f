package manual

import "github.com/tcpvet/tcpvet"

var finWait1 = statePage{
	state:   tcpvet.FinWait1,
	title:   "this end has sent its FIN and nobody has confirmed it",
	meaning: "This end closed first. The FIN is in flight, or it still waits behind data that the peer does not take.",
	comesIn: "The program calls close() or shutdown() in ESTAB, or ends. The kernel sends a FIN.",
	goesOut: "The ACK comes: FIN-WAIT-2. The peer's FIN comes without it: CLOSING. A FIN that carries the ACK comes: TIME-WAIT at once.",
	ender:   "The peer by answering. The kernel, when the peer is silent.",
	lasts:   "A round trip, or up to 200 ms when the peer delays its ACK. With a silent peer: after close() some 8 resends (`net.ipv4.tcp_orphan_retries`, where 0 stands for 8); after shutdown() as long as `net.ipv4.tcp_retries2` allows.",
	holds:   "Not after close(). After shutdown() it does.",
	port:    "Yes.",
	many:    "The peers are gone, or they do not read: data fills their window and the FIN stands in line behind it.",
	todo:    "Look at Send-Q. Above 1 the peer has not taken the data. Look whether the peer's host is alive.",
	seen:    "`ss` shows FIN-WAIT-1, `netstat` and `lsof` FIN_WAIT1. In `/proc/net/tcp` it is 04.",
	commands: Commands{
		{Run: "ss -tano state fin-wait-1", Shows: "Send-Q, and the timer: \"on\" resends, \"persist\" probes a closed window"},
	},
	values: Values{sysctl("net.ipv4.tcp_orphan_retries", ""), hostCounter("sockets that no process holds", "orphans")},
	see:    []string{"close", "tcp_max_orphans"},
	refs:   []string{"RFC 9293, sections 3.6 and 3.10.7.4", "Documentation/networking/ip-sysctl.rst, tcp_orphan_retries"},
}

var finWait2 = statePage{
	state:   tcpvet.FinWait2,
	title:   "this end is done, and the peer has not closed yet",
	meaning: "This end's FIN is confirmed. The peer may still send, and must still close. While this lasts the peer's socket is in CLOSE-WAIT: the two are the ends of one half-closed connection.",
	comesIn: "The ACK of this end's FIN arrives in FIN-WAIT-1.",
	goesOut: "The peer's FIN comes: TIME-WAIT. An RST comes, or the time is up: gone.",
	ender:   "The peer's program by closing. The kernel here, if no process holds the socket.",
	lasts:   "After close(): `net.ipv4.tcp_fin_timeout`, 60 s by default. After shutdown(), while the program still holds the socket: no limit.",
	holds:   "Not after close(). After shutdown() it does.",
	port:    "Yes. tcp_tw_reuse does not give it back.",
	many:    "The programs at the other end do not close. If all of them go to one service, that service has the CLOSE-WAIT leak.",
	todo:    "Go to the other end and look for CLOSE-WAIT there. A shorter tcp_fin_timeout clears this side earlier and cures nothing.",
	seen:    "`ss` shows FIN-WAIT-2, `netstat` and `lsof` FIN_WAIT2. In `/proc/net/tcp` it is 05. `ss -o` shows timer:(timewait,...) on one that nobody holds, and no timer on one that a process holds. The counter TcpExtTW counts the former together with TIME-WAIT.",
	commands: Commands{
		{Run: "ss -tanoH state fin-wait-2 | awk '/timewait/ {n++} END {print n+0, NR-n}'", Shows: "those that nobody holds, and those that a process still holds"},
	},
	values: Values{sysctl("net.ipv4.tcp_fin_timeout", "s")},
	see:    []string{"CLOSE-WAIT", "close", "tcp_fin_timeout"},
	refs:   []string{"RFC 9293, sections 3.6 and 3.6.1", "tcp(7), tcp_fin_timeout"},
}

var closingState = statePage{
	state:   tcpvet.Closing,
	title:   "both ends have closed at the same moment",
	meaning: "Each end sent its FIN before it had seen the other's. This end has the peer's FIN and still waits for the ACK of its own.",
	comesIn: "The peer's FIN arrives in FIN-WAIT-1, and does not confirm this end's FIN.",
	goesOut: "The ACK comes: TIME-WAIT. It comes to both ends, so both hold a TIME-WAIT.",
	ender:   "The peer by answering. The kernel, when the peer is silent.",
	lasts:   "About as long as a segment travels one way. With a silent peer as long as LAST-ACK.",
	holds:   "No, after close().",
	port:    "Yes.",
	many:    "Rare, and then only for an instant. Many that stay mean that segments are lost just now, or that the peers' hosts vanished while closing.",
	todo:    "Nothing for a few. For many, look at the network between the two.",
	seen:    "`ss` shows CLOSING, `netstat` and `lsof` too. In `/proc/net/tcp` it is 0B.",
	commands: Commands{
		{Run: "ss -tano state closing", Shows: "who closes with whom, and the timer of the resend"},
	},
	values: Values{sysctl("net.ipv4.tcp_orphan_retries", "")},
	see:    []string{"close", "TIME-WAIT"},
	refs:   []string{"RFC 9293, section 3.6"},
}

var timeWait = statePage{
	state:   tcpvet.TimeWait,
	title:   "this end closed first and waits until the old segments are dead",
	meaning: "The connection is over. The kernel keeps a small record of it for 60 s, for two reasons. If the last ACK is lost, the peer sends its FIN again and needs an answer. And a late segment must not turn up in a new connection between the same ports.",
	comesIn: "The end that sent the first FIN has received the other one and confirmed it. After a simultaneous close both ends come here.",
	goesOut: "The time is up. Or a new connection takes the port over: at a server a new SYN does that, at a client `net.ipv4.tcp_tw_reuse`.",
	ender:   "The kernel alone. No process has it any more.",
	lasts:   "60 s, compiled into Linux. No setting changes it: tcp_fin_timeout is about FIN-WAIT-2, and nf_conntrack_tcp_timeout_time_wait is about another table.",
	holds:   "No. It has no descriptor, no inode, no user and no process.",
	port:    "Yes, at a client: the port is taken for that one destination. At a server it costs a little memory and no port.",
	many:    "Normal, and a sign of health: connections are closed properly. It hurts only a client that opens more than ports/60 connections per second to one destination, because it runs out of ports there.",
	todo:    "Keep connections open and use them again: a pool, HTTP keep-alive. If that cannot be, set `net.ipv4.tcp_tw_reuse` to 1 at the client, with timestamps on at both ends. Leave SO_LINGER 0 alone: it loses data.",
	seen:    "`ss` shows TIME-WAIT, `netstat` TIME_WAIT. In `/proc/net/tcp` it is 06. `lsof` can never show it, for it lists descriptors. Who had the connection the kernel does not tell. While `tcpvet trace` runs that is remembered: `tcpvet ls`, `count` and `budget` then name the process.",
	commands: Commands{
		{Run: "ss -tanH state time-wait | wc -l", Shows: "how many"},
		{Run: "ss -tanH state time-wait | awk '{print $4}' | sort | uniq -c | sort -rn | head", Shows: "to which endpoint"},
		{Run: "nstat -asz TcpExtTW TcpExtTWRecycled TcpExtTCPTimeWaitOverflow", Shows: "entered, taken over by a new connection, and dropped for lack of room"},
	},
	values: Values{portRange(), sustainable(), sysctl("net.ipv4.tcp_tw_reuse", ""), reused(), sysctl("net.ipv4.tcp_max_tw_buckets", ""), counter("TcpExtTCPTimeWaitOverflow")},
	see:    []string{"time-wait or close-wait", "ports", "tcp_tw_reuse"},
	refs:   []string{"RFC 9293, sections 3.6 and 3.10.7.4", "include/net/tcp.h, TCP_TIMEWAIT_LEN"},
}

var closeWait = statePage{
	state:   tcpvet.CloseWait,
	title:   "the peer has closed and the program here has not",
	meaning: "The peer's FIN came, and the kernel here confirmed it. Everything now waits for the program to call close(). If it never does, the socket stays for ever.",
	comesIn: "The peer's FIN arrives in ESTAB. The kernel answers it without asking the program.",
	goesOut: "The program closes, or ends: a FIN goes out, and the state is LAST-ACK. An RST ends it too.",
	ender:   "The program that holds it. From outside, `tcpvet fix close`, `ss -K` or a keepalive that meets an RST frees the port, and never the descriptor.",
	lasts:   "No limit, and no setting that would set one.",
	holds:   "Yes.",
	port:    "Yes at a client. A server's connections share the listener's port.",
	many:    "A bug in the program: it opens connections and forgets them. A client runs out of ports to that destination (EADDRNOTAVAIL), a server out of descriptors (EMFILE).",
	todo:    "Find the code that does not close: `tcpvet trace --leaks` names the lines that open what stays so, and the topics `fix python`, `fix go` and so on show the usual places. A restart gives everything back for the time being. No sysctl cures it.",
	seen:    "`ss` shows CLOSE-WAIT, `netstat` and `lsof` CLOSE_WAIT. In `/proc/net/tcp` it is 08. The \"estab\" of `ss -s` counts it as well.",
	more: []Block{
		Heading("what Recv-Q says"),
		Table{
			Head: []string{"Recv-Q", "what the program did", "where to look"},
			Rows: [][]string{
				{"1", "has not read since the FIN came; the FIN counts as 1", "a pool that keeps idle connections, or an object that was forgotten"},
				{"0", "read everything, the end as well perhaps, and did not close", "the code behind the end of file: an error path without close()"},
				{"more", "has not read the rest of the data", "a response whose body nobody drains or closes"},
			},
		},
	},
	commands: Commands{
		{Run: "ss -tanH state close-wait | wc -l", Shows: "how many"},
		{Run: "ss -tanH state close-wait | awk '{print $1, $4}' | sort | uniq -c | sort -rn | head", Shows: "by Recv-Q and peer"},
		{Run: "tcpvet ls state close-wait", Shows: "each with the process that holds it and its age"},
		{Run: "tcpvet diagnose", Shows: "who leaks, how fast, and when the ports or descriptors end"},
		{Run: "tcpvet trace --leaks --pid PID", Shows: "at Ctrl-C: the lines that opened what stays in CLOSE-WAIT, the worst first", Root: true, Waits: true},
	},
	values: Values{portRange(), sysctl("net.ipv4.tcp_keepalive_time", "s, only with SO_KEEPALIVE")},
	see:    []string{"fix", "time-wait or close-wait", "EADDRNOTAVAIL", "keepalive"},
	refs:   []string{"RFC 9293, sections 3.6 and 3.10.7.4"},
}

var lastAck = statePage{
	state:   tcpvet.LastAck,
	title:   "this end closed second and waits for the last ACK",
	meaning: "The peer closed first, then the program here did. Its FIN is out and the ACK has not come.",
	comesIn: "The program calls close() in CLOSE-WAIT. The kernel sends a FIN.",
	goesOut: "The ACK comes: gone, without TIME-WAIT.",
	ender:   "The peer by answering. The kernel, when the peer is silent.",
	lasts:   "A round trip. With a silent peer some 8 resends (`net.ipv4.tcp_orphan_retries`, where 0 stands for 8).",
	holds:   "No, after close().",
	port:    "Yes at a client, until the end.",
	many:    "The peers are gone, or a firewall between has forgotten the connections and drops the FINs. It follows on old CLOSE-WAITs that are closed all at once.",
	todo:    "They go by themselves. If they keep coming, find out what on the path forgets idle connections, and close earlier than it does.",
	seen:    "`ss` shows LAST-ACK, `netstat` and `lsof` LAST_ACK. In `/proc/net/tcp` it is 09.",
	commands: Commands{
		{Run: "ss -tano state last-ack", Shows: "the timer: how often the FIN was sent, and when next"},
	},
	values: Values{sysctl("net.ipv4.tcp_orphan_retries", ""), hostCounter("sockets that no process holds", "orphans")},
	see:    []string{"close", "CLOSE-WAIT"},
	refs:   []string{"RFC 9293, section 3.6", "Documentation/networking/ip-sysctl.rst, tcp_orphan_retries"},
}
