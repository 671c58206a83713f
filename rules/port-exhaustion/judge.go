package portexhaustion

import (
	"maps"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// shortage is a tuple that runs out.
type shortage struct {
	vet.Headroom
	tuple    tcpvet.Tuple
	budget   *tcpvet.Budget
	severity tcpvet.Severity
	kind     string
	holders  []vet.Share // who holds its ports, the most first
	unsure   bool        // whether the reusable TIME-WAITs are reused decides whether the ports last
	peer     bool        // that takes timestamps at another host too
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	now := &c.Now
	room := vet.NewRoom(now)
	var findings []tcpvet.Finding
	closed := make(map[tcpvet.NetnsID]bool) // namespaces that have no port for anybody
	for id := range now.Netns {
		if h, ok := room.Empty(id); ok && h.Left == 0 {
			closed[id] = true
			findings = append(findings, noPorts(now, id, h))
		}
	}
	short := make(map[tcpvet.Tuple]*shortage)
	for t, b := range now.Tuples {
		if !t.Remote.IsValid() || closed[t.Netns] {
			continue // folded tuples are small ones
		}
		h, ok := room.Of(t)
		if !ok {
			continue
		}
		s := &shortage{Headroom: h, tuple: t, budget: b}
		if h.Taken > 0 {
			s.severity, s.kind = grade(h)
		}
		if _, on := vet.ReuseDelay(now, t); on && s.severity < tcpvet.Critical && s.ifNotReused() < gone && (away(now, t) || !reused(now, t.Netns)) {
			s.unsure, s.peer = true, away(now, t)
			if s.severity == 0 {
				s.severity, s.kind = tcpvet.Info, "reuse-unsure"
			}
		}
		if s.severity != 0 {
			short[t] = s
		}
	}
	largest, others := vet.Cut(worstFirst(short), named)
	for _, s := range others {
		delete(short, s.tuple)
	}
	if len(short) > 0 {
		blame(now, short)
	}
	for _, s := range largest {
		findings = append(findings, s.finding(now))
	}
	if len(others) > 0 {
		findings = append(findings, rest(now, others))
	}
	return findings
}

// size is the first number of the finding.
func (s *shortage) size() int {
	if s.kind == "reuse-unsure" {
		return int(s.budget.ReusableTimeWait)
	}
	return s.Taken
}

// likely tells that the finding is not certain.
func (s *shortage) likely(c *tcpvet.Census) bool {
	return s.kind == "reuse-unsure" || s.stateless(c) || s.stamped(c) || s.undecided(c)
}

// stateless tells that which TIME-WAITs are reused is not known at all.
func (s *shortage) stateless(c *tcpvet.Census) bool {
	return s.holds(tcpvet.TimeWait, leaking) && !vet.ReuseKnown(c, s.tuple.Netns)
}

// stamped tells that TIME-WAITs which count as taken may be reused.
func (s *shortage) stamped(c *tcpvet.Census) bool {
	return s.holds(tcpvet.TimeWait, leaking) && vet.StampsUnsure(c, s.tuple)
}

// undecided tells that what was folded may make the shortage a worse one.
func (s *shortage) undecided(c *tcpvet.Census) bool {
	h := s.Headroom
	h.Left -= int(min(c.TupleError, uint64(h.Left)))
	_, kind := grade(h)
	return s.kind != "reuse-unsure" && kind != s.kind
}

func grade(h vet.Headroom) (tcpvet.Severity, string) {
	switch left := h.LeftRatio(); {
	case h.Left == 0:
		return tcpvet.Critical, "exhausted"
	case left < gone:
		return tcpvet.Critical, "nearly-exhausted"
	case left < scarce:
		return tcpvet.Warning, "low"
	case left < half:
		return tcpvet.Warning, "slow-connects"
	}
	return 0, ""
}

// ifNotReused is the part of the ports that is left if no TIME-WAIT is reused.
func (s *shortage) ifNotReused() float64 {
	return float64(s.without()) / float64(s.Usable())
}

// without is how many ports are left if no TIME-WAIT is reused.
func (s *shortage) without() int { return max(s.Left-int(s.budget.ReusableTimeWait), 0) }

// away tells that the peer is not this kernel, whose settings are known.
func away(c *tcpvet.Census, t tcpvet.Tuple) bool {
	remote := t.Remote.Addr()
	if t.Local.IsLoopback() || remote.IsLoopback() || remote == t.Local {
		return false
	}
	return !slices.ContainsFunc(c.Netns[t.Netns].Addresses, func(a tcpvet.Address) bool { return a.Prefix.Addr() == remote })
}

// reused tells that the kernel has given ports in TIME-WAIT to new connections of the
// namespace: both ends of those had timestamps, so where both ends are this kernel's
// there is no reason for doubt.
func reused(c *tcpvet.Census, ns tcpvet.NetnsID) bool { return c.Netns[ns].Counters[recycled] > 0 }

// blame finds who holds the ports.
func blame(c *tcpvet.Census, short map[tcpvet.Tuple]*shortage) {
	holders := vet.Holders(c, slices.Collect(maps.Keys(short))...)
	for t, s := range short {
		s.holders = holders[t]
	}
}

// states gives the states that hold ports, the most frequent first.
func (s *shortage) states() []tcpvet.State { return vet.TakenIn(s.budget) }

// holds tells whether the state holds that part of the ports in use.
func (s *shortage) holds(state tcpvet.State, part float64) bool {
	return float64(s.budget.Taken[state]) >= part*float64(s.Taken+s.Blocked)
}

// boundMost tells that bind() keeps more ports than the connections take.
func (s *shortage) boundMost() bool { return s.Blocked > s.Taken }
