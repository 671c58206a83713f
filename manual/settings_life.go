package manual

var keepaliveTime = settingPage{
	name:     "tcp_keepalive_time",
	full:     "net.ipv4.tcp_keepalive_time",
	title:    "how long a connection idles before the first probe",
	unit:     "s",
	standard: "7200 s, two hours",
	does:     "It is the default of TCP_KEEPIDLE, for sockets with SO_KEEPALIVE.",
	doesNot:  "It does nothing for a socket without SO_KEEPALIVE, which is off unless the program turns it on. It does not close a connection whose peer still answers.",
	when:     "When the programs turn keepalive on and set no time of their own, and something on the path forgets idle connections earlier. Measure that limit and stay well below it.",
	values:   Values{keepaliveEnd()},
	see:      []string{"keepalive", "tcp_keepalive_intvl", "tcp_keepalive_probes"},
	refs:     []string{"RFC 9293, section 3.8.4", "tcp(7)"},
}

var keepaliveInterval = settingPage{
	name:     "tcp_keepalive_intvl",
	full:     "net.ipv4.tcp_keepalive_intvl",
	title:    "the time between unanswered probes",
	unit:     "s",
	standard: "75 s",
	does:     "It is the default of TCP_KEEPINTVL. The interval is the same from probe to probe; it does not grow.",
	doesNot:  "It does nothing without SO_KEEPALIVE.",
	when:     "Together with tcp_keepalive_time and tcp_keepalive_probes: the peer is given up after time + probes x interval.",
	values:   Values{keepaliveEnd()},
	see:      []string{"keepalive", "tcp_keepalive_time"},
	refs:     []string{"tcp(7)", ipSysctl + "tcp_keepalive_intvl"},
}

var keepaliveProbes = settingPage{
	name:     "tcp_keepalive_probes",
	full:     "net.ipv4.tcp_keepalive_probes",
	title:    "how many probes may go unanswered",
	standard: "9",
	does:     "It is the default of TCP_KEEPCNT. After that many the kernel sends an RST, and the program gets ETIMEDOUT.",
	doesNot:  "It does not count when TCP_USER_TIMEOUT is set: that time decides then.",
	when:     "Too few and a short outage of the path kills good connections. Three is the least to be sensible.",
	values:   Values{keepaliveEnd()},
	see:      []string{"keepalive", "tcp_keepalive_time"},
	refs:     []string{"tcp(7)", ipSysctl + "tcp_keepalive_probes"},
}

var synRetries = settingPage{
	name:     "tcp_syn_retries",
	full:     "net.ipv4.tcp_syn_retries",
	title:    "how long connect() tries",
	standard: "6",
	does:     "It says how often an unanswered SYN is sent again with doubling pauses. Since Linux 6.5, tcp_syn_linear_timeouts (4) adds some that follow at one second each. That makes 11 SYNs and about 135 s; before, 7 SYNs and 127 s.",
	doesNot:  "It does not help a server with a full queue.",
	when:     "Rarely. A time limit in the program is better: it fits the one connection.",
	values:   Values{sysctl("net.ipv4.tcp_syn_linear_timeouts", "")},
	see:      []string{"SYN-SENT", "ETIMEDOUT"},
	refs:     []string{ipSysctl + "tcp_syn_retries and tcp_syn_linear_timeouts"},
}

var retries2 = settingPage{
	name:     "tcp_retries2",
	full:     "net.ipv4.tcp_retries2",
	title:    "how long unconfirmed data is sent again",
	standard: "15, which is about 15 min",
	does:     "Data that nobody confirms is sent again, with doubling pauses up to 2 min. Then the connection ends with ETIMEDOUT. All that time write() has succeeded and the program has waited.",
	doesNot:  "It does not concern an idle connection: with nothing in flight there is nothing to send again. The end comes without an RST, so the peer learns nothing.",
	when:     "Better set TCP_USER_TIMEOUT on the connections that matter. Lower this one only where a quick end is worth more than living through an outage.",
	commands: Commands{
		{Run: "ss -tno state established", Shows: "timer:(on,TIME,N): N resends without an answer, TIME to the next"},
	},
	see:  []string{"ETIMEDOUT", "keepalive", "ESTAB"},
	refs: []string{"RFC 9293, section 3.8.3", ipSysctl + "tcp_retries2", "tcp(7), TCP_USER_TIMEOUT"},
}

