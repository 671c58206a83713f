package vet

import (
	"cmp"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// TupleUse is where the local ports of one tuple are, who has them, and how long
// they last. The zero Tuple.Remote stands for every tuple of the namespace.
type TupleUse struct {
	tcpvet.Tuple
	Headroom
	Ports   *tcpvet.Ports // never nil
	Budget  tcpvet.Budget // zero for a tuple without a connection
	Holders []Share       // the most first; without TIME-WAITs that would be reused now

	// Rest is how long a port stays in TIME-WAIT where this side closes first:
	// TimeWaitLength, or the delay of tcp_tw_reuse where Reused.
	Rest   time.Duration
	Reused bool

	agesKnown bool // of what is in CLOSE-WAIT and TIME-WAIT
}

// Scarce is the part of the ports below which growth by a quarter uses them up.
const Scarce = 0.20

// TupleUses works out the use of those tuples whose port range is known, in the
// order that they were given. They need not have a connection.
func TupleUses(c *tcpvet.Census, tuples ...tcpvet.Tuple) []TupleUse {
	room := NewRoom(c)
	holders := Holders(c, tuples...)
	uses := make([]TupleUse, 0, len(tuples))
	for _, t := range tuples {
		h, ok := room.Of(t)
		if !ok {
			continue
		}
		u := TupleUse{
			Tuple: t, Headroom: h, Ports: c.Netns[t.Netns].Ports, Holders: holders[t], Rest: tcpvet.TimeWaitLength,
		}
		if b := c.Tuples[t]; b != nil {
			u.Budget = *b
		}
		u.agesKnown = (u.Budget.Taken[tcpvet.CloseWait] == 0 || c.Facts.Has(tcpvet.FactInfo)) &&
			(u.Budget.Taken[tcpvet.TimeWait] == 0 || c.Facts.Has(tcpvet.FactTimer))
		if delay, on := ReuseDelay(c, t); on {
			u.Rest, u.Reused = max(delay, time.Millisecond), true
		}
		u.leaveOutReusable()
		uses = append(uses, u)
	}
	return uses
}

// AllTuples gives every tuple of the Census that has connections and was not
// folded, and one without an endpoint for each namespace in which connect() can
// choose no port at all, in the order of Tuple.Compare.
func AllTuples(c *tcpvet.Census) []tcpvet.Tuple {
	var all []tcpvet.Tuple
	room := NewRoom(c)
	for id := range c.Netns {
		if h, ok := room.Empty(id); ok && h.Left == 0 {
			all = append(all, tcpvet.Tuple{Netns: id})
		}
	}
	for t := range c.Tuples {
		if t.Remote.IsValid() {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, tcpvet.Tuple.Compare)
	return all
}

// Holders gives who has the connections of each of the tuples, the most first, in
// one pass over the groups. What a filter left out of the groups is not in it;
// TIME-WAITs that would be reused now are, under Nobody or who closed them.
func Holders(c *tcpvet.Census, tuples ...tcpvet.Tuple) map[tcpvet.Tuple][]Share {
	holders := make(map[tcpvet.Tuple][]Share, len(tuples))
	for _, t := range tuples {
		holders[t] = nil
	}
	for g, t := range c.Groups {
		if g.Role != tcpvet.Client {
			continue
		}
		key := tcpvet.Tuple{Netns: g.Netns, Local: g.Local, Remote: g.Service}
		if shares, ok := holders[key]; ok {
			holders[key] = append(shares, shareOf(g, t))
		}
	}
	for t, shares := range holders {
		sortShares(shares)
		shares = foldEnded(c, shares)
		sortShares(shares)
		holders[t] = shares
	}
	return holders
}

// shareOf gives the share of a group: of who holds its sockets, else of who closed them.
func shareOf(g tcpvet.Group, t *tcpvet.Tally) Share {
	if g.Holder == tcpvet.Nobody && g.Former != tcpvet.Nobody {
		return Share{Process: g.Former, Count: t.Total(), Former: true, reusable: uint64(t.Reusable)}
	}
	return Share{Process: g.Holder, Count: t.Total()}
}

// leaveOutReusable takes TIME-WAITs whose ports are not taken from who closed them,
// and the others from who has none of them: no process does.
func (u *TupleUse) leaveOutReusable() {
	rest := uint64(u.Budget.ReusableTimeWait)
	for i := range u.Holders {
		if h := &u.Holders[i]; h.Former {
			n := min(rest, h.reusable)
			h.Count, rest = h.Count-n, rest-n
		}
	}
	for i := range u.Holders {
		if h := &u.Holders[i]; !h.Former && !h.Process.Known() {
			n := min(rest, h.Count)
			h.Count, rest = h.Count-n, rest-n
		}
	}
	u.Holders = slices.DeleteFunc(u.Holders, func(s Share) bool { return s.Count == 0 })
	sortShares(u.Holders)
}

// FullestFirst orders by the part of the ports that is left, the least first.
func FullestFirst(uses []TupleUse) {
	slices.SortFunc(uses, func(a, b TupleUse) int {
		return cmp.Or(cmp.Compare(a.LeftRatio(), b.LeftRatio()), cmp.Compare(b.Taken, a.Taken), a.Tuple.Compare(b.Tuple))
	})
}

// States gives the states that take ports, the most frequent first.
func (u *TupleUse) States() []tcpvet.State { return TakenIn(&u.Budget) }

// TakenIn gives the states that take ports, the most frequent first.
func TakenIn(b *tcpvet.Budget) []tcpvet.State {
	var states []tcpvet.State
	for state, n := range b.Taken {
		if n > 0 {
			states = append(states, tcpvet.State(state))
		}
	}
	slices.SortStableFunc(states, func(a, o tcpvet.State) int { return cmp.Compare(b.Taken[o], b.Taken[a]) })
	return states
}

// Sustainable is how many connections a second the ports bear when this side
// closes first.
func (u *TupleUse) Sustainable() float64 { return float64(u.Choosable()) / u.Rest.Seconds() }

// Growth is how many connections came lately into the state that takes the ports:
// CLOSE-WAIT or TIME-WAIT, or 0 where none came.
type Growth struct {
	State tcpvet.State
	tcpvet.Births
}

// Growth gives the state which takes ports faster now. ok is false where the look
// could not tell how old sockets are.
func (u *TupleUse) Growth() (g Growth, ok bool) {
	leak, rest := u.Budget.CloseWaitBorn, u.Budget.TimeWaitBorn
	switch {
	case !u.agesKnown:
		return Growth{}, false
	case leak == tcpvet.Births{} && rest == tcpvet.Births{}:
		return Growth{}, true
	case u.leakRate() > 0 && u.leakRate() >= u.restGrowth(), leak.Last60s >= rest.Last60s:
		return Growth{tcpvet.CloseWait, leak}, true
	}
	return Growth{tcpvet.TimeWait, rest}, true
}

// How far back births are known, and the part of that which tells what comes now.
const (
	lately = 10 * time.Second
	before = tcpvet.TimeWaitLength - lately
)

// leakRate is how many ports a second go to CLOSE-WAIT for good: the slower of
// the two rates, for a burst after a quiet time does not go on. Where all are
// younger than 10 s they may be about to be closed.
func (u *TupleUse) leakRate() float64 {
	b := u.Budget.CloseWaitBorn
	if u.Budget.Taken[tcpvet.CloseWait] <= b.Last10s {
		return 0
	}
	return min(float64(b.Last10s)/lately.Seconds(), float64(b.Last60s)/tcpvet.TimeWaitLength.Seconds())
}

// restGrowth is how many ports a second more go into TIME-WAIT than come out of
// it: those of the last 10 s, less those that end next, which came before. It is
// below 0 where the load falls. Where ports are reused after a delay it is not known,
// and 0.
func (u *TupleUse) restGrowth() float64 {
	if u.Reused {
		return 0
	}
	b := u.Budget.TimeWaitBorn
	return float64(b.Last10s)/lately.Seconds() - float64(b.Last60s-b.Last10s)/before.Seconds()
}

// ExhaustedIn is in how long no port is left if all goes on as in the last 10 s,
// 0 where none is left now. ok is false where that is not in sight.
//
// For 50 s TIME-WAITs end that came at the earlier rate. Then those end that come
// at the rate of now, as many as come, and only CLOSE-WAIT takes more.
func (u *TupleUse) ExhaustedIn() (d time.Duration, ok bool) {
	if u.Left == 0 {
		return 0, true
	}
	const sight = 365 * Day
	left, leak := float64(u.Left), u.leakRate()
	first := leak + u.restGrowth()
	seconds := left / first
	if first <= 0 || seconds > before.Seconds() {
		if leak <= 0 {
			return 0, false
		}
		seconds = before.Seconds() + (left-first*before.Seconds())/leak
	}
	if seconds > sight.Seconds() {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
