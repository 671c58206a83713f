package manual

import "github.com/tcpvet/tcpvet"

const (
	fourLadder = `  closes first                              closes second
  ESTAB                                     ESTAB
  close()      --------- FIN ------------>
  FIN-WAIT-1                                CLOSE-WAIT
               <-------- ACK -------------
  FIN-WAIT-2                                read() returns 0
                                            close()
               <-------- FIN -------------  LAST-ACK
  TIME-WAIT    --------- ACK ------------>
  60 s, gone                                gone`

	threeLadder = `  close()      --------- FIN ------------>
  FIN-WAIT-1                                close() follows at once
               <------ FIN + ACK ---------  LAST-ACK
  TIME-WAIT    --------- ACK ------------>  gone`

	bothLadder = `  close()      --- FIN --.   .-- FIN ---    close()
  FIN-WAIT-1              \ /               FIN-WAIT-1
                           X
               <----------' '---------->
  CLOSING      --- ACK --.   .-- ACK ---    CLOSING
                          \ /
                           X
               <----------' '---------->
  TIME-WAIT                                 TIME-WAIT`

	halfLadder = `  shutdown()   --------- FIN ------------>
  FIN-WAIT-2   <-------- ACK -------------  CLOSE-WAIT
               <-------- data ------------  may still send
  reads it     --------- ACK ------------>
               <-------- FIN -------------  close(): LAST-ACK
  TIME-WAIT    --------- ACK ------------>  gone`

	resetLadder = `  close()      --------- RST ------------>  ECONNRESET
  gone                                      gone`

	firstLadder = `  client                                    server
  ESTAB        <-------- FIN -------------  exits: FIN-WAIT-1
  CLOSE-WAIT   --------- ACK ------------>  FIN-WAIT-2
  write() ok   --------- data ----------->  nobody reads any more
               <-------- RST -------------
  write(): EPIPE and SIGPIPE`
)

func closeTopic() Topic {
	return Topic{
		Name:    "close",
		Aliases: []string{"closing a connection", "teardown", "fin", "rst", "reset", "half-close", "simultaneous close", "four-way close", "shutdown"},
		Section: TCP,
		Title:   "how a connection ends, in four segments, three or one",
		Body: []Block{
			Para("Each direction is closed by itself: a FIN says \"I send no more\", and an ACK confirms it. So there are two FINs and two ACKs."),
			Code{Text: fourLadder},
			Para("The kernel sends the ACK by itself. The second FIN needs the program: as long as that does not close, one end stays in CLOSE-WAIT and the other in FIN-WAIT-2."),
			Heading("three segments"),
			Para("If the second end closes before its delayed ACK is due, FIN and ACK share one segment. Nothing is wrong with that."),
			Code{Text: threeLadder},
			Heading("both at once"),
			Para("Each sends its FIN before it has seen the other's. Both end in TIME-WAIT."),
			Code{Text: bothLadder},
			Heading("half closed"),
			Para("shutdown() for writing closes one direction and keeps the other. It is legal to stay so for ever, and no kernel setting ends it while the first end's process holds its socket."),
			Code{Text: halfLadder},
			Heading("an RST"),
			Para("It ends both directions at once, without TIME-WAIT, and what was in flight is lost. It comes from close() with unread data in the queue, from SO_LINGER 0, and as an answer to data for a connection that is gone."),
			Code{Text: resetLadder},
			Heading("the server goes first"),
			Para("The client's first write still succeeds, since its direction is open. Once the RST is back, the client's own kernel refuses the next one."),
			Code{Text: firstLadder},
			Heading("the last ACK is lost"),
			Para("The second end sends its FIN again, and TIME-WAIT answers again. That is what it is there for."),
			Heading("see it"),
			Commands{
				{Run: "tcpdump -ni any 'tcp[tcpflags] & (tcp-fin|tcp-rst) != 0'", Shows: "FIN and RST as they pass; Flags [F.] and [R]", Root: true, Waits: true},
				{Run: "nstat -asz TcpEstabResets TcpOutRsts TcpExtTCPAbortOnClose TcpExtTCPAbortOnData", Shows: "resets"},
			},
			Values{count(tcpvet.FinWait2), count(tcpvet.TimeWait), count(tcpvet.CloseWait), count(tcpvet.LastAck), sysctl("net.ipv4.tcp_fin_timeout", "s"), counter("TcpExtTCPAbortOnClose"), counter("TcpExtTCPAbortOnData")},
		},
		See:  []string{"states", "time-wait or close-wait", "linger", "ECONNRESET"},
		Refs: []string{"RFC 9293, sections 3.5.2, 3.6 and 3.6.1"},
	}
}

