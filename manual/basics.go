package manual

import "github.com/tcpvet/tcpvet"

// basics gives the overviews.
func basics() []Topic {
	return []Topic{statesTopic(), errnosTopic(), causesTopic(), settingsTopic(), fixTopic(), outsideTopic(), articleTopic(), filterTopic(), conversationsTopic()}
}

const stateDrawing = `                    CLOSED  (ss: UNCONN)
        client       |    |        server
        connect()    |    |        listen()
        sends SYN    |    |
                     v    v
            SYN-SENT        LISTEN
               |               |  SYN arrives,
               |               |  SYN+ACK goes out
               |               v
   SYN+ACK     |            SYN-RECV
   arrives,    |               |  ACK arrives
   ACK goes    v               v
   out       +-------------------+
             |       ESTAB       |
             +-------------------+
   close() here:  |         |  the peer's FIN arrives:
   FIN goes out   |         |  ACK goes out
                  v         v
         FIN-WAIT-1         CLOSE-WAIT   <- stays until the
        /     |     \          |            program closes
  FIN  /  ACK |      \ FIN     |  close() here:
      v       v       \ +ACK   |  FIN goes out
 CLOSING   FIN-WAIT-2  \       v
      \       |         |   LAST-ACK
   ACK \  FIN |         |      |
        v     v         v      |  ACK arrives
       +-------------------+   |
       |     TIME-WAIT     |   |
       +-------------------+   |
                | 60 s         |
                v              v
             gone             gone`

func statesTopic() Topic {
	values := Values{}
	for _, s := range tcpvet.States {
		values = append(values, count(s))
	}
	return Topic{
		Name:    "states",
		Aliases: []string{"state", "state diagram", "tcp states"},
		Section: Basics,
		Title:   "the states of a TCP socket, and the way through them",
		Body: []Block{
			Para("Each end of a connection has a state of its own. Down the left runs the end that closes first, down the right the one that closes second. Which end that is has nothing to do with being client or server."),
			Code{Text: stateDrawing},
			Para("The two that fill up: **TIME-WAIT** at the end that closed first, for 60 s and then gone; **CLOSE-WAIT** at the end that should close second and does not, for ever."),
			Heading("what each holds, and what ends it"),
			Table{
				Head: []string{"state", "descriptor", "ends"},
				Rows: [][]string{
					{"LISTEN", "yes", "when the program closes it"},
					{"SYN-SENT", "yes", "about 135 s (tcp_syn_retries)"},
					{"SYN-RECV", "no", "63 s (tcp_synack_retries)"},
					{"ESTAB", "yes", "no limit"},
					{"FIN-WAIT-1", "no, after close()", "some 8 resends (tcp_orphan_retries)"},
					{"FIN-WAIT-2", "no, after close()", "60 s (tcp_fin_timeout); no limit while a process holds it"},
					{"CLOSING", "no, after close()", "as FIN-WAIT-1"},
					{"TIME-WAIT", "no", "60 s, compiled in"},
					{"CLOSE-WAIT", "yes", "no limit: the program must close"},
					{"LAST-ACK", "no, after close()", "as FIN-WAIT-1"},
					{"UNCONN", "yes", "no limit; holds no port"},
					{"BOUND-INACTIVE", "yes", "no limit; holds a port"},
				},
			},
			Para("All but UNCONN hold a local port at a client. At a server the connections share the port of the listener."),
			Heading("see it"),
			Commands{
				{Run: "tcpvet count", Shows: "sockets by state"},
				{Run: "ss -tanH | awk '{print $1}' | sort | uniq -c", Shows: "the same without tcpvet"},
			},
			values,
		},
		See:  []string{"handshake", "close", "time-wait or close-wait"},
		Refs: []string{"RFC 9293, section 3.3.2"},
	}
}
