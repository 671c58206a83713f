package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Rule is what a tunnel does to some segments, from when it was made until
// Remove.
type Rule struct {
	tunnel *Tunnel
	verb   string
	ask    func(*parcel) action

	matched int
	kept    []parcel
	news    chan struct{} // closed, and another made, with each match
}

// action is what a rule wants to become of a segment. pass leaves it to the
// older rules.
type action uint8

const (
	pass action = iota
	drop
	hold
	reset
)

// judge is called with the tunnel locked.
func (r *Rule) judge(p *parcel) action {
	act := r.ask(p)
	if act == pass {
		return pass
	}
	r.matched++
	if act == hold {
		r.kept = append(r.kept, *p)
	}
	close(r.news)
	r.news = make(chan struct{})
	return act
}

func (t *Tunnel) rule(verb string, ask func(*parcel) action) *Rule {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &Rule{tunnel: t, verb: verb, ask: ask, news: make(chan struct{})}
	t.rules = append(t.rules, r)
	return r
}

// to gives a rule that does one thing to what matches.
func to(act action, m Match) func(*parcel) action {
	return func(p *parcel) action {
		if m(&p.c) {
			return act
		}
		return pass
	}
}

// Drop loses the segments that match.
func (t *Tunnel) Drop(m Match) *Rule { return t.rule("drop", to(drop, m)) }

// Reset loses the segments that match, and answers their sender by an RST in the
// name of the receiver, as middleboxes do.
func (t *Tunnel) Reset(m Match) *Rule { return t.rule("answer", to(reset, m)) }

// Forgetting is what a middlebox does with segments of a flow that it has
// forgotten.
type Forgetting uint8

// The ways to do it.
const (
	Silently Forgetting = iota // it drops them
	ByReset                    // it answers them by an RST
)

// Forget makes the tunnel a middlebox that keeps a table of flows, and forgets
// one on which nothing crossed for so long. Only a SYN opens it anew; a flow that
// is older than the rule is known to it from its next segment on.
func (t *Tunnel) Forget(idle time.Duration, how Forgetting) *Rule {
	type flow struct{ low, high netip.AddrPort }
	seen := make(map[flow]time.Time)
	return t.rule("forget", func(p *parcel) action {
		f := flow{p.c.Segment.Src, p.c.Segment.Dst}
		if f.low.Compare(f.high) > 0 {
			f.low, f.high = f.high, f.low
		}
		now := time.Now()
		if last, known := seen[f]; known && now.Sub(last) > idle && !SYN(&p.c) {
			if how == ByReset && !RST(&p.c) {
				return reset
			}
			return drop
		}
		seen[f] = now
		return pass
	})
}

// Count gives how many segments the rule has taken.
func (r *Rule) Count() int {
	r.tunnel.mu.Lock()
	defer r.tunnel.mu.Unlock()
	return r.matched
}

// Wait waits until the rule has taken n segments; it gives up after Generous.
func (r *Rule) Wait(ctx context.Context, n int) error {
	patience := time.After(Generous)
	for {
		r.tunnel.mu.Lock()
		matched, news := r.matched, r.news
		r.tunnel.mu.Unlock()
		if matched >= n {
			return nil
		}
		select {
		case <-news:
		case <-patience:
			return fmt.Errorf("wait for segments to %s: %d of %d came in %s", r.verb, matched, n, Generous)
		case <-ctx.Done():
			return fmt.Errorf("wait for segments to %s: %w", r.verb, context.Cause(ctx))
		}
	}
}

// Remove ends the rule.
func (r *Rule) Remove() {
	r.tunnel.mu.Lock()
	defer r.tunnel.mu.Unlock()
	r.remove()
}

func (r *Rule) remove() {
	r.tunnel.rules = slices.DeleteFunc(r.tunnel.rules, func(o *Rule) bool { return o == r })
}

// Held is a rule that keeps segments back.
type Held struct{ *Rule }

// Hold keeps the segments that match, until Release or Discard.
func (t *Tunnel) Hold(m Match) Held { return Held{t.rule("hold", to(hold, m))} }

// Release sends what was kept on its way, in order, and ends the rule.
func (h Held) Release() {
	h.tunnel.mu.Lock()
	defer h.tunnel.mu.Unlock()
	h.remove()
	for _, p := range h.kept {
		for _, w := range h.tunnel.ways {
			if w.from == p.c.From {
				w.send(p)
			}
		}
	}
	h.kept = nil
}

// Discard loses what was kept, and ends the rule.
func (h Held) Discard() {
	h.tunnel.mu.Lock()
	defer h.tunnel.mu.Unlock()
	h.remove()
	for _, p := range h.kept {
		h.tunnel.lose(p, Dropped)
	}
	h.kept = nil
}

// Remove is Release: what a rule keeps is not to be lost by oversight.
func (h Held) Remove() { h.Release() }
