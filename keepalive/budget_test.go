package keepalive

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var somewhere = tupleKey{remote: netip.MustParseAddrPort("192.0.2.7:443")}

// account is a Budget as dials see it, without a kernel.
func account(b Budget) *budgets {
	all := newBudgets(b)
	all.table = nil
	return all
}

// Of ten ports, ten dials a minute go on when each is closed at once: no sooner than
// 60 s after the first close comes the eleventh.
func TestRestsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := account(Budget{Ports: 10, MaxWait: time.Hour})
		began := time.Now()
		for i := range 35 {
			a := &attempt{budget: b, began: time.Now()}
			if err := a.take(somewhere); err != nil {
				if err := b.wait(t.Context(), a, somewhere); err != nil {
					t.Fatal(err)
				}
			}
			a.won(nil) // closed as soon as it was open
			if got, want := time.Since(began), time.Duration(i/10)*time.Minute; got < want || got > want+time.Second {
				t.Errorf("dial %d after %v, want %v", i+1, got, want)
			}
		}
	})
}

// In no minute more ports are taken than there are, whatever comes; and none is lost.
func TestNeverMoreThanPorts(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ports := rapid.IntRange(1, 8).Draw(r, "ports")
		dials := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 40).Draw(r, "gaps in seconds")
		fails := rapid.SliceOfN(rapid.Bool(), len(dials), len(dials)).Draw(r, "fails")
		synctest.Test(t, func(*testing.T) {
			b := account(Budget{Ports: ports, MaxWait: 24 * time.Hour})
			var mu sync.Mutex
			var taken []time.Time
			var all sync.WaitGroup
			for i, gap := range dials {
				time.Sleep(time.Duration(gap) * time.Second)
				all.Go(func() {
					a := &attempt{budget: b, began: time.Now()}
					if err := a.take(somewhere); err != nil {
						if err := b.wait(context.Background(), a, somewhere); err != nil {
							r.Errorf("dial %d: %v", i, err)
							return
						}
					}
					if fails[i] {
						a.lost()
						return
					}
					a.won(nil)
					mu.Lock()
					defer mu.Unlock()
					taken = append(taken, time.Now())
				})
			}
			all.Wait()
			for i := range taken {
				if i >= ports && taken[i].Sub(taken[i-ports]) < time.Minute {
					r.Errorf("%d ports: dials %d and %d within %v", ports, i-ports, i, taken[i].Sub(taken[i-ports]))
				}
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			account := b.tuples[somewhere]
			if account.dialling != 0 || len(account.queue) != 0 {
				r.Errorf("left behind: %+v", account)
			}
		})
	})
}

// Who waits longest goes first.
func TestFirstCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := account(Budget{Ports: 1, MaxWait: time.Hour})
		order := make(chan int, 10)
		for i := range 10 {
			go func() {
				a := &attempt{budget: b, began: time.Now()}
				if err := a.take(somewhere); err != nil {
					if err := b.wait(t.Context(), a, somewhere); err != nil {
						t.Error(err)
					}
				}
				order <- i
				a.lost()
			}()
			synctest.Wait()
			if i == 0 {
				b.mu.Lock() // keeps the port until all have come
				b.tuples[somewhere].others = 1
				b.mu.Unlock()
			}
		}
		b.mu.Lock()
		b.tuples[somewhere].others = 0
		b.mu.Unlock()
		for i := range 10 {
			if got := <-order; got != i {
				t.Fatalf("%d came, want %d", got, i)
			}
		}
	})
}

// Destinations that have nothing open are forgotten.
func TestForgetsDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := account(Budget{Ports: 10})
		for i := range 10 * leastPrune {
			a := &attempt{budget: b}
			key := tupleKey{remote: netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:80", i/250, i%250))}
			if err := a.take(key); err != nil {
				t.Fatal(err)
			}
			a.lost()
		}
		if n := len(b.tuples); n > leastPrune {
			t.Errorf("%d are kept", n)
		}
	})
}

// A dial that is granted a port as it gives up gives it back.
func TestGrantedTooLate(t *testing.T) {
	b := account(Budget{Ports: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := 0
	for range 200 { // select takes either
		a := &attempt{budget: b, began: time.Now()}
		if b.wait(ctx, a, somewhere) != nil {
			late++
		}
		a.lost()
		if n := b.tuples[somewhere].taken(); n != 0 {
			t.Fatalf("%d ports are taken by nobody", n)
		}
	}
	if late == 0 {
		t.Error("no dial gave up in 200")
	}
}

// The kernel is not asked again at once, and not forever left alone.
func TestAsksRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := account(Budget{})
		asked := 0
		b.table = func(tupleKey) (taken, error) {
			asked++
			return taken{usable: 1, open: 1}, nil
		}
		for second := range 3 {
			for range 100 {
				b.mu.Lock()
				b.refresh(b.of(somewhere))
				b.mu.Unlock()
			}
			if asked != second+1 {
				t.Errorf("asked %d times in %d s, want once a second", asked, second)
			}
			time.Sleep(time.Second)
		}
	})
}
