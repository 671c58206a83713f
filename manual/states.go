package manual

import "github.com/tcpvet/tcpvet"

// states gives a page for each state, in the order of a connection's life.
func states() []Topic {
	var topics []Topic
	for _, page := range [...]statePage{
		listen, synSent, synRecv, established,
		finWait1, finWait2, closingState, timeWait, closeWait, lastAck,
		unconn, boundInactive,
	} {
		topics = append(topics, page.topic())
	}
	return topics
}

// statePage is what the page of a state says. Every such page has the same
// parts.
type statePage struct {
	state    tcpvet.State
	spelled  []string // other spellings: netstat's, lsof's, RFC 9293's
	title    string
	meaning  string
	comesIn  string // which end, by which call or segment
	goesOut  string
	ender    string // who can end it
	lasts    string // and which setting rules that
	holds    string // descriptor
	port     string // local port
	many     string // what many of them mean
	todo     string
	seen     string // how ss, netstat, lsof and /proc/net/tcp show it
	commands Commands
	values   Values
	more     []Block
	see      []string
	refs     []string
}

func (p statePage) topic() Topic {
	body := []Block{
		Para(p.meaning),
		Terms{
			{"how a socket comes in", p.comesIn},
			{"how it goes out", p.goesOut},
			{"who can end it", p.ender},
			{"how long it lasts", p.lasts},
			{"descriptor", p.holds},
			{"local port", p.port},
			{"many of them", p.many},
			{"what to do", p.todo},
			{"where it shows", p.seen},
		},
	}
	body = append(body, p.more...)
	body = append(body, Heading("see it"), p.commands, append(Values{count(p.state)}, p.values...))
	return Topic{
		Name:    p.state.String(),
		Aliases: p.spelled,
		Section: States,
		Title:   p.title,
		Body:    body,
		See:     p.see,
		Refs:    p.refs,
	}
}
