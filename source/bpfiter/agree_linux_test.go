package bpfiter_test

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// agree compares what a Counter made with what sock_diag and /proc told before and
// after it. Counts are equal; what time moves lies between.
func agree(t *testing.T, before, after *tcpvet.Census, got *counted) {
	t.Helper()
	if got.Sockets != after.Sockets {
		t.Errorf("%d sockets, %d by netlink", got.Sockets, after.Sockets)
	}
	for g := range both(got.Groups, after.Groups) {
		x, lo, hi := got.Groups[g], before.Groups[g], after.Groups[g]
		if x == nil || lo == nil || hi == nil {
			t.Errorf("group %v: %v counted, %v by netlink before, %v after", g, states(x), states(lo), states(hi))
			continue
		}
		name := fmt.Sprintf("group %v", g)
		sameTally(t, name, x, lo, hi)
	}
	for tu := range both(got.Tuples, after.Tuples) {
		x, lo, hi := got.Tuples[tu], before.Tuples[tu], after.Tuples[tu]
		if x == nil || lo == nil || hi == nil {
			t.Errorf("tuple %v: %v counted, %v by netlink before, %v after", tu, x, lo, hi)
			continue
		}
		name := fmt.Sprintf("tuple %v", tu)
		equal(t, name+" taken and reusable", x.Total()+uint64(x.ReusableTimeWait), hi.Total()+uint64(hi.ReusableTimeWait))
		for s := range x.Taken {
			if tcpvet.State(s) != tcpvet.TimeWait {
				equal(t, fmt.Sprintf("%s taken by %v", name, tcpvet.State(s)), x.Taken[s], hi.Taken[s])
			}
		}
		between(t, name+" reusable", lo.ReusableTimeWait, x.ReusableTimeWait, hi.ReusableTimeWait)
		equal(t, name+" reserved", x.Reserved, hi.Reserved)
		sameBirths(t, name+" CLOSE-WAIT", x.CloseWaitBorn, lo.CloseWaitBorn, hi.CloseWaitBorn)
		sameBirths(t, name+" TIME-WAIT", x.TimeWaitBorn, lo.TimeWaitBorn, hi.TimeWaitBorn)
	}
	for l := range both(got.Listeners, after.Listeners) {
		x, y := got.Listeners[l], after.Listeners[l]
		if x == nil || y == nil || x.Length != y.Length || x.Limit != y.Limit || x.Members != y.Members || x.Holder != y.Holder || !slices.Equal(x.SharedWith, y.SharedWith) {
			t.Errorf("listener %v: %+v counted, %+v by netlink", l, x, y)
		}
	}
	if !reflect.DeepEqual(got.Bound, after.Bound) {
		t.Errorf("bound ports: %+v counted, %+v by netlink", got.Bound, after.Bound)
	}
}

func both[K comparable, V any](a, b map[K]V) map[K]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func states(t *tcpvet.Tally) any {
	if t == nil {
		return "nothing"
	}
	return t.States
}

// stalls gives what waits for its peer, the zero value for nothing.
func stalls(t *tcpvet.Tally) tcpvet.StallTally {
	if t.Stalled == nil {
		return tcpvet.StallTally{}
	}
	return *t.Stalled
}

