package symbol

import "slices"

// step is one call of a stack: where it returns to.
type step struct {
	ret    uint64
	likely bool // found among the words of the stack, not by frame pointers
}

// code answers what a chain of calls needs to know of a process.
type code interface {
	// call tells whether ret lies in code and follows a call, and if so the
	// function that it calls, 0 where that is not known.
	call(ret uint64) (target uint64, ok bool)
	// function gives the first address of the function that holds a, 0 where
	// that is not known.
	function(a uint64) uint64
	// jumps tells whether the function that begins at from has a jump to the one
	// at to: it may end in a call that is none (a tail call).
	jumps(from, to uint64) bool
	// outermost tells whether nothing calls the function that holds a: threads
	// begin there.
	outermost(a uint64) bool
}

// maxSteps bounds a chain.
const maxSteps = 256

// chain puts together what frame pointers gave and what the words show. addresses
// begins with the instruction pointer.
//
// Code that was compiled without frame pointers hides its caller, or breaks the chain
// off, or leads it astray. The words hold each return address, in order, and also old
// ones that no longer mean anything. A word counts as one when it follows a call; it is
// passed over when a later one follows a call of just the function that is to be
// returned from, or of one that jumps there.
func chain(addresses, words []uint64, in code) []step {
	addresses = sound(addresses, in)
	if len(addresses) == 0 {
		return nil
	}
	steps := []step{{ret: addresses[0]}}
	at := 0 // in words: what lies before has been used up
	for _, a := range addresses[1:] {
		i := slices.Index(words[at:], a)
		if i < 0 {
			// Beyond what was copied of the stack. What was copied can
			// only belong before it, where the chain left it out.
			steps = fill(steps, words[at:], in, len(steps) == 1)
			at = len(words)
		} else {
			steps = fill(steps, words[at:at+i], in, len(steps) == 1)
			at += i + 1
		}
		if len(steps) >= maxSteps {
			return steps
		}
		steps = append(steps, step{ret: a})
	}
	return fill(steps, words[at:], in, true)
}

// sound cuts off what cannot be a chain of return addresses: from the first on that
// follows no call, frame pointers were not kept.
func sound(addresses []uint64, in code) []uint64 {
	for len(addresses) > 0 && !userAddress(addresses[0]) {
		addresses = addresses[1:]
	}
	for i, a := range addresses {
		if i == 0 {
			continue
		}
		if _, ok := in.call(a); !ok || i == maxSteps {
			return addresses[:i]
		}
	}
	return addresses
}

// fill appends the calls that words show. Between two frames that frame pointers
// connect only one that must be there is taken; where the chain is known to be open,
// open, every one that can be.
func fill(steps []step, words []uint64, in code, open bool) []step {
	type candidate struct{ ret, target uint64 }
	var found []candidate
	for _, w := range words {
		if !userAddress(w) {
			continue
		}
		if target, ok := in.call(w); ok {
			found = append(found, candidate{w, target})
		}
	}
	for len(found) > 0 && len(steps) < maxSteps {
		inner := in.function(steps[len(steps)-1].ret - 1)
		if in.outermost(steps[len(steps)-1].ret - 1) {
			break
		}
		next := -1
		if inner != 0 {
			next = slices.IndexFunc(found, func(c candidate) bool { return c.target == inner })
		}
		if next < 0 && inner != 0 {
			next = slices.IndexFunc(found, func(c candidate) bool { return c.target != 0 && in.jumps(c.target, inner) })
		}
		if next < 0 && open {
			// A call through a pointer may have led here, one of another
			// function by name has not: that is old.
			next = slices.IndexFunc(found, func(c candidate) bool { return c.target == 0 || inner == 0 })
		}
		if next < 0 {
			break
		}
		steps = append(steps, step{found[next].ret, true})
		found = found[next+1:]
	}
	return steps
}
