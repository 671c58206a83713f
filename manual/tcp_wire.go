package manual

func keepaliveTopic() Topic {
	return Topic{
		Name:    "keepalive",
		Aliases: []string{"SO_KEEPALIVE", "tcp keepalive", "http keep-alive", "heartbeat", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"},
		Section: TCP,
		Title:   "three things of nearly the same name",
		Body: []Block{
			Table{
				Head: []string{"", "TCP keepalive", "HTTP keep-alive", "heartbeat"},
				Rows: [][]string{
					{"what", "empty probes on an idle connection", "one connection for many requests", "small messages of the program"},
					{"who", "the kernel, if SO_KEEPALIVE is on", "client and server", "both programs"},
					{"finds a dead peer", "yes", "no", "yes, and a hung program too"},
					{"keeps NAT entries alive", "yes", "no", "yes"},
					{"closes idle connections", "no: it keeps them", "yes, at the idle limit", "no"},
					{"default", "off", "on since HTTP/1.1", "none"},
				},
			},
			Heading("TCP keepalive"),
			Para("After `tcp_keepalive_time` without traffic the kernel sends a probe, and then one every `tcp_keepalive_intvl`. The interval stays the same. After `tcp_keepalive_probes` without an answer it sends an RST and the program gets ETIMEDOUT."),
			Code{Text: "defaults     7200 s + 9 x 75 s = 7,875 s\nthe article  1800 s + 5 x 15 s = 1,875 s"},
			List{
				"The three settings are only defaults for sockets that have SO_KEEPALIVE. Without it they do nothing at all.",
				"It is for idle connections. Data in flight has its own clock: about 15 min by tcp_retries2. TCP_USER_TIMEOUT bounds both.",
				"Go turns it on by itself: 15 s idle, 15 s interval, 9 probes. Python, Java, C and nginx do not.",
				"Something between that forgets idle connections needs probes more often than it forgets: 350 s and 240 s are common limits in clouds. Measure yours: `tcpvet probe idle HOST:PORT`.",
				"A probe that is answered is followed by the next after TCP_KEEPINTVL, if that is longer than TCP_KEEPIDLE. So set both below the limit: 30 s idle and the default of 75 s between probes leave 75 s of silence.",
				"The price: entries in middleboxes that would have gone, and good connections that die in an outage longer than all the probes. Allow some probes.",
			},
			Heading("measure the limit"),
			Para("`tcpvet probe idle` leaves connections idle, each for longer than the last, and asks them by a keepalive probe: it works for any TCP service, and sends no data. It tells a middlebox that drops from one that answers by RST, and from the server's own closing, and gives keepalive that stays inside of the limit. `tcpvet diagnose --probe FILE` then names the programs whose keepalive comes too late. `tcpvet probe keepalive` sees whether a peer answers probes at all."),
			Heading("does it cure CLOSE-WAIT?"),
			Para("In part. The probe is answered as long as the peer's kernel keeps its FIN-WAIT-2, 60 s by default; the next one meets an RST. That frees the port. The program still has the descriptor, so a leak ends in EMFILE instead. If the peer has only half closed, it never helps. The ports hold out while leaks per second x (60 s + idle time) stays below the number of ports."),
			Heading("without touching the program"),
			Para("`tcpvet fix keepalive` sets it on sockets that are open, `tcpvet run` on those that a program opens from now on, also where it cannot be changed: `tcpvet explain outside`."),
			Heading("the article's adapter"),
			Para("The article gives Python's requests an adapter that sets keepalive. It hands urllib3 a list of options, and that list *replaces* the default one, whose only entry is TCP_NODELAY. So it turns Nagle's delay on: some 44 ms for each write, write, read. Add to the list instead; `fix python` has the code."),
			Heading("HTTP keep-alive"),
			Para("The server keeps the connection for its idle limit, nginx 75 s and Node 5 s by default, and then closes first: it has the TIME-WAIT, the client has a CLOSE-WAIT until its pool notices. Let the client's idle limit be the shorter one. Otherwise requests race the FIN, and a balancer answers 502. `tcpvet probe http URL` measures the server's."),
			Para("nginx sets no SO_KEEPALIVE on the connections of its clients unless `so_keepalive=on` is in its `listen` line."),
			Heading("see it"),
			Commands{
				{Run: "ss -tno state established", Shows: "timer:(keepalive,TIME,N): on, TIME to the next probe, N unanswered. No timer on an idle one: off"},
				{Run: "nstat -asz TcpExtTCPKeepAlive TcpExtTCPAbortOnTimeout", Shows: "probes sent, and connections given up"},
			},
			Values{
				sysctl("net.ipv4.tcp_keepalive_time", "s"), sysctl("net.ipv4.tcp_keepalive_intvl", "s"), sysctl("net.ipv4.tcp_keepalive_probes", ""),
				keepaliveEnd(), counter("TcpExtTCPKeepAlive"), counter("TcpExtTCPAbortOnTimeout"),
			},
		},
		See:  []string{"tcp_keepalive_time", "fix python", "outside", "nagle", "tcp_retries2"},
		Refs: []string{"RFC 9293, section 3.8.4", "tcp(7)", "RFC 9112, section 9.3"},
	}
}

func nagleTopic() Topic {
	return Topic{
		Name:    "nagle",
		Aliases: []string{"TCP_NODELAY", "delayed ack", "nagle's algorithm", "nodelay"},
		Section: TCP,
		Title:   "why small writes may wait 40 ms",
		Body: []Block{
			Para("Nagle's algorithm: while a small segment is unconfirmed, no further small one is sent. It saves packets. The receiver meanwhile delays its ACK a little, in the hope of sending it with an answer."),
			Para("Together they wait for each other. A client that writes a header, writes a body and then reads the answer is stuck after the first write until the delayed ACK comes: 44 ms each time, measured, against 0.03 ms without."),
			Terms{
				{"TCP_NODELAY", "turns Nagle's algorithm off for a socket. Go sets it by itself, and so do requests and urllib3 in Python, and Node for HTTP."},
				{"one write", "is the better cure: put header and body into one buffer, or use writev()."},
			},
			Para("The article's adapter for requests turns TCP_NODELAY off by accident. See `keepalive`."),
			Heading("see it"),
			Commands{
				{Run: "nstat -asz TcpExtDelayedACKs", Shows: "ACKs that were delayed; on the receiving end it grows by one for each such wait"},
			},
			Values{counter("TcpExtDelayedACKs")},
		},
		See:  []string{"keepalive", "fix python"},
		Refs: []string{"RFC 9293, sections 3.7.4 and 3.8.6.3", "tcp(7), TCP_NODELAY"},
	}
}

const headerDrawing = `   0                   1                   2                   3
   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
  +-------------------------------+-------------------------------+
  |          source port          |       destination port        |
  +-------------------------------+-------------------------------+
  |                        sequence number                        |
  +---------------------------------------------------------------+
  |                     acknowledgment number                     |
  +-------+-----+-+-+-+-+-+-+-+-+-+-------------------------------+
  | data  | re- |A|C|E|U|A|P|R|S|F|                               |
  | offset|serv.|E|W|C|R|C|S|S|Y|I|            window             |
  |       |     | |R|E|G|K|H|T|N|N|                               |
  +-------+-----+-+-+-+-+-+-+-+-+-+-------------------------------+
  |           checksum            |        urgent pointer         |
  +-------------------------------+-------------------------------+
  |             options, if data offset is above 5                |
  +---------------------------------------------------------------+`

func segmentTopic() Topic {
	return Topic{
		Name:    "segment",
		Aliases: []string{"header", "tcp header", "flags", "tcp flags", "segment header", "mss"},
		Section: TCP,
		Title:   "what stands in the header of a segment",
		Body: []Block{
			Code{Text: headerDrawing},
			Terms{
				{"ports", "Together with the two IP addresses they name the connection."},
				{"sequence number", "The number of the first byte of data in this segment. SYN and FIN count as one byte each."},
				{"acknowledgment number", "The next byte that is expected: all before it have arrived. It counts only with ACK."},
				{"data offset", "The length of the header in words of 4 bytes: 5 without options, 15 at most."},
				{"window", "How many bytes the sender of this segment can take, scaled by an option of the handshake."},
				{"checksum", "Over header, data and parts of the IP header: a sum in ones' complement, not a CRC."},
				{"urgent pointer", "Where urgent data ends. Hardly anybody uses it."},
			},
			Heading("the flags"),
			Table{
				Head: []string{"flag", "tcpdump", "meaning"},
				Rows: [][]string{
					{"SYN", "S", "opens: here my sequence numbers begin"},
					{"ACK", ".", "the acknowledgment number counts; set on all but the first segment"},
					{"FIN", "F", "I send no more"},
					{"RST", "R", "there is no such connection (any more)"},
					{"PSH", "P", "give this to the program now"},
					{"URG", "U", "the urgent pointer counts"},
					{"ECE", "E", "a router marked congestion on the way to me; in a SYN: I can do that"},
					{"CWR", "W", "I have heard it and slowed down; in a SYN: part of the same offer"},
					{"AE", "", "with ECE and CWR, counts the marks more exactly"},
				},
			},
			Para("Many texts, the article too, know six flags: those from before congestion was marked. There are nine."),
			Heading("options that matter"),
			Terms{
				{"MSS", "The largest piece of data that this end wants in one segment. In SYNs only."},
				{"window scale", "By how many bits the window is shifted. In SYNs only."},
				{"timestamps", "A clock of each end. tcp_tw_reuse needs it."},
				{"SACK", "Which bytes beyond a gap have arrived."},
			},
			Heading("see it"),
			Commands{
				{Run: "tcpdump -nvS -i any tcp", Shows: "headers with absolute sequence numbers", Root: true, Waits: true},
				{Run: "ss -tin state established", Shows: "what was agreed: ts, sack, wscale, mss"},
			},
			Values{sysctl("net.ipv4.tcp_timestamps", ""), sysctl("net.ipv4.tcp_sack", ""), sysctl("net.ipv4.tcp_window_scaling", ""), sysctl("net.ipv4.tcp_ecn", "")},
		},
		See:  []string{"handshake", "close", "tcp_timestamps"},
		Refs: []string{"RFC 9293, section 3.1", "RFC 3168, section 6.1", "RFC 9768", "RFC 7323"},
	}
}
