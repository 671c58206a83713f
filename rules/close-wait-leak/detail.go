package closewaitleak

import (
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// detail says the whole in sentences: how much, what kind, what runs out, whose.
func (j *judgement) detail(l *leak) []string {
	d := []string{j.opening(l)}
	d = append(d, l.kinds()...)
	if l.filesFirst() {
		d = append(d, j.fileText(l)...)
		d = append(d, j.portText(l)...)
	} else {
		d = append(d, j.portText(l)...)
		d = append(d, j.fileText(l)...)
	}
	d = append(d, j.holderText(l)...)
	if l.Role == tcpvet.Client {
		return append(d, "No sysctl cures this; a wider range only delays it.")
	}
	return append(d, "No sysctl cures this; a higher limit only delays it.")
}

// opening says how many, how fast and since when.
func (j *judgement) opening(l *leak) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The peer closed %s and ", vet.AtLeastCounted(j.Now.GroupError, l.count(), "connection"))
	switch {
	case l.unaccepted && l.count() == 1:
		b.WriteString("it was never accepted: it waits in the listener's queue, without a descriptor.")
	case l.unaccepted:
		b.WriteString("they were never accepted: they wait in the listener's queue, without a descriptor.")
	case l.owner.Known():
		b.WriteString("this process never did.")
	case j.undecided(l):
		b.WriteString("this side never did.")
	default:
		b.WriteString("their process never did.")
	}
	var parts []string
	switch g := l.growth; {
	case j.Before != nil && g.over > 0:
		parts = append(parts, fmt.Sprintf("%s more in the %s between two looks (%s)", j.grownBy(g.count), vet.Duration(g.over), vet.PerSecond(g.perSecond())))
	case j.Before != nil:
		parts = append(parts, j.grownBy(g.count)+" more than at the look before")
	case l.aged() && l.vague() && j.Before == nil:
		parts = append(parts, "How many came lately is not known: "+l.veil()+" may hide it")
	case g.over > 0 && g.count > 0:
		parts = append(parts, vet.Rate(g.count, g.over))
	case g.over > 0:
		parts = append(parts, "None in the last "+vet.Duration(g.over))
	}
	if o := l.Oldest; o != nil {
		parts = append(parts, "the oldest "+vet.Ago(o.Age.Low, o.Age.High))
	}
	if len(parts) > 0 {
		fmt.Fprintf(&b, " %s.", strings.Join(parts, "; "))
	}
	switch {
	case !l.aged():
		b.WriteString(" How long they have waited is not in this input, so all of them count as old.")
	case l.hidden && l.older == 0:
		fmt.Fprintf(&b, " %s of them may be older than %s: %s may hide since when.", vet.Count(l.maybe), vet.Duration(j.Patience), l.veil())
	case l.hidden:
		fmt.Fprintf(&b, " %s of them surely, and %s perhaps, for longer than %s: %s may hide since when.",
			vet.Count(l.older), vet.Count(l.maybe), vet.Duration(j.Patience), l.veil())
	case l.older == 0:
		fmt.Fprintf(&b, " None of them is surely older than %s.", vet.Duration(j.Patience))
	case l.older < l.count():
		fmt.Fprintf(&b, " %s of them surely for longer than %s.", vet.Count(l.older), vet.Duration(j.Patience))
	}
	return b.String()
}

// veil names what may have moved the time that dates the FINs of those whose
// ages are vague. Where the timers do not tell, it can be either.
func (l *leak) veil() string {
	const probes, writes = "answers to keepalive probes", "writes after the FIN"
	switch v := l.CloseWaitVague; {
	case v.Probed == v.Total:
		return probes
	case v.Written == v.Total:
		return writes
	}
	return probes + " or " + writes
}

// grownBy writes growth between two looks. Where either of them folded groups it
// is no more than about right.
func (j *judgement) grownBy(n uint64) string {
	return vet.Bound(j.Now.GroupError+j.Before.GroupError, "about ") + vet.Count(n)
}

// kindTexts say what a kind means for the code, of one connection and of several.
var kindTexts = [tcpvet.NumCloseWaitKinds]struct{ one, many, text string }{
	tcpvet.NoCloseWaitKind: {"came", "came", "from an input that does not tell how much was read"},
	tcpvet.NeverRead:       {"was", "were", "never read after the peer's FIN (Recv-Q 1): idle in a pool, or forgotten"},
	tcpvet.ReadNotClosed:   {"was", "were", "read to the end and not closed (Recv-Q 0): the code saw the end, or read the last bytes with it, and went on"},
	tcpvet.Undrained:       {"holds", "hold", "bytes that were never read (Recv-Q above 1): a body not drained, and its response not closed"},
}

// kinds says how many are of which kind, the most frequent first.
func (l *leak) kinds() []string {
	if l.unaccepted {
		return []string{"Whatever the process does with its other connections, it does not call accept() here."}
	}
	most := l.kind()
	order := []tcpvet.CloseWaitKind{most}
	for k := range tcpvet.CloseWaitKind(tcpvet.NumCloseWaitKinds) {
		if k != most && l.CloseWait[k] > 0 {
			order = append(order, k)
		}
	}
	out := make([]string, len(order))
	for i, k := range order {
		n, t := l.CloseWait[k], kindTexts[k]
		verb := t.many
		if n == 1 {
			verb = t.one
		}
		who := vet.Count(n) + " of them"
		switch {
		case uint64(n) == l.count() && n == 1:
			who = "It"
		case uint64(n) == l.count():
			who = "All of them"
		}
		out[i] = fmt.Sprintf("%s %s %s.", who, verb, t.text)
	}
	return out
}