func lingerTopic() Topic {
	return Topic{
		Name:    "linger",
		Aliases: []string{"SO_LINGER", "l_onoff"},
		Section: TCP,
		Title:   "what close() does with data that is not sent yet",
		Body: []Block{
			Table{
				Head: []string{"SO_LINGER", "close()", "what happens to the data"},
				Rows: [][]string{
					{"off, the default", "returns at once", "the kernel goes on sending it, then the FIN"},
					{"on, n seconds", "waits until all is confirmed, at most n s, and returns 0 either way", "what is left after n s stays queued; the kernel goes on sending it"},
					{"on, 0 seconds", "returns at once", "thrown away; an RST goes out"},
				},
			},
			Para("With 0 there is no TIME-WAIT at either end, which makes it look like a cure. It is not one: the peer gets ECONNRESET, may lose data that it has not read, and nothing protects the next connection on these ports from old segments. Use it to throw out a misbehaving client, not to close in peace."),
			Para("The wait of n seconds does not report a failure: on Linux close() returns 0 after that time, with the data still queued. It also blocks on a socket that is set not to block. To be sure that the peer has everything, let it say so: shutdown() for writing, then read until the end."),
			Heading("see it"),
			Commands{
				{Run: "nstat -asz TcpExtTCPAbortOnData", Shows: "connections reset by SO_LINGER 0, or by data after close()"},
				{Run: "ss -tano state fin-wait-1", Shows: "connections that are closed and still send; timer:(persist,...) when the peer takes nothing"},
			},
			Values{counter("TcpExtTCPAbortOnData")},
		},
		See:  []string{"close", "TIME-WAIT", "FIN-WAIT-1"},
		Refs: []string{"socket(7), SO_LINGER", "net/ipv4/tcp.c, __tcp_close"},
	}
}

func reuseaddrTopic() Topic {
	return Topic{
		Name:    "reuseaddr",
		Aliases: []string{"SO_REUSEADDR", "SO_REUSEPORT", "reuseport"},
		Section: TCP,
		Title:   "when two sockets may have one port",
		Body: []Block{
			Terms{
				{"SO_REUSEADDR", "A server may listen on its port again while old connections are still on it, in TIME-WAIT for instance. Without it a restart fails with EADDRINUSE for up to 60 s. The old listener must have had it too: what it accepted has it from there. It does not allow two live listeners on one address and port."},
				{"SO_REUSEPORT", "Several sockets of one user listen on the same address and port, and the kernel spreads the connections over them. All of them must set it. Each has a queue of its own, so a process that hangs takes its share with it."},
				{"IP_BIND_ADDRESS_NO_PORT", "For clients: bind() to a source address without taking a port. The port comes with connect(), for that destination only."},
			},
			Para("None of these has to do with tcp_tw_reuse, which is about the port that connect() chooses."),
			Heading("see it"),
			Commands{
				{Run: "ss -tlnH", Shows: "listeners: one line for each member of a SO_REUSEPORT group"},
			},
			Values{count(tcpvet.Listen), count(tcpvet.TimeWait)},
		},
		See:  []string{"EADDRINUSE", "ports", "tcp_tw_reuse"},
		Refs: []string{"socket(7), SO_REUSEADDR and SO_REUSEPORT", "ip(7), IP_BIND_ADDRESS_NO_PORT"},
	}
}
