package path

import (
	"testing"
	"time"
)

// Wherever the limit lies, the step that finds it and the spare connections enclose it
// within a fifth; 20 connections are enough for all.
func TestLadder(t *testing.T) {
	for _, most := range []time.Duration{time.Second, 1500 * time.Millisecond, 2 * time.Second, 6 * time.Second, time.Minute, 6 * time.Minute, 24 * time.Hour} {
		steps := Ladder(most)
		spare := offsets(steps)
		if steps[0] < Least || steps[len(steps)-1] != most || len(steps)+1+len(spare)+1 > 20 {
			t.Errorf("%v: %v, %v", most, steps, spare)
		}
		before := time.Duration(0)
		for n, s := range steps {
			if s <= before {
				t.Errorf("%v: %v comes after %v", most, s, before)
			}
			// The ages at which something is known once this step is lost.
			low, ages := before, []time.Duration{s}
			for _, o := range spare {
				if age := s - o; age > low {
					ages = append(ages, age)
				}
			}
			ages = append(ages, low)
			for k := 1; k < len(ages); k++ {
				if high, low := ages[k-1], ages[k]; n > 0 && float64(high-low) > 0.2*float64(high) && s > most/8 {
					t.Errorf("%v: a limit between %v and %v would be told no better", most, low, high)
				}
			}
			before = s
		}
		for k := 1; k < len(spare); k++ {
			if spare[k] <= spare[k-1] {
				t.Errorf("%v: spare connections at %v", most, spare)
			}
		}
	}
}
