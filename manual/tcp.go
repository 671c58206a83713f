package manual

import "github.com/tcpvet/tcpvet"

// tcp gives the pages on how connections live and end.
func tcp() []Topic {
	return []Topic{
		handshakeTopic(), closeTopic(), differenceTopic(), portsTopic(), keepaliveTopic(),
		lingerTopic(), reuseaddrTopic(), nagleTopic(), segmentTopic(),
	}
}

const handshakeLadder = `  client                                    server
                                            LISTEN
  connect()
  SYN-SENT     -------- SYN seq=j ------->
                                            SYN-RECV
               <-- SYN seq=k, ACK=j+1 ----
  ESTAB
  connect()    -------- ACK=k+1 --------->
  returns                                   ESTAB, in the queue
                                            accept() takes it`

func handshakeTopic() Topic {
	return Topic{
		Name:    "handshake",
		Aliases: []string{"open", "three-way handshake", "connect", "accept queue", "backlog"},
		Section: TCP,
		Title:   "how a connection opens, in three segments",
		Body: []Block{
			Code{Text: handshakeLadder},
			Para("Each end tells the other where its sequence numbers begin, and each confirms that: SYN, SYN with ACK, ACK. Two of the four messages fit into one segment, so three are enough."),
			Para("The kernels do all of it. The server's program is not asked: a connection is open, and the client may send, before anybody has called accept(). It waits in the accept queue of the listener."),
			Heading("how it fails"),
			Table{
				Head: []string{"what comes back", "connect() says", "why"},
				Rows: [][]string{
					{"RST", "ECONNREFUSED", "nobody listens there"},
					{"nothing", "ETIMEDOUT, after about 135 s", "dropped on the way, host down, or accept queue full"},
					{"ICMP unreachable", "EHOSTUNREACH, ECONNREFUSED", "a router or firewall says no"},
					{"(no SYN sent)", "EADDRNOTAVAIL", "no local port or address: see `ports`"},
					{"(no SYN sent)", "ENETUNREACH", "no route"},
				},
			},
			Heading("a full accept queue"),
			Para("When the program accepts too slowly the queue fills up to its limit, the smaller of the number given to listen() and `net.core.somaxconn`. Then the kernel ignores new SYNs. Clients see a timeout and blame the network."),
			Heading("see it"),
			Commands{
				{Run: "ss -tln", Shows: "Recv-Q: how many wait; Send-Q: the most that may"},
				{Run: "tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0'", Shows: "the first two segments of each", Root: true, Waits: true},
			},
			Values{sysctl("net.ipv4.tcp_syn_retries", ""), sysctl("net.core.somaxconn", ""), counter("TcpActiveOpens"), counter("TcpPassiveOpens"), counter("TcpAttemptFails"), counter("TcpExtListenOverflows")},
		},
		See:  []string{"SYN-SENT", "SYN-RECV", "LISTEN", "segment"},
		Refs: []string{"RFC 9293, section 3.5"},
	}
}

func differenceTopic() Topic {
	return Topic{
		Name:    "time-wait or close-wait",
		Aliases: []string{"time-wait vs close-wait", "close-wait vs time-wait", "close-wait or time-wait", "difference", "time-wait close-wait"},
		Section: TCP,
		Title:   "two states that fill up, and need opposite cures",
		Body: []Block{
			Table{
				Head: []string{"", "TIME-WAIT", "CLOSE-WAIT"},
				Rows: [][]string{
					{"who closed first", "this end", "the peer"},
					{"what it waits for", "old segments to die out", "the program here to call close()"},
					{"lasts", "60 s", "for ever"},
					{"held by", "the kernel alone", "the program"},
					{"descriptor", "no", "yes"},
					{"port at a client", "yes", "yes"},
					{"means", "many short connections", "a bug: connections are forgotten"},
					{"in a graph", "follows the load up and down", "goes up, and down only at a restart"},
					{"cure", "use connections again; tcp_tw_reuse", "code that closes: see `fix`"},
					{"a sysctl helps", "at a client, yes", "no"},
				},
			},
			Para("Both take local ports at a client, so both end in EADDRNOTAVAIL. That is why they are so often taken for each other."),
			Para("Look at both ends. A CLOSE-WAIT here is a FIN-WAIT-2 over there, for as long as the other kernel keeps it."),
			Heading("see it"),
			Commands{
				{Run: "tcpvet count", Shows: "how many of each"},
				{Run: "ss -tanH | awk '{print $1}' | sort | uniq -c", Shows: "the same without tcpvet"},
			},
			Values{count(tcpvet.TimeWait), count(tcpvet.CloseWait), count(tcpvet.FinWait2)},
		},
		See: []string{"TIME-WAIT", "CLOSE-WAIT", "close", "fix"},
	}
}

