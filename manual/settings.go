package manual

// settingPage is what the page of a kernel setting says.
type settingPage struct {
	name     string // without its folder: "tcp_tw_reuse"
	full     string // "net.ipv4.tcp_tw_reuse"
	gone     bool   // no current kernel has it
	title    string
	unit     string // of its value, "" for none
	standard string // its default
	does     string
	doesNot  string
	when     string // when to change it
	more     []Block
	commands Commands
	values   Values
	see      []string
	refs     []string
}

func settings() []Topic {
	var topics []Topic
	for _, page := range settingPages() {
		topics = append(topics, page.topic())
	}
	return topics
}

func settingPages() []settingPage {
	return []settingPage{
		localPortRange, localReservedPorts, twReuse, twReuseDelay, twRecycle, maxTwBuckets,
		finTimeout, conntrackTimeWait, conntrackMax, timestamps,
		keepaliveTime, keepaliveInterval, keepaliveProbes,
		synRetries, retries2, somaxconn, maxSynBacklog, abortOnOverflow, maxOrphans, orphanRetries,
	}
}

func (p settingPage) topic() Topic {
	terms := Terms{
		{"what it does", p.does},
		{"what it does not do", p.doesNot},
		{"default", p.standard},
		{"when to change it", p.when},
	}
	t := Topic{
		Name:    p.name,
		Aliases: []string{p.full},
		Section: Settings,
		Title:   p.title,
		Body:    append([]Block{terms}, p.more...),
		See:     p.see,
		Refs:    p.refs,
	}
	if p.gone {
		return t
	}
	commands := append(Commands{{Run: "sysctl -e " + p.full, Shows: "the value in this namespace; nothing where the kernel does not have it"}}, p.commands...)
	values := append(Values{sysctl(p.full, p.unit)}, p.values...)
	t.Body = append(t.Body, Heading("see it"), commands, values)
	return t
}

func settingsTopic() Topic {
	table := Table{Head: []string{"setting", "what it is about", "default"}}
	var values Values
	for _, p := range settingPages() {
		table.Rows = append(table.Rows, []string{p.name, p.title, p.standard})
		if !p.gone {
			values = append(values, sysctl(p.full, p.unit))
		}
	}
	return Topic{
		Name:    "settings",
		Aliases: []string{"sysctl", "sysctls"},
		Section: Basics,
		Title:   "the kernel's settings that matter for connections",
		Body: []Block{
			Para("Most of these belong to a network namespace: a container has its own, and starts with the defaults of the kernel, whatever the host has set. Read them where the program runs."),
			table,
			Heading("before you change one"),
			List{
				"No setting cures CLOSE-WAIT. None makes TIME-WAIT shorter.",
				"A wider port range or a longer queue buys time, and hides the cause while it lasts.",
				"`sysctl -w` holds until the next boot, a file in `/etc/sysctl.d` from then on.",
			},
			values,
		},
		See:  []string{"tcp_tw_reuse", "ports", "keepalive"},
		Refs: []string{"Documentation/networking/ip-sysctl.rst", "tcp(7)"},
	}
}
