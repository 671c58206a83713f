package manual

// filterTopic is the language of the FILTER that verbs take.
func filterTopic() Topic {
	return Topic{
		Name:    "filter",
		Aliases: []string{"filters", "filter language", "expression"},
		Section: Basics,
		Title:   "how to say which sockets a command is about",
		Body: []Block{
			Para("A filter is written after the verb, as for `ss`, and can do more. Terms that stand side by side must all hold."),
			Heading("terms"),
			Table{
				Head: []string{"term", "holds for"},
				Rows: [][]string{
					{"`state X`, `exclude X`", "a state in any spelling, or `all`, `connected`, `synchronized`, `bucket`, `big` as in ss; several in a row are a union"},
					{"`src HOST`, `dst HOST`", "a local or remote address: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1:80`, `[2001:db8::1]:80`, `[fe80::1%2]:80`, `:80`"},
					{"`sport OP PORT`, `dport OP PORT`", "a local or remote port: `443`, `:443`, `:https`"},
					{"`recvq OP N`, `sendq OP N`", "the queues as the columns show them: bytes, and connections for a listener"},
					{"`age OP D`", "the time in the state, for ESTAB the time without data: `90s`, `5m`, `1h30m`"},
					{"`retrans OP N`", "segments or probes that were sent in vain"},
					{"`uid OP N`, `inode OP N`, `cookie OP N`, `cgroup OP N`", "the owner's number, and numbers of the kernel"},
					{"`role client`, `role server`", "the end that this socket is"},
					{"`timer X`", "the running timer: `on`, `off`, `keepalive`, `timewait`, `persist`"},
				},
			},
			Para("OP is one of `=`, `!=`, `<`, `>`, `<=`, `>=`, or `eq`, `ne`, `lt`, `gt`, `le`, `ge`. A shell takes `<`, `>`, `!`, `(` and `)` for itself: quote them."),
			Heading("joining terms"),
			Para("`not` binds tightest, then `and` (also `&`, or nothing at all), then `or` (also `|`). Parentheses group. ss itself reads `and` and `or` from left to right, so write parentheses where both shall understand the same."),
			Para("States that open the filter hold for all of it: `state close-wait src 10.0.0.1 or src 10.0.0.2` is about CLOSE-WAIT from either address."),
			Heading("what is not known"),
			Para("A term about something that the source did not tell is neither true nor false, and neither is its opposite. A socket without a known owner is in neither `uid = 0` nor `not uid = 0`."),
			Para("An IPv4 address also stands for the IPv6 sockets that carry it, `::ffff:10.0.0.1`."),
			Para("A link-local address stands for that address on every link, as in ss; `[fe80::1%2]` for the one on the interface with the number 2. `tcpvet ls` prints that number, `ss -n` the name, and reads neither."),
			Heading("examples"),
			Commands{
				{Run: "tcpvet ls state close-wait dst 10.0.3.7:8080", Shows: "what that service has closed and a program here has not"},
				{Run: "tcpvet ls state established 'age > 5m' timer off", Shows: "idle connections that no timer watches"},
				{Run: "tcpvet count --by process '( dport = :443 or dport = :8443 ) and not dst 127.0.0.0/8'", Shows: "who talks to HTTPS services elsewhere"},
			},
		},
		See:  []string{"states"},
		Refs: []string{"ss(8), section FILTER"},
	}
}