func sameTally(t *testing.T, name string, x, lo, hi *tcpvet.Tally) {
	t.Helper()
	equal(t, name+" states", x.States, hi.States)
	equal(t, name+" mini", x.Mini, hi.Mini)
	equal(t, name+" kinds", x.CloseWait, hi.CloseWait)
	equal(t, name+" vague", x.CloseWaitVague, hi.CloseWaitVague)
	equal(t, name+" queued bytes", x.QueuedBytes, hi.QueuedBytes)
	between(t, name+" longest", lo.CloseWaitLongest, x.CloseWaitLongest, hi.CloseWaitLongest)
	sameBirths(t, name+" CLOSE-WAIT", x.CloseWaitBorn, lo.CloseWaitBorn, hi.CloseWaitBorn)
	sameBirths(t, name+" TIME-WAIT", x.TimeWaitBorn, lo.TimeWaitBorn, hi.TimeWaitBorn)
	if !maps.Equal(x.Shared, hi.Shared) {
		t.Errorf("%s shared: %v, %v by netlink", name, x.Shared, hi.Shared)
	}
	for k := range tcpvet.NumCloseWaitKinds {
		sameTimes(t, fmt.Sprintf("%s age of kind %d", name, k), kindOf(x.CloseWaitAge, k), kindOf(lo.CloseWaitAge, k), kindOf(hi.CloseWaitAge, k))
		sameTimes(t, fmt.Sprintf("%s most of kind %d", name, k), kindOf(x.CloseWaitMost, k), kindOf(lo.CloseWaitMost, k), kindOf(hi.CloseWaitMost, k))
	}
	sameTimes(t, name+" quiet", x.FinWait2Quiet, lo.FinWait2Quiet, hi.FinWait2Quiet)
	if (x.Idle == nil) != (hi.Idle == nil) {
		t.Errorf("%s idle: %v, %v by netlink", name, x.Idle, hi.Idle)
	} else if x.Idle != nil {
		sameTimes(t, name+" idle with keepalive", &x.Idle.KeepaliveOn, &lo.Idle.KeepaliveOn, &hi.Idle.KeepaliveOn)
		sameTimes(t, name+" idle without", &x.Idle.KeepaliveOff, &lo.Idle.KeepaliveOff, &hi.Idle.KeepaliveOff)
		// These send again, and begin anew each time.
		equal(t, name+" idle", x.Idle.Unknown.Total(), hi.Idle.Unknown.Total())
	}
	if (x.Keepalive == nil) != (hi.Keepalive == nil) || x.Keepalive != nil && *x.Keepalive != *hi.Keepalive {
		t.Errorf("%s keepalive: %v, %v by netlink", name, x.Keepalive, hi.Keepalive)
	}
	sameOne(t, name+" oldest", x.Oldest, lo.Oldest, hi.Oldest)
	sameOne(t, name+" most idle", x.MostIdle, lo.MostIdle, hi.MostIdle)
	// A timer may end between the looks: what waits is sent again then.
	xs, los, his := stalls(x), stalls(lo), stalls(hi)
	for s := range xs.Resent {
		between(t, fmt.Sprintf("%s resent in %v", name, tcpvet.State(s)), los.Resent[s], xs.Resent[s], his.Resent[s])
		between(t, fmt.Sprintf("%s most resent in %v", name, tcpvet.State(s)), los.Most[s], xs.Most[s], his.Most[s])
	}
	between(t, name+" probed", los.Probed, xs.Probed, his.Probed)
	if (x.Queued == nil) != (hi.Queued == nil) {
		t.Errorf("%s queued: %+v, %+v by netlink", name, x.Queued, hi.Queued)
	} else if q, p := x.Queued, hi.Queued; q != nil {
		equal(t, name+" unread", [...]uint64{uint64(q.Sockets), q.Bytes}, [...]uint64{uint64(p.Sockets), p.Bytes})
		equal(t, name+" blocked", [...]uint64{uint64(q.BlockedSockets), q.BlockedBytes}, [...]uint64{uint64(p.BlockedSockets), p.BlockedBytes})
		if q.Sockets == 1 || q.BlockedSockets == 1 {
			equal(t, name+" of the one", [...]uint32{q.LongestUnreadOf, q.LongestBlockedOf}, [...]uint32{p.LongestUnreadOf, p.LongestBlockedOf})
		}
		sameTimes(t, name+" unread", &q.Unread, &lo.Queued.Unread, &p.Unread)
		sameTimes(t, name+" blocked", &q.Blocked, &lo.Queued.Blocked, &p.Blocked)
		sameOne(t, name+" longest unread", q.LongestUnread, lo.Queued.LongestUnread, p.LongestUnread)
		sameOne(t, name+" longest blocked", q.LongestBlocked, lo.Queued.LongestBlocked, p.LongestBlocked)
	}
}

func kindOf(all *[tcpvet.NumCloseWaitKinds]tcpvet.Histogram, k int) *tcpvet.Histogram {
	if all == nil {
		return nil
	}
	return &all[k]
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, %v by netlink", what, got, want)
	}
}

func between[T cmp.Ordered](t *testing.T, what string, low, x, high T) {
	t.Helper()
	if x < low || x > high {
		t.Errorf("%s: %v, by netlink %v before and %v after", what, x, low, high)
	}
}

// sameBirths: what was born lately only grows older.
func sameBirths(t *testing.T, what string, x, before, after tcpvet.Births) {
	t.Helper()
	between(t, what+" born in 10 s", after.Last10s, x.Last10s, before.Last10s)
	between(t, what+" born in 60 s", after.Last60s, x.Last60s, before.Last60s)
}

// sameTimes compares histograms of times that only grow: of every edge, as many
// are past it as were before or more.
func sameTimes(t *testing.T, what string, x, before, after *tcpvet.Histogram) {
	t.Helper()
	if x == nil && after == nil {
		return
	}
	if x == nil || before == nil || after == nil {
		t.Errorf("%s: %v, by netlink %v before and %v after", what, x, before, after)
		return
	}
	equal(t, what, x.Total(), after.Total())
	for d := time.Millisecond; d < 24*time.Hour; d *= 2 {
		between(t, fmt.Sprintf("%s for %v", what, d), before.AtLeast(d), x.AtLeast(d), after.AtLeast(d))
	}
}

// sameOne compares the sockets that were chosen.
func sameOne(t *testing.T, what string, x, before, after *tcpvet.Exemplar) {
	t.Helper()
	if x == nil && after == nil {
		return
	}
	if x == nil || before == nil || after == nil {
		t.Errorf("%s: %+v, by netlink %+v before and %+v after", what, x, before, after)
		return
	}
	between(t, what+" least age", before.Age.Low, x.Age.Low, after.Age.Low)
	between(t, what+" most age", before.Age.High, x.Age.High, after.Age.High)
	equal(t, what+" how it is known", x.Age.By, after.Age.By)
	if x.Cookie == after.Cookie { // a reader that is held up may find another one older
		equal(t, what, [...]any{x.Local, x.Remote, x.Inode}, [...]any{after.Local, after.Remote, after.Inode})
	}
}