var somaxconn = settingPage{
	name:     "somaxconn",
	full:     "net.core.somaxconn",
	title:    "the most that an accept queue may hold",
	unit:     "connections",
	standard: "4096 since Linux 5.4, before that 128",
	does:     "It caps the number that a program gives to listen(). The smaller of the two is the limit, which `ss` shows as Send-Q of the listener.",
	doesNot:  "It does not change queues that exist: the program has to call listen() again. It does not help a program that has stopped accepting.",
	when:     "When bursts of connections fill a queue that the program empties quickly, and the program asks for more than this.",
	commands: Commands{
		{Run: "ss -tln", Shows: "queue and limit of each listener"},
		{Run: "nstat -asz TcpExtListenOverflows", Shows: "connections that a full queue turned away"},
	},
	values: Values{counter("TcpExtListenOverflows")},
	see:    []string{"LISTEN", "tcp_max_syn_backlog", "tcp_abort_on_overflow"},
	refs:   []string{"listen(2)", ipSysctl + "somaxconn"},
}

var maxSynBacklog = settingPage{
	name:     "tcp_max_syn_backlog",
	full:     "net.ipv4.tcp_max_syn_backlog",
	title:    "how many unfinished handshakes a listener keeps",
	standard: "by memory, at least 128",
	does:     "It bounds the connections in SYN-RECV when tcp_syncookies is off. With cookies on, the default, the limit of the accept queue bounds them, and cookies take what is above.",
	doesNot:  "It is not the accept queue. That is somaxconn.",
	when:     "Hardly ever. Look at the accept queue first.",
	commands: Commands{
		{Run: "nstat -asz TcpExtTCPReqQFullDrop TcpExtTCPReqQFullDoCookies", Shows: "SYNs dropped, and answered by a cookie"},
	},
	values: Values{sysctl("net.ipv4.tcp_syncookies", "")},
	see:    []string{"SYN-RECV", "somaxconn"},
	refs:   []string{ipSysctl + "tcp_max_syn_backlog and tcp_syncookies"},
}

var abortOnOverflow = settingPage{
	name:     "tcp_abort_on_overflow",
	full:     "net.ipv4.tcp_abort_on_overflow",
	title:    "whether a full accept queue answers with an RST",
	standard: "0",
	does:     "It decides what happens when the last step of a handshake meets a full queue. With 0 it is ignored, and the client, which believes to be connected, sends again until there is room. With 1 the client gets an RST.",
	doesNot:  "It makes the queue no longer. New SYNs are dropped while the queue is full, whatever it says, so most clients see a timeout with 1 as well.",
	when:     "Leave it at 0, unless you are sure that the program will not catch up and clients should fail at once.",
	values:   Values{counter("TcpExtListenOverflows")},
	see:      []string{"LISTEN", "somaxconn", "SYN-RECV"},
	refs:     []string{ipSysctl + "tcp_abort_on_overflow"},
}

var maxOrphans = settingPage{
	name:     "tcp_max_orphans",
	full:     "net.ipv4.tcp_max_orphans",
	title:    "how many closed connections may still be closing",
	standard: "by memory; 131,072 on a host of 24 GB",
	does:     "It bounds the sockets that no process holds and that are not done yet: FIN-WAIT-1, CLOSING, LAST-ACK. Beyond it they are reset. It counts for the whole machine; only the first namespace has the setting.",
	doesNot:  "TIME-WAIT does not count here.",
	when:     "When TcpExtTCPAbortOnMemory grows. Each one may hold memory for what it has not sent, so find out first why the peers do not take it.",
	commands: Commands{
		{Run: "cat /proc/net/sockstat", Shows: "TCP: \"orphan\" is the number now"},
		{Run: "nstat -asz TcpExtTCPAbortOnMemory", Shows: "connections reset for lack of room"},
	},
	values: Values{hostCounter("orphans now", "orphans"), hostCounter("at most, by the host", "tcp_max_orphans"), counter("TcpExtTCPAbortOnMemory")},
	see:    []string{"FIN-WAIT-1", "LAST-ACK"},
	refs:   []string{ipSysctl + "tcp_max_orphans", "tcp(7)"},
}

var orphanRetries = settingPage{
	name:     "tcp_orphan_retries",
	full:     "net.ipv4.tcp_orphan_retries",
	title:    "how long a closed connection tries to say good-bye",
	standard: "0, which means 8",
	does:     "A process has closed, and nobody acknowledges the FIN or what was queued before it: FIN-WAIT-1, CLOSING, LAST-ACK. It is sent again with doubling pauses, eight times unless told otherwise: 102.2 s for a path whose timeout is 200 ms.",
	doesNot:  "It does not concern a socket that a process still holds: that goes by tcp_retries2. It does not shorten TIME-WAIT, nor FIN-WAIT-2.",
	when:     "When orphans of peers that vanish hold too much memory, and tcp_max_orphans comes near.",
	commands: Commands{
		{Run: "ss -tanoH state last-ack", Shows: "timer:(on,TIME,N): N times sent again"},
	},
	see:  []string{"LAST-ACK", "FIN-WAIT-1", "tcp_max_orphans"},
	refs: []string{ipSysctl + "tcp_orphan_retries", "kernel function tcp_orphan_retries"},
}
