package lab

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// Crossing is a segment that crossed an interface or a tunnel, or was to.
type Crossing struct {
	Segment capture.Segment
	Step    capture.Step // what it did to its conversation; zero where it did not arrive
	Fate    Fate
	From    *Host // who sent it, in a tunnel; nil on an interface
}

// Fate is what became of a segment under way.
type Fate uint8

// The fates.
const (
	Passed Fate = iota
	Dropped
	Answered // by an RST of the tunnel, and not passed
	Forged   // made by the tunnel
)

// String gives the fate's word.
func (f Fate) String() string {
	return [...]string{"passed", "dropped", "answered", "forged"}[f]
}

// arrived tells whether the segment came to its destination.
func (c *Crossing) arrived() bool { return c.Fate == Passed || c.Fate == Forged }

// Recording is what crossed, so far: the latest segments, and the conversations
// that they make. Its methods may be called at any time, by any goroutine.
type Recording struct {
	mu      sync.Mutex
	crossed []Crossing
	tracker *capture.Tracker
	news    chan struct{} // closed, and another made, with each segment
	failure error         // why nothing more comes
}

// mostCrossings bounds how many segments are kept.
const mostCrossings = 8192

func newRecording() *Recording {
	r := &Recording{news: make(chan struct{})}
	r.tracker = capture.NewTracker(tracking, func(*tcpvet.Conversation) error { return nil })
	return r
}

var tracking = capture.TrackerOptions{Dated: true, MaxOpen: mostCrossings}

// add records a segment, of which it keeps what it refers to.
func (r *Recording) add(c Crossing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.arrived() {
		c.Step, _ = r.tracker.Add(&c.Segment) // its errors are those of tell
	} else {
		c.Step.SeqBase, c.Step.AckBase = r.bases(&c.Segment)
	}
	if len(r.crossed) == mostCrossings {
		r.crossed = slices.Delete(r.crossed, 0, mostCrossings/2)
	}
	r.crossed = append(r.crossed, c)
	close(r.news)
	r.news = make(chan struct{})
}

// bases gives the first numbers of a conversation, as its latest segment has
// them; for a first one its own.
func (r *Recording) bases(s *capture.Segment) (seq, ack uint32) {
	for _, c := range slices.Backward(r.crossed) {
		switch {
		case c.Segment.Src == s.Src && c.Segment.Dst == s.Dst:
			return c.Step.SeqBase, c.Step.AckBase
		case c.Segment.Src == s.Dst && c.Segment.Dst == s.Src:
			if s.Flags.Has(capture.SYN) {
				return s.Seq, c.Step.SeqBase
			}
			return c.Step.AckBase, c.Step.SeqBase
		}
	}
	return s.Seq, s.Ack
}

func (r *Recording) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = err
	close(r.news)
	r.news = make(chan struct{})
}

// Segments gives those that are kept, in the order in which they crossed.
func (r *Recording) Segments() []Crossing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.crossed)
}

// Select gives the segments that match.
func (r *Recording) Select(m Match) []Crossing {
	var chosen []Crossing
	for _, c := range r.Segments() {
		if m(&c) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// Wait waits until n segments that match have crossed, and gives them; it gives
// up after Generous. m is asked about each segment again and again.
func (r *Recording) Wait(ctx context.Context, n int, m Match) ([]Crossing, error) {
	patience := time.After(Generous)
	for {
		r.mu.Lock()
		news, failure := r.news, r.failure
		r.mu.Unlock()
		chosen := r.Select(m)
		switch {
		case len(chosen) >= n:
			return chosen[:n], nil
		case failure != nil:
			return chosen, fmt.Errorf("wait for segments: %d of %d have crossed: %w", len(chosen), n, failure)
		}
		select {
		case <-news:
		case <-patience:
			return chosen, fmt.Errorf("wait for segments: %d of %d have crossed in %s", len(chosen), n, Generous)
		case <-ctx.Done():
			return chosen, fmt.Errorf("wait for segments: %w", context.Cause(ctx))
		}
	}
}

// Conversations gives those that the segments which are kept make, in the order
// of their first segments, open ones too.
func (r *Recording) Conversations() []*tcpvet.Conversation {
	var told []*tcpvet.Conversation
	t := capture.NewTracker(tracking, func(c *tcpvet.Conversation) error {
		told = append(told, c)
		return nil
	})
	// The errors are those of the function above.
	for _, c := range r.Segments() {
		if c.arrived() {
			_, _ = t.Add(&c.Segment)
		}
	}
	_ = t.Finish()
	slices.SortFunc(told, func(a, b *tcpvet.Conversation) int { return a.Number - b.Number })
	return told
}
