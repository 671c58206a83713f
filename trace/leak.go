package trace

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Frames gives the calls of a stack of a process, innermost first.
type Frames func(tcpvet.Process, *Stack) []tcpvet.Frame

// mostLeaks bounds the groups that are kept. What comes after them is summed up by
// process, under the service "other".
const mostLeaks = 1 << 16

// leakKey is what sockets must have in common before their stacks are made readable.
type leakKey struct {
	holder, opener tcpvet.Process
	netns          tcpvet.NetnsID
	role           tcpvet.Role
	service        netip.AddrPort
	known          tcpvet.StackKnownBy
	stack          StackID
}

// leakSum is what is kept of them.
type leakSum struct {
	count, unsure uint64
	oldest        tcpvet.Age
	thread        string
	threads       bool // several names
}

// leaks gathers sockets in CLOSE-WAIT, as a look tells them.
type leaks struct {
	olderThan time.Duration
	since     time.Duration // when the openings began to be watched, 0 for never
	now       time.Duration // on the same clock
	complete  bool          // nothing was refused or missed

	sums    map[leakKey]*leakSum
	younger uint64
}

// add counts a socket, and who opened it, where ok tells that this is known.
func (l *leaks) add(s *tcpvet.Socket, o Opening, ok bool) {
	age, dated := s.Age()
	if ok && o.Waiting > 0 {
		d := max(l.now-o.Waiting, 0)
		age, dated = tcpvet.Age{Low: d, High: d, By: ageTraced}, true
	}
	if !dated {
		age.High = math.MaxInt64
	}
	if age.High < l.olderThan {
		l.younger++
		return
	}
	key := leakKey{holder: s.Holder, netns: s.Netns, role: s.Role, service: s.Service(), known: l.known(s, age, o, ok)}
	if ok {
		key.stack = o.Stack
		if o.Process != s.Holder {
			key.opener = o.Process
		}
	}
	sum := l.sums[key]
	if sum == nil && len(l.sums) >= mostLeaks {
		key = leakKey{holder: s.Holder, netns: s.Netns, role: s.Role, known: key.known}
		sum = l.sums[key]
	}
	if sum == nil {
		sum = &leakSum{thread: o.Comm}
		l.sums[key] = sum
	}
	sum.count++
	if age.Low < l.olderThan {
		sum.unsure++
	}
	if dated {
		sum.oldest = older(sum.oldest, age)
	}
	sum.threads = sum.threads || sum.thread != o.Comm
}

// ageTraced is that of a socket whose FIN was seen to come.
const ageTraced tcpvet.AgeSource = "traced"

// older gives the one of two ages that may be higher.
func older(a, b tcpvet.Age) tcpvet.Age {
	if a.By == "" || b.High > a.High || b.High == a.High && b.Low > a.Low {
		return b
	}
	return a
}

// known tells how the stack of a socket is known, or why it is not.
func (l *leaks) known(s *tcpvet.Socket, age tcpvet.Age, o Opening, ok bool) tcpvet.StackKnownBy {
	switch {
	case l.since == 0 || !s.Knows(tcpvet.FactCookie):
		return tcpvet.StackMissing
	case ok && o.Stack == 0:
		if o.NoRoom {
			return tcpvet.StackNoRoom
		}
		return tcpvet.StackUntraced // a thread of the kernel's
	case ok && o.Accepted:
		return tcpvet.StackAccept
	case ok:
		return tcpvet.StackConnect
	case age.Low > l.now-l.since:
		return tcpvet.StackBefore
	case s.Role == tcpvet.Client && l.complete:
		return tcpvet.StackBefore
	}
	// io_uring accepts without a call that is watched.
	return tcpvet.StackUntraced
}