func portsTopic() Topic {
	return Topic{
		Name:    "ports",
		Aliases: []string{"port", "port range", "local ports", "ephemeral ports", "ports-exhausted"},
		Section: TCP,
		Title:   "how many connections to one destination there can be",
		Body: []Block{
			Para("A connection is known by four things: local address, local port, remote address, remote port. A client mostly has one address, and the server is given, so only the local port is left to tell its connections apart. The kernel takes it from the local port range."),
			Heading("the arithmetic"),
			Code{Text: "ports        60999 - 32768 + 1           = 28,232\nheadroom     28,232 - reserved - taken to this destination\nper second   28,232 / 60 s (TIME-WAIT)   =  470.5\nwith reuse   28,232 /  1 s               = 28,232"},
			List{
				"The sum is for one network namespace, local address, remote address and remote port. Another destination has all the ports again.",
				"At 470 connections per second, each closed here first, the oldest TIME-WAIT ends just as the newest begins. Above that the ports run out, in however long it takes.",
				"A leak has no such balance: each CLOSE-WAIT takes a port for good.",
				"A NAT or balancer that opens the connections in your name has a limit of its own, for all its clients together.",
			},
			Heading("what takes ports without a connection"),
			List{
				"`net.ipv4.ip_local_reserved_ports` inside the range.",
				"bind() before connect(), with port 0: one range for all destinations, and EADDRINUSE at its end. IP_BIND_ADDRESS_NO_PORT gives the range back to each.",
				"Sockets that are bound and do nothing, and listeners inside the range.",
			},
			Heading("how to get more"),
			List{
				"Use connections again. This is worth more than all the rest.",
				"More destinations: a second address or port of the server doubles the number.",
				"More source addresses.",
				"`tcp_tw_reuse`, against TIME-WAIT only.",
				"A wider range, up to about twice the default.",
			},
			Heading("how many there are left"),
			Para("`tcpvet budget` counts them for each tuple: what the range has, what is reserved or kept by bind(), what connections have taken, in which state and whose, and in how long none is left if it goes on so. `tcpvet budget --plan 500/s` says which of the above would carry that rate, with the sums. They rest on the 60 s of a TIME-WAIT: the 235 a second that one reads are 28,232 / 120 s, and no Linux waits for 120 s."),
			Heading("see it"),
			Commands{
				{Run: "tcpvet budget", Shows: "ports taken and left, by destination"},
				{Run: "tcpvet budget 10.0.3.7:8080 --plan 500/s", Shows: "what would carry 500 connections a second"},
				{Run: "tcpvet diagnose", Shows: "destinations that are short of ports"},
				{Run: "ss -tanH dst 10.0.3.7:8080 | wc -l", Shows: "sockets to one destination; put your own in"},
				{Run: "ss -tanH state connected | awk '{sub(/:[0-9]+$/, \"\", $4); print $4, $5}' | sort | uniq -c | sort -rn | head", Shows: "sockets by local address and remote endpoint"},
			},
			Values{portRange(), sustainable(), sysctl("net.ipv4.tcp_tw_reuse", ""), reused()},
		},
		See:  []string{"EADDRNOTAVAIL", "ip_local_port_range", "TIME-WAIT", "tcp_tw_reuse"},
		Refs: []string{"Documentation/networking/ip-sysctl.rst, ip_local_port_range", "net/ipv4/inet_hashtables.c, __inet_hash_connect"},
	}
}
