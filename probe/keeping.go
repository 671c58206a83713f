package probe

import (
	"slices"
	"time"
)

// Keeping is how long a server keeps an idle connection: it kept one for Survived,
// for a request was answered after that, and had given one up when Ended had passed.
type Keeping struct {
	Limit
	How    Ending // of the one that was given up first
	Status int    // with ByAnswer
	LastID uint32 // with ByGoAway
	Code   string // with ByGoAway

	OnlyAsked   bool          // nothing told of the end but the fate of a request
	Longest     time.Duration // another connection was kept so much longer; 0 for no such
	AtOnce      bool          // connections of different ages ended at the same moment
	FromOpening bool          // it counts from the opening: what was used meanwhile ended too
}

// Found tells that a connection was given up.
func (f *Keeping) Found() bool { return f.Ended > 0 }

// Keeping judges the connections. ok is false where nothing can be said: none was
// given up, and none was asked again.
func (h *HTTP) Keeping() (f Keeping, ok bool) {
	seen, asked := earliest(h.Kept, false), earliest(h.Kept, true)
	// A request that crossed the end of its connection says less than an end that
	// came by itself; but where requests found it long before, that is how it shows.
	first := seen
	if asked != nil && (seen == nil || gone(asked)+gone(asked)/2 < gone(seen)) {
		first, f.OnlyAsked = asked, true
	}
	if first != nil {
		f.How, f.Status, f.LastID, f.Code = first.How, first.Status, first.LastID, first.Code
	}
	for _, k := range []*Kept{seen, asked} {
		if k != nil && (f.Ended == 0 || gone(k) < f.Ended) {
			f.Ended = gone(k)
		}
	}
	for i := range h.Kept {
		if idle, answered := h.Kept[i].Survived(); answered && (f.Ended == 0 || idle < f.Ended) {
			f.Survived, ok = max(f.Survived, idle), true
		}
	}
	f.longest(h.Kept)
	if f.AtOnce = atOnce(h.Kept); !f.AtOnce {
		f.FromOpening = f.fromOpening(h.Kept)
	}
	return f, ok || f.Found()
}

// earliest gives the connection that was given up within the shortest time, of those
// of which it took a request to see that, or of the others; nil for none.
func earliest(kept []Kept, asked bool) (first *Kept) {
	for i := range kept {
		if _, by, ok := kept[i].Closed(); ok && by == asked && (first == nil || gone(&kept[i]) < gone(first)) {
			first = &kept[i]
		}
	}
	return first
}

func gone(k *Kept) time.Duration {
	within, _, _ := k.Closed()
	return within
}

// jitter is by how much alike times may differ for reasons that are not the
// server's.
func jitter(d time.Duration) time.Duration { return d/10 + 250*time.Millisecond }

// longest finds that the limit is not the same for all.
func (f *Keeping) longest(kept []Kept) {
	if !f.Found() {
		return
	}
	for i := range kept {
		k := &kept[i]
		idle, ok := k.Survived()
		if !ok && k.Ended > 0 && len(k.Exchanges) == 1 {
			idle, ok = k.idle(), true
		}
		if ok && idle > f.Ended+jitter(f.Ended) {
			f.Longest = max(f.Longest, idle)
		}
	}
}

// atOnce tells that at least three connections of ages that differ ended at the same
// moment: then something else than their age ended them.
func atOnce(kept []Kept) bool {
	const moment = 50 * time.Millisecond
	var ended, idle []time.Duration
	for i := range kept {
		if k := &kept[i]; k.Ended > 0 && len(k.Exchanges) == 1 {
			ended, idle = append(ended, k.Ended), append(idle, k.idle())
		}
	}
	return len(ended) >= 3 && slices.Max(ended)-slices.Min(ended) < moment && slices.Max(idle)-slices.Min(idle) > 6*moment
}

// fromOpening tells that the time runs from the opening, and a request in between
// does not begin it anew.
func (f *Keeping) fromOpening(kept []Kept) bool {
	if !f.Found() || f.OnlyAsked {
		return false
	}
	found := false
	for i := range kept {
		k := &kept[i]
		used, ok := k.Survived()
		if !ok || k.Exchanges[1].Close || used < f.Ended/5 || used > f.Ended-f.Ended/5 {
			continue
		}
		opened := k.Exchanges[0].Sent
		switch age := k.Ended - opened; {
		case k.Ended == 0 && k.Left-opened > f.Ended+jitter(f.Ended):
			return false // it outlived that
		case k.Ended == 0:
			continue // it was not watched for long enough
		case age > f.Ended+jitter(f.Ended) || age < f.Ended-jitter(f.Ended):
			return false // something else ended it
		}
		found = true
	}
	return found
}
