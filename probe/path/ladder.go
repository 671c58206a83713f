package path

import (
	"math"
	"time"
)

// Least is the shortest time for which a connection can be left idle: TCP_KEEPIDLE
// counts in seconds, and the kernel sends no probe earlier.
const Least = time.Second

const (
	rungs = 10
	// stretch is how far the longest lies from the shortest: 5 s for 6 min, which is
	// below every limit that is heard of.
	stretch = 64
	// spares are the connections that tell more of the limit once one was lost.
	spares = 8
)

// Ladder gives for how long to leave connections idle: rising by a constant factor, so
// that a limit is enclosed with the same precision wherever it lies.
func Ladder(most time.Duration) []time.Duration {
	first := max(most/stretch, Least)
	if first >= most {
		return []time.Duration{most}
	}
	factor := math.Pow(float64(most)/float64(first), 1/float64(rungs-1))
	steps := make([]time.Duration, rungs)
	at := float64(first)
	for i := range steps {
		steps[i] = time.Duration(at).Round(time.Millisecond)
		at *= factor
	}
	steps[rungs-1] = most
	return steps
}

// offsets gives how much later than the others the spare connections are opened. When
// the first one is lost they have been idle for between the last step that survived and
// the one that did not, and all are asked at once: so a second round, as long as the
// first, is not needed. They lie closer together near the beginning, for limits that
// show early, where the steps are small.
func offsets(steps []time.Duration) []time.Duration {
	gap, before := steps[0], time.Duration(0)
	for _, s := range steps {
		gap, before = max(gap, s-before), s
	}
	out := make([]time.Duration, spares)
	for i := range out {
		part := float64(i+1) / (spares + 1)
		out[i] = time.Duration(float64(gap) * part * part)
	}
	return out
}
