package manual

import (
	"strconv"
	"strings"
)

// Verdict says how far a claim holds on Linux today.
type Verdict string

// The verdicts.
const (
	True     Verdict = "true"
	Partly   Verdict = "partly"   // right in the main and wrong in a point that matters, or half right
	False    Verdict = "false"    // wrong, or a method that proves nothing
	Outdated Verdict = "outdated" // was so once
)

// Claim is one statement of the article.
type Claim struct {
	N       int    // from 1, in the order of the article
	Says    string // the claim; running text
	Verdict Verdict
	Why     string   // running text, with figures
	Staged  []string // scenarios of the lab that prove or correct it
	Shown   Commands // what shows it on any host
	See     []string // topics
}

// Claims gives the statements of the article, in its order.
func Claims() []Claim {
	claims := append(claimsOnStates(), claimsOnCures()...)
	for i := range claims {
		claims[i].N = i + 1
	}
	return claims
}

func (c Claim) topic() Topic {
	n := strconv.Itoa(c.N)
	return Topic{
		Name:    claimName(c.N),
		Aliases: []string{"claim " + n, "article claim " + n},
		Section: Article,
		Part:    true,
		Title:   string(c.Verdict),
		Body: []Block{
			Terms{
				{"the article says", c.Says},
				{"verdict", "**" + string(c.Verdict) + "**. " + c.Why},
			},
			Heading("staged by"),
			staged(c.Staged),
			Heading("shown by"),
			c.Shown,
		},
		See: c.See,
	}
}

func staged(scenarios []string) Commands {
	var cs Commands
	for _, name := range scenarios {
		cs = append(cs, Command{Run: "tcpvet lab run " + name, Shows: "stages it on this kernel, in private namespaces"})
	}
	return cs
}

// article gives a page for each claim.
func article() []Topic {
	var topics []Topic
	for _, c := range Claims() {
		topics = append(topics, c.topic())
	}
	return topics
}

func articleTopic() Topic {
	table := Table{Head: []string{"", "the article says", "verdict", "why", "staged by"}}
	for _, c := range Claims() {
		table.Rows = append(table.Rows, []string{strconv.Itoa(c.N), c.Says, "**" + string(c.Verdict) + "**", c.Why, "`" + strings.Join(c.Staged, "` `") + "`"})
	}
	return Topic{
		Name:    "article",
		Aliases: []string{"the article", "claims", "article claims"},
		Section: Basics,
		Title:   "the text that tcpvet grew from, claim by claim",
		Body: []Block{
			Para("Around 2019 a Chinese blog told how a container could open no more connections: `[Errno 99] Cannot assign requested address`, with 27,352 sockets in CLOSE-WAIT. It explained the states of TCP, told TIME-WAIT from CLOSE-WAIT, and gave two cures for Python. Here it is called the article."),
			Para("In its main points it was right. CLOSE-WAIT is a fault of the program, no kernel setting cures it, and TCP keepalive is off unless the program asks for it. Many texts say otherwise to this day. In details it was wrong, or time has passed it by. Each claim was tried on Linux 6.18."),
			table,
			Para("`tcpvet explain article 9` shows one claim. `tcpvet lab run NAME` stages what proves or corrects it, on this kernel and in namespaces of its own."),
		},
		See: []string{"EADDRNOTAVAIL", "time-wait or close-wait", "keepalive"},
	}
}
