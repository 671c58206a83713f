package trace

import "testing"

// As many cookies as a batch may have, that collide or not: each is found, and no other.
func TestWanted(t *testing.T) {
	for _, step := range []uint64{1, 2 * batchRecords, 1<<40 + 3} {
		w := new(wanted)
		for round := range 2 {
			for i := range uint64(batchRecords) {
				w.add(1 + i*step)
				w.add(1 + i*step)
				if step == 2*batchRecords && i == 300 { // all at one place
					break
				}
			}
			n := len(w.sockets)
			if n != batchRecords && n != 301 {
				t.Fatalf("%d are noted", n)
			}
			for i := range uint64(n) {
				if h := w.find(1 + i*step); h != &w.sockets[i].holder {
					t.Fatalf("round %d: number %d is not found", round, i)
				}
			}
			if w.find(1+uint64(n)*step) != nil || w.find(0) != nil {
				t.Error("what was not noted is found")
			}
			w.clear()
			if w.find(1) != nil || len(w.sockets) != 0 {
				t.Error("what was cleared is found")
			}
		}
	}
}
