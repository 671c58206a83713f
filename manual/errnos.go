package manual

import "strconv"

// errnoPage is what the page of an error says.
type errnoPage struct {
	name     string // "EADDRNOTAVAIL"
	number   int    // on x86 and ARM
	message  string // of glibc
	musl     string // of Alpine's C library, where it differs
	aliases  []string
	title    string
	meaning  []string
	causes   []cause
	more     []Block
	commands Commands
	values   Values
	see      []string
	refs     []string
}

// cause is one reason for an error. Its word is from the vocabulary that the
// documents of tcpvet share; "" where that has none.
type cause struct{ word, call, tell string }

func errnos() []Topic {
	var topics []Topic
	for _, page := range errnoPages() {
		topics = append(topics, page.topic())
	}
	return topics
}

func errnoPages() []errnoPage {
	return []errnoPage{
		addrNotAvail, addrInUse, connRefused, timedOut, netUnreach, hostUnreach,
		inval, again, mfile, connReset, pipe, connAborted,
	}
}

func (p errnoPage) topic() Topic {
	n := strconv.Itoa(p.number)
	t := Topic{
		Name:    p.name,
		Aliases: append([]string{n, "errno " + n, "error " + n, "os error " + n, p.message}, p.aliases...),
		Section: Errnos,
		Title:   p.title,
		See:     p.see,
		Refs:    p.refs,
	}
	said := "Number " + n + ". The C library calls it \"" + p.message + "\""
	if p.musl != "" {
		t.Aliases = append(t.Aliases, p.musl)
		said += ", that of Alpine \"" + p.musl + "\""
	}
	t.Body = append(t.Body, Para(said+"."))
	for _, s := range p.meaning {
		t.Body = append(t.Body, Para(s))
	}
	table := Table{Head: []string{"cause", "call", "how to tell"}}
	for _, c := range p.causes {
		word := "-"
		if c.word != "" {
			word = "`" + c.word + "`"
		}
		table.Rows = append(table.Rows, []string{word, c.call, c.tell})
	}
	t.Body = append(t.Body, Heading("what causes it, and how to tell"), table)
	t.Body = append(t.Body, p.more...)
	t.Body = append(t.Body, Heading("see it"), p.commands)
	if len(p.values) > 0 {
		t.Body = append(t.Body, p.values)
	}
	return t
}

func errnosTopic() Topic {
	table := Table{Head: []string{"error", "number", "in short"}}
	for _, p := range errnoPages() {
		table.Rows = append(table.Rows, []string{p.name, strconv.Itoa(p.number), p.title})
	}
	return Topic{
		Name:    "errnos",
		Aliases: []string{"errno", "errors", "error"},
		Section: Basics,
		Title:   "why a call on a socket failed",
		Body: []Block{
			Para("Paste the message behind `tcpvet explain`, and the right page comes. The numbers are those of Linux on x86 and ARM."),
			table,
			Heading("three things to know first"),
			List{
				"EADDRNOTAVAIL, EADDRINUSE, EMFILE and the EAGAIN of UDP come before any packet is sent. A capture shows nothing, and no counter of the kernel moves; `tcpvet trace --failures` shows those of TCP.",
				"A limit that the program set itself (\"i/o timeout\", \"timed out\") is not the kernel's ETIMEDOUT. It has the same causes and comes earlier.",
				"The same error has several causes. The pages say what tells them apart.",
			},
		},
		See:  []string{"causes", "EADDRNOTAVAIL"},
		Refs: []string{"errno(3), connect(2), bind(2)"},
	}
}

func causesTopic() Topic {
	return Topic{
		Name:    "causes",
		Aliases: []string{"cause"},
		Section: Basics,
		Title:   "the words for why a connection failed",
		Body: []Block{
			Para("An errno alone does not name the cause. These words do. tcpvet uses them wherever it explains a failure."),
			Table{
				Head: []string{"word", "errors", "meaning"},
				Rows: [][]string{
					{"`ports-exhausted`", "EADDRNOTAVAIL, for UDP EAGAIN", "every local port is taken for this destination"},
					{"`reserved-ports`", "EADDRNOTAVAIL, EADDRINUSE", "the reserved ports cover the whole range"},
					{"`bound-ports`", "EADDRINUSE, EADDRNOTAVAIL", "sockets that bind() put there keep the port, or all ports: bind() with port 0 shares one range among all destinations, and connect() chooses no bound port"},
					{"`tuple-exists`", "EADDRNOTAVAIL, EADDRINUSE", "a connection with the same four numbers is alive"},
					{"`address-not-local`", "EADDRNOTAVAIL", "this namespace does not have the source address"},
					{"`ipv6-disabled`", "EADDRNOTAVAIL", "IPv6 is off here, and the target is an IPv6 address, often `::1` for localhost"},
					{"`loopback-down`", "EADDRNOTAVAIL, for IPv4 ENETUNREACH", "the interface lo is down in this namespace"},
					{"`no-source-address`", "EADDRNOTAVAIL, EHOSTUNREACH, ETIMEDOUT", "there is a route, and no address that may be used as the source; where lo is up the kernel takes `::1`, and nothing comes back"},
					{"`source-scope`", "EINVAL", "bound to a loopback address, and the target lies elsewhere"},
					{"`no-route`", "ENETUNREACH, EHOSTUNREACH, EINVAL, EACCES, EADDRNOTAVAIL", "the routing table has no way there, or forbids it"},
					{"`refused`", "ECONNREFUSED", "the host is there, and nobody listens"},
					{"`reset`", "ECONNRESET, EPIPE", "an RST came"},
					{"`timed-out`", "ETIMEDOUT", "nobody answered"},
					{"`descriptor-limit`", "EMFILE", "the process may open no more descriptors"},
					{"`name-not-found`", "none: the resolver's own", "the name has no address, so no connection was tried"},
					{"`unknown`", "any", "what was seen does not decide it"},
				},
			},
			Para("`tcpvet why HOST:PORT` tries to connect as a program would, in its place if need be, and says which of these it is, with the proof. `tcpvet trace --failures` says it of each call that fails while it runs, whosever it is. A name that is not found is no call of TCP, so that it does not see those."),
			Commands{
				{Run: "tcpvet why 127.0.0.1:8080", Shows: "why a connection fails, or how much room is left"},
				{Run: "tcpvet why localhost:8080 --pid PID", Shows: "the same, with the names and the network of a process"},
				{Run: "tcpvet trace --failures", Shows: "each call that fails on this host, and why", Root: true, Waits: true},
			},
		},
		See: []string{"errnos", "ports"},
	}
}
