package tcpvet

import (
	"fmt"
	"strings"
)

// PlanKind says what a plan changes.
type PlanKind uint8

// The kinds.
const (
	KeepalivePlan PlanKind = iota + 1 // keepalive and the user timeout of sockets
	ClosePlan                         // sockets, which it closes
	SysctlPlan                        // settings of the kernel
	RunPlan                           // what new sockets of a program or a cgroup begin with
)

var planWords = [...]string{"none", "keepalive", "close", "sysctl", "run"}

// String gives the kind's word.
func (k PlanKind) String() string { return planWords[min(int(k), len(planWords)-1)] }

// ParsePlanKind reads the word of a kind.
func ParsePlanKind(word string) (PlanKind, error) {
	for k := KeepalivePlan; k <= RunPlan; k++ {
		if planWords[k] == word {
			return k, nil
		}
	}
	return 0, fmt.Errorf("parse kind of plan %.40q: expected one of %s", word, strings.Join(planWords[1:], " "))
}

// Plan is what is to be changed, or what became of it.
type Plan struct {
	ID      string // of the journal; "" while only a plan
	Undoes  string // the ID of what it undoes, "" for none
	Kind    PlanKind
	Risk    Risk
	Changes []Change
	Notes   []string // what it will not do, what it costs, its harm: sentences
	Gaps    []Gap
}

// Tally counts the changes by outcome.
func (p *Plan) Tally() map[Outcome]int {
	n := make(map[Outcome]int)
	for i := range p.Changes {
		n[p.Changes[i].Outcome]++
	}
	return n
}

// Pending tells whether a change is yet to be tried.
func (p *Plan) Pending() bool {
	for i := range p.Changes {
		if p.Changes[i].Outcome == OutcomePlanned {
			return true
		}
	}
	return false
}

// maxSummary is how many settings or runs a summary names.
const maxSummary = 3

// Summary says in one line what the plan is about: "10,000 sockets of 2
// processes", "net.ipv4.tcp_tw_reuse 2 -> 1".
func (p *Plan) Summary() string {
	var parts []string
	sockets, holders, unnamed := 0, map[Process]bool{}, 0
	for i := range p.Changes {
		switch c := &p.Changes[i]; {
		case c.Target.Cookie != 0:
			sockets++
			if c.Target.Holder.Known() {
				holders[c.Target.Holder] = true
			}
		case len(parts) < maxSummary:
			parts = append(parts, c.summary())
		default:
			unnamed++
		}
	}
	if sockets > 0 {
		parts = append(parts, counted(sockets, "socket", "sockets"))
		if len(holders) > 0 {
			parts[len(parts)-1] += " of " + counted(len(holders), "process", "processes")
		}
	}
	if unnamed > 0 {
		parts = append(parts, fmt.Sprintf("%d more", unnamed))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Thousands(n) + " " + many
}

// Thousands writes a number as people read it: "12,001".
func Thousands(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