func (j *judgement) portText(l *leak) []string {
	p := l.ports
	if p == nil {
		return nil
	}
	toward := p.tuple.Remote.String()
	if len(l.Locals) > 1 {
		toward += " from " + p.tuple.Local.String()
	}
	who := "They take "
	if p.mine == 1 {
		who = "It takes "
	}
	lost := j.Now.GroupError + j.Now.TupleError
	s := fmt.Sprintf("%s%s%s of the %s local ports to %s", who, vet.Bound(lost, "at least "),
		vet.Percent(float64(p.mine)/float64(p.Usable())), vet.Count(p.Usable()), toward)
	left := vet.Bound(j.Now.TupleError, "at most ") + vet.Count(p.Left)
	switch {
	case p.Left == 0:
		s += ", and none is left: connect() fails with EADDRNOTAVAIL (99) now."
	case p.last > 0:
		s += fmt.Sprintf("; %s are left: connect() fails with EADDRNOTAVAIL in %s at %s", left, vet.About(p.last), vet.PerSecond(p.rate.perSecond()))
		if p.rate.over != l.growth.over {
			s += ", the rate of the last " + vet.Duration(p.rate.over)
		}
		s += "."
	default:
		s += fmt.Sprintf("; %s are left.", left)
	}
	return []string{s}
}

// filesFirst tells that descriptors run out before ports do.
func (l *leak) filesFirst() bool {
	switch f, p := l.files, l.ports; {
	case f == nil || p != nil && p.Left == 0:
		return false
	case p == nil || f.open >= f.limit:
		return true
	default:
		return f.last > 0 && (p.last == 0 || f.last < p.last)
	}
}

// fileText speaks of descriptors where they are what runs out.
func (j *judgement) fileText(l *leak) []string {
	if l.Role == tcpvet.Server && !l.unaccepted && l.files == nil {
		return []string{"A server's leak takes descriptors, not ports: when they are used up, accept() fails with EMFILE (24)."}
	}
	f := l.files
	if f == nil {
		return nil
	}
	if l.Role != tcpvet.Server && !l.filesFirst() && f.ratio() <= 0.5 {
		return nil
	}
	call := "socket()"
	s := ""
	if l.Role == tcpvet.Server {
		call = "accept()"
		s = "A server's leak takes descriptors, not ports. "
	}
	s += fmt.Sprintf("The process has %s of at most %s descriptors open (%s)", vet.Count(f.open), vet.Count(f.limit), vet.Percent(f.ratio()))
	switch {
	case f.open >= f.limit:
		s += ": " + call + " fails with EMFILE (24) now."
	case f.last > 0:
		s += fmt.Sprintf(": %s fails with EMFILE (24) in %s at %s", call, vet.About(f.last), vet.PerSecond(f.rate))
		if f.rate > l.growth.perSecond() {
			s += ", all leaks of the process together"
		}
		s += "."
	default:
		s += "."
	}
	return []string{s}
}

// holderText names those who share the sockets, or says why nobody is named.
func (j *judgement) holderText(l *leak) []string {
	switch {
	case !l.owner.Known() && !j.Now.Facts.Has(tcpvet.FactHolders):
		return []string{"This input does not say which process holds " + l.them() + "."}
	case j.undecided(l):
		return []string{"Whether a process holds " + l.them() + " is not in this input: what waits for accept() has no descriptor."}
	case l.owner == tcpvet.Unseen:
		return []string{"The process that holds " + l.them() + " could not be seen: " + j.needs() + "."}
	}
	others := l.SharedWith()
	if len(others) == 0 {
		return nil
	}
	const most = 3
	var names []string
	for _, p := range others[:min(len(others), most)] {
		names = append(names, fmt.Sprintf("%s (%s)", vet.ProcessText(&j.Now, p), vet.AtLeast(j.Now.GroupError, l.Shared[p])))
	}
	s := "Some are held by other processes too: " + strings.Join(names, ", ")
	if l.count() == 1 {
		s = "It is held by other processes too: " + strings.Join(names, ", ")
	}
	if more := len(others) - most; more > 0 {
		s += " and " + vet.Count(more) + " more"
	}
	return []string{s + ". A shared socket closes only when the last of its holders closes it."}
}

func (l *leak) them() string {
	if l.count() == 1 {
		return "it"
	}
	return "them"
}

// undecided tells that a process may hold them, or none.
func (j *judgement) undecided(l *leak) bool {
	return l.Role != tcpvet.Client && vet.MaybeNobody(&j.Now, l.owner)
}

// needs says what would show the holder.
func (j *judgement) needs() string {
	for _, g := range j.Now.Gaps {
		if g.What == "holders" && g.Needs != "" {
			return "that needs " + g.Needs
		}
	}
	return "it belongs to another user or ended during the look"
}
