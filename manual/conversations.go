package manual

import "github.com/tcpvet/tcpvet"

// conversationsTopic says how to read what pcap and capture print.
func conversationsTopic() Topic {
	rows := make([][]string, len(noteTexts))
	for i, n := range noteTexts {
		rows[i] = []string{"`" + string(n.kind) + "`", n.saw, n.do}
	}
	return Topic{
		Name:    "conversations",
		Aliases: []string{"conversation", "captures", "notes"},
		Section: Basics,
		Title:   "how to read what pcap and capture say of a connection",
		Body: []Block{
			Para("`tcpvet pcap FILE` and `tcpvet capture -i IF` follow both ends of each connection through its states, segment by segment, and print a line for each."),
			Heading("columns"),
			Terms{
				{"open", "`handshake`; `refused` and `unanswered`, where no connection came of it; `midstream`, where it was open when the capture began; `simultaneous`, where both ends sent a SYN."},
				{"close", "`four-way` (FIN, ACK, FIN, ACK), `three-way` (the second FIN carries the ACK), `simultaneous` (each FIN was sent before the other was seen), `reset`, `half-closed` (one end has closed, the other has not), `none`."},
				{"first", "who sent the first FIN, or the RST where there was no FIN. That end keeps the TIME-WAIT."},
				{"close-wait", "how long the end that closed second was in CLOSE-WAIT: from the ACK of the FIN to its own FIN. With `>` it is in it still."},
				{"rtt", "from the last SYN to its SYN-ACK, as they passed the place of the capture: at the server it is the server's time alone."},
				{"notes", "what is worth saying. With `?` it is likely, for the wire does not decide it; `-o jsonl` has what else it could be."},
			},
			Heading("notes"),
			Table{Head: []string{"note", "what was seen", "what to do"}, Rows: rows},
			Heading("what the place of the capture decides"),
			Para("A segment that passed need not have arrived. A SYN or FIN counts as received when the other end's own ACK shows it; an RST counts if its receiver would believe it (RFC 5961)."),
			Para("Errors that come before any packet are in no capture: `connect()` fails with EADDRNOTAVAIL, EADDRINUSE or EMFILE without a segment. For those look at the sockets: `tcpvet diagnose`."),
			Heading("examples"),
			Commands{
				{Run: "tcpvet pcap day.pcap --summary", Shows: "a line for each service"},
				{Run: "tcpvet pcap day.pcap --conversation 3", Shows: "one conversation as a ladder, with the states of both ends"},
				{Run: "tcpvet pcap day.pcap --packets -o wide", Shows: "every field of every TCP header"},
				{Run: "tcpvet capture -i any --filter 'dport = :8080'", Shows: "the conversations with port 8080 from now on", Root: true, Waits: true},
			},
		},
		See:  []string{"states", "errnos", "close-wait-leak"},
		Refs: []string{"RFC 9293 sections 3.3.2, 3.5, 3.6 and 3.8.4", "RFC 5961 section 3, blind resets", "pcap(3), tcpdump(8)"},
	}
}

// noteTexts explain every kind of note, in the order in which a connection
// meets them.
var noteTexts = []struct {
	kind    tcpvet.NoteKind
	saw, do string
}{
	{tcpvet.NoteRefused, "an RST for the SYN", "start the server, or mend the port: nothing listens there"},
	{tcpvet.SYNUnanswered, "SYNs, and nothing back", "look for a firewall that drops, a host that is gone, or a full accept queue at the server"},
	{tcpvet.PortReused, "a new SYN between the same ports while a TIME-WAIT was left", "nothing, if it was answered: the kernel allows it with timestamps. If it was not, open fewer connections"},
	{tcpvet.NagleDelayedACK, "a small segment that waited for a delayed ACK, again and again", "set TCP_NODELAY, or write once in place of twice"},
	{tcpvet.ZeroWindow, "a receiver that could take no more", "look at that program: it reads more slowly than the other writes"},
	{tcpvet.KeepaliveUnanswered, "keepalive probes without an answer, and no end yet", "wait: after the last probe the prober gives up. The peer, or the path, is gone"},
	{tcpvet.KeepaliveTimeout, "probes without an answer, then an RST by the prober", "nothing at this end: keepalive did its work. Look for what happened to the peer"},
	{tcpvet.KeepaliveReset, "a probe answered by an RST", "nothing at this end: the peer had forgotten the connection, as after a restart"},
	{tcpvet.UserTimeout, "an RST by the sender while its data or a probe went unanswered, earlier than keepalive alone would", "look for what happened to the peer; TCP_USER_TIMEOUT is what gave up"},
	{tcpvet.MiddleboxDrop, "data after a silence that was sent again and again and never acknowledged", "send keepalive probes more often than the NAT or firewall between forgets idle connections"},
	{tcpvet.MiddleboxReset, "an RST that does not look like the other segments of its sender", "ask who is between: a firewall, proxy or balancer ended it"},
	{tcpvet.HTTPIdleClose, "a server that closed a connection which was idle since its last response", "keep idle connections in the client's pool for less than that"},
	{tcpvet.CloseWaitStuck, "a FIN that was acknowledged, and no FIN in return", "close the connection in the program of that end: see `tcpvet explain close-wait-leak`"},
	{tcpvet.HalfCloseData, "data against a FIN", "nothing: that is what shutdown() is for"},
	{tcpvet.NoteSimultaneous, "FINs that crossed", "nothing: both ends keep a TIME-WAIT"},
	{tcpvet.LostLastACK, "a FIN that came again after its ACK had passed", "nothing: TIME-WAIT is there to answer it"},
	{tcpvet.DataAfterClose, "data for an end that had closed, answered by an RST", "look at the writer: its peer had finished. Its next write fails with EPIPE"},
	{tcpvet.AbortUnreadData, "an RST by an end that had data in its receive queue", "read to the end before close()"},
	{tcpvet.LingerZeroReset, "an RST in place of a FIN, with nothing unread", "take SO_LINGER with 0 out, unless the peer may lose data"},
	{tcpvet.KilledInCloseWait, "an RST by an end that was in CLOSE-WAIT", "ask who killed the process or its socket: `ss -K` and a crash look alike"},
}
