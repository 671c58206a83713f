package fold

import "slices"

// bounded is a map that keeps the heaviest of its keys, after Misra and Gries:
// when it is full, the lighter half goes.
//
// lost is the bound that follows: a key that left and came again lacks at most
// the weight that it had when it left, and it can leave once per pruning, so no
// key that is heavier than lost can be missing, and none that is there lacks
// more than lost. With the default bound, a million sockets give a lost of a
// few dozen at the worst.
type bounded[K comparable, V any] struct {
	m      map[K]*V
	max    int
	weight func(*V) uint64
	fold   func(K, *V)
	lost   uint64
	folded uint64 // keys that left, counted each time
}

func newBounded[K comparable, V any](most int, weight func(*V) uint64, fold func(K, *V)) *bounded[K, V] {
	return &bounded[K, V]{m: make(map[K]*V), max: most, weight: weight, fold: fold}
}

// get gives the value of k, a new one where there was none.
func (b *bounded[K, V]) get(k K) *V {
	if v := b.m[k]; v != nil {
		return v
	}
	if len(b.m) >= b.max {
		b.prune()
	}
	v := new(V)
	b.m[k] = v
	return v
}

func (b *bounded[K, V]) prune() {
	weights := make([]uint64, 0, len(b.m))
	for _, v := range b.m {
		weights = append(weights, b.weight(v))
	}
	slices.Sort(weights)
	least := weights[(len(weights)-1)/2]
	for k, v := range b.m {
		if b.weight(v) <= least {
			b.fold(k, v)
			delete(b.m, k)
			b.folded++
		}
	}
	b.lost += least
}
