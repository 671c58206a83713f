package manual

import "github.com/tcpvet/tcpvet"

// fixes gives the pages on code, one for each language or server.
func fixes() []Topic {
	return []Topic{fixPython(), fixGo(), fixJava(), fixNode(), fixPHP(), fixRuby(), fixC(), fixRust(), fixCurl(), fixNginx(), fixApache()}
}

func fixTopic() Topic {
	table := Table{Head: []string{"topic", "about"}}
	for _, t := range fixes() {
		table.Rows = append(table.Rows, []string{"`" + t.Name + "`", t.Title})
	}
	return Topic{
		Name:    "fix",
		Aliases: []string{"fixes", "cure", "leak"},
		Section: Basics,
		Title:   "how programs leak connections, and how to stop it",
		Body: []Block{
			Para("CLOSE-WAIT goes away when the program that holds the socket closes it. So the cure is in its code, and the code is nearly always one of these:"),
			List{
				"A client object, session or pool is made for each request and kept. Make one for the whole program.",
				"A response is not read to its end, or not closed, above all on the path of an error. Close it in the construct that the language has for that.",
				"A server's handler waits for something else and does not read, so it never learns that the client has gone. Give every wait a time limit.",
				"A read that returns 0, the end, is taken for \"nothing yet\".",
				"A child process has inherited the socket. It stays open until the last holder closes it, so the parent's close() sends nothing. Open sockets with SOCK_CLOEXEC.",
			},
			Heading("find the place"),
			List{
				"Recv-Q of the CLOSE-WAITs tells the kind: 1 is an idle or forgotten connection, 0 an end that was read and not acted on, more is a body that nobody drains.",
				"The remote address tells which client of the program it is.",
				"The age of the oldest one tells when it began: compare it with the releases.",
			},
			table,
			Heading("until it is repaired"),
			Para("A restart gives back everything. `tcpvet fix close` and `ss -K` give back ports and leave the descriptors. Keepalive likewise (`tcpvet fix keepalive`, `tcpvet run`). Each of these buys hours, not a cure: `tcpvet explain outside`."),
			Heading("see it"),
			Commands{
				{Run: "tcpvet diagnose", Shows: "who leaks, toward whom, how fast, of which kind"},
				{Run: "tcpvet count --by process,state", Shows: "what each process holds"},
				{Run: "tcpvet fix close --pid PID --state close-wait --older-than 5m", Shows: "plans to close them from outside; put the process in", Root: true},
				{Run: "ss -Ktn state close-wait dst 10.0.3.7:8080", Shows: "destroys those sockets; put your destination in", Root: true, Changes: true},
			},
			Values{count(tcpvet.CloseWait)},
		},
		See:  []string{"CLOSE-WAIT", "outside", "keepalive", "time-wait or close-wait"},
		Refs: []string{"close(2)", "fcntl(2), FD_CLOEXEC"},
	}
}