// groups makes the stacks readable and puts together what then reads the same. stack
// gives what was kept of a stack.
func (l *leaks) groups(stack func(StackID) (Stack, bool), frames Frames) []tcpvet.Leak {
	type readable struct {
		leakKey
		text string
	}
	merged := make(map[readable]*tcpvet.Leak)
	for _, key := range l.ordered() {
		sum := l.sums[key]
		leak := tcpvet.Leak{
			Process: key.holder, Netns: key.netns, Role: key.role, Service: key.service, KnownBy: key.known, Opener: key.opener,
			Count: sum.count, Unsure: sum.unsure, Oldest: sum.oldest, Thread: sum.thread,
		}
		if sum.threads {
			leak.Thread = ""
		}
		same := readable{leakKey: key}
		same.stack = 0
		if k, ok := stack(key.stack); ok {
			fill(&leak, k, frames)
			same.text = identity(&leak)
		} else if key.stack != 0 {
			leak.KnownBy, same.known = tcpvet.StackNoRoom, tcpvet.StackNoRoom
		}
		into := merged[same]
		if into == nil {
			merged[same] = &leak
			continue
		}
		into.Count += leak.Count
		into.Unsure += leak.Unsure
		into.Oldest = older(into.Oldest, leak.Oldest)
		if into.Thread != leak.Thread {
			into.Thread = ""
		}
	}
	out := make([]tcpvet.Leak, 0, len(merged))
	for _, leak := range merged {
		out = append(out, *leak)
	}
	slices.SortFunc(out, byCount)
	return out
}

// ordered gives the keys, those of most sockets first: of stacks that read the same
// that of the most is shown.
func (l *leaks) ordered() []leakKey {
	keys := make([]leakKey, 0, len(l.sums))
	for key := range l.sums {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b leakKey) int {
		return cmp.Or(cmp.Compare(l.sums[b].count, l.sums[a].count), cmp.Compare(a.stack, b.stack))
	})
	return keys
}

// byCount puts the largest group first, and else the order is one that stays.
func byCount(a, b tcpvet.Leak) int {
	return cmp.Or(
		cmp.Compare(b.Count, a.Count), cmp.Compare(b.Oldest.High, a.Oldest.High),
		cmp.Compare(a.Process.PID, b.Process.PID), a.Service.Compare(b.Service),
		cmp.Compare(identity(&a), identity(&b)))
}

// fill makes a stack readable.
func fill(leak *tcpvet.Leak, k Stack, frames Frames) {
	at := leak.Process
	if leak.Opener != (tcpvet.Process{}) {
		at = leak.Opener
	}
	leak.Cut = k.Cut
	leak.Stack = frames(at, &k)
	if k.Creator > 1 {
		// The address of the instruction, not the one behind it, for it comes first.
		leak.Creator = userGoroutine(frames(at, &Stack{Addresses: []uint64{k.Creator - 1}}))
	}
	if len(k.Asker) > 0 {
		leak.Asker = requester(frames(at, &Stack{Addresses: k.Asker}))
	}
	leak.Note = behind(leak)
}

// userGoroutine gives nil for what the runtime itself starts: the main goroutine.
func userGoroutine(creator []tcpvet.Frame) []tcpvet.Frame {
	if len(creator) > 0 && strings.HasPrefix(creator[0].Symbol, "runtime.") {
		return nil
	}
	return creator
}

// requester gives the stack of a goroutine that waits for an http.Transport to connect,
// nil for that of any other: the transport may have been dialing for somebody else, who
// waited for a connection to become free.
func requester(stack []tcpvet.Frame) []tcpvet.Frame {
	for i := range stack {
		if strings.HasPrefix(stack[i].Symbol, "net/http.(*Transport).getConn") {
			return stack[i:]
		}
	}
	return nil
}

// identity is what two stacks of the same code have in common. Frames that are only
// likely may be left over from an earlier call, so they count only where no certain
// one tells of code outside of libraries.
func identity(leak *tcpvet.Leak) string {
	certain := false
	for i := range leak.Stack {
		f := &leak.Stack[i]
		certain = certain || f.Certainty == tcpvet.Certain && !f.Library()
	}
	var b strings.Builder
	for i := range leak.Stack {
		if f := &leak.Stack[i]; f.Certainty == tcpvet.Certain || !certain {
			writeFrame(&b, f)
		}
	}
	for _, more := range [][]tcpvet.Frame{leak.Creator, leak.Asker} {
		b.WriteByte('<')
		for i := range more {
			writeFrame(&b, &more[i])
		}
	}
	return b.String()
}

// writeFrame tells two frames apart by what people read, so that code which a compiler
// put in two places is one; and by the address where nothing else is known.
func writeFrame(b *strings.Builder, f *tcpvet.Frame) {
	if f.Line > 0 || f.Symbol != "" && f.File != "" {
		fmt.Fprintf(b, "%q %q %d\n", f.Symbol, f.File, f.Line)
		return
	}
	fmt.Fprintf(b, "%q %q %x\n", f.Symbol, f.Module, f.Address)
}
