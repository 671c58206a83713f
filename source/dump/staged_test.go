package dump

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// checkStaged compares what was read with what was staged, as far as the dump
// says that it knows, some time after the staging began. shows tells whether the
// command shows the socket at all.
func checkStaged(t *testing.T, c *collector, shows func(wanted) bool, age time.Duration) {
	t.Helper()
	got := c.byEnds()
	for _, w := range staged {
		key := w.ends()
		s := got[key]
		delete(got, key)
		if !shows(w) {
			if s != nil {
				t.Errorf("%v %s is there, and the command does not show it", w.state, key)
			}
			continue
		}
		if s == nil {
			t.Errorf("%v %s is missing", w.state, key)
			continue
		}
		w.check(t, s, age)
	}
	for key, s := range got {
		t.Errorf("%v %s was never made", s.State, key)
	}
}

func (w *wanted) ends() string {
	return netip.MustParseAddrPort(w.local).String() + " " + netip.MustParseAddrPort(w.remote).String()
}

func (w *wanted) check(t *testing.T, s *tcpvet.Socket, age time.Duration) {
	t.Helper()
	name := ends(s)
	if s.State != w.state {
		t.Errorf("%s is in %v, not %v", name, s.State, w.state)
	}
	queue := func(what string, got, want uint32) {
		t.Helper()
		if want == unknownQueue && got == 0 || want != unknownQueue && got != want {
			t.Errorf("%v %s: %s is %d, not %d", w.state, name, what, got, want)
		}
	}
	if s.Knows(tcpvet.FactQueues) || s.Knows(tcpvet.FactBacklog) {
		queue("Recv-Q", s.RecvQ, w.recvQ)
	}
	if s.Knows(tcpvet.FactQueues) || s.Knows(tcpvet.FactBacklogMax) {
		queue("Send-Q", s.SendQ, w.sendQ)
	}
	if s.Knows(tcpvet.FactTimer) {
		w.checkTimer(t, s, age)
	}
	if s.Knows(tcpvet.FactMini) && s.Mini != w.mini {
		t.Errorf("%v %s: a mini-socket is %v, not %v", w.state, name, s.Mini, w.mini)
	}
	if s.Knows(tcpvet.FactInode) && (s.Inode != 0) != (w.holders > 0) {
		t.Errorf("%v %s: %d processes hold inode %d", w.state, name, w.holders, s.Inode)
	}
	if s.Knows(tcpvet.FactUID) && s.UID != w.uid {
		t.Errorf("%v %s: user is %d, not %d", w.state, name, s.UID, w.uid)
	}
	if s.Knows(tcpvet.FactUID) && w.mini {
		t.Errorf("%v %s: a mini-socket has no user", w.state, name)
	}
	if s.Knows(tcpvet.FactHolders) && s.Holder.Known() != (w.holders > 0) {
		t.Errorf("%v %s: %d processes hold it, and Holder is %v", w.state, name, w.holders, s.Holder)
	}
}

func (w *wanted) checkTimer(t *testing.T, s *tcpvet.Socket, age time.Duration) {
	t.Helper()
	got := s.Timer
	if got.Kind != w.timer {
		t.Errorf("%v %s: timer is %v, not %v", w.state, ends(s), got.Kind, w.timer)
	}
	var low, high time.Duration
	switch w.timer {
	case tcpvet.TimerKeepalive: // tcp_keepalive_time is 7200 s
		low, high = 2*time.Hour-age-rounded(2*time.Hour), 2*time.Hour
	case tcpvet.TimerTimeWait: // and so is the end of an orphan in FIN-WAIT-2, tcp_fin_timeout
		low, high = tcpvet.TimeWaitLength-age-rounded(tcpvet.TimeWaitLength), tcpvet.TimeWaitLength
	case tcpvet.TimerOn, tcpvet.TimerPersist:
		high = 2 * time.Minute // TCP_RTO_MAX
	}
	if got.Expires < low || got.Expires > high {
		t.Errorf("%v %s: the timer ends in %v, not between %v and %v", w.state, ends(s), got.Expires, low, high)
	}
}

// rounded is by how much ss rounds such a time down: it leaves out seconds of more
// than nine minutes, and milliseconds of more than nine seconds (print_ms_timer).
func rounded(d time.Duration) time.Duration {
	if d >= 10*time.Minute {
		return time.Minute
	}
	return time.Second
}

func everything(wanted) bool { return true }

// held is what lsof shows: it knows descriptors alone.
func held(w wanted) bool { return w.holders > 0 }

func in(states ...tcpvet.State) func(wanted) bool {
	set := tcpvet.SetOf(states...)
	return func(w wanted) bool { return set.Has(w.state) }
}

// conn is what ss shows without -a: SS_CONN in misc/ss.c.
func conn(w wanted) bool {
	return w.state != tcpvet.Listen && w.state != tcpvet.TimeWait && w.state != tcpvet.SynRecv
}

// A fixture is the output of one command on what stage makes.
type fixture struct {
	file    string // in testdata
	command string
	kind    string
	facts   tcpvet.Facts
	shows   func(wanted) bool
	others  int // lines about UDP and Unix sockets
	prompt  bool
	gap     string // where the one gap is
}

const (
	ssFacts  = tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactTimeWait | tcpvet.FactListeners
	allExtra = tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactMini
	oldFacts = tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactTimeWait | tcpvet.FactListeners
	tables   = oldFacts | tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactTimer | tcpvet.FactMini
	lsofs    = tcpvet.FactHolders | tcpvet.FactInode | tcpvet.FactMini | tcpvet.FactListeners
	holders  = tcpvet.FactHolders
	conns    = tcpvet.FactQueues
)

var fixtures = []fixture{
	{file: "ss-tan", command: "ss -tan", kind: "ss", facts: ssFacts, shows: everything},
	{file: "ss-tanH", command: "ss -tanH", kind: "ss", facts: ssFacts, shows: everything},
	{file: "ss-tanp", command: "ss -tanp", kind: "ss", facts: ssFacts | holders, shows: everything},
	{file: "ss-tano", command: "ss -tano", kind: "ss", facts: ssFacts | tcpvet.FactTimer | tcpvet.FactMini, shows: everything},
	{file: "ss-tani", command: "ss -tani", kind: "ss", facts: ssFacts | tcpvet.FactInfo | tcpvet.FactMini, shows: everything},
	{file: "ss-tane", command: "ss -tane", kind: "ss", facts: ssFacts | allExtra&^tcpvet.FactInfo, shows: everything},
	{file: "ss-tanpie", command: "ss -tanpieo", kind: "ss", facts: ssFacts | allExtra | holders, shows: everything},
	{file: "ss-tanpiemoO", command: "ss -tanpiemoO", kind: "ss", facts: ssFacts | allExtra | holders, shows: everything},
	{file: "ss-tnpieO", command: "ss -tnpieoO", kind: "ss", facts: conns | allExtra | holders, shows: conn},
	{file: "ss-an", command: "ss -an -A tcp,udp,unix", kind: "ss", facts: ssFacts, shows: everything, others: 2},
	{file: "ss-close-wait", command: "ss -tn state close-wait", kind: "ss", facts: conns, shows: in(tcpvet.CloseWait), prompt: true},
	{file: "ss-tln", command: "ss -tlnp", kind: "ss", facts: ssFacts&^tcpvet.FactQueues&^tcpvet.FactTimeWait | holders, shows: in(tcpvet.Listen)},
	{file: "netstat-an", command: "netstat -an", kind: "netstat", facts: oldFacts, shows: everything, others: 2},
	{file: "netstat-tan", command: "netstat -tan", kind: "netstat", facts: oldFacts, shows: everything},
	{file: "netstat-tn", command: "netstat -tn", kind: "netstat", facts: conns | tcpvet.FactTimeWait, shows: func(w wanted) bool { return w.state != tcpvet.Listen }},
	{file: "netstat-tanp", command: "netstat -tanp", kind: "netstat", facts: oldFacts | holders, shows: everything},
	{file: "netstat-tano", command: "netstat -tano", kind: "netstat", facts: oldFacts | tcpvet.FactTimer | tcpvet.FactMini, shows: everything},
	{file: "netstat-tanpeoW", command: "netstat -tanpeoW", kind: "netstat", facts: tables | holders, shows: everything},
	{file: "lsof-iTCP", command: "lsof -nP -iTCP", kind: "lsof", facts: lsofs, shows: held},
	{file: "lsof-i", command: "lsof -nP -i", kind: "lsof", facts: lsofs, shows: held, others: 1},
	{file: "lsof-Tqs", command: "lsof -nP -iTCP -Tqs", kind: "lsof", facts: lsofs | tcpvet.FactQueues | tcpvet.FactBacklog, shows: held},
	{file: "net-tcp-both", command: "cat /proc/net/tcp /proc/net/tcp6", kind: "/proc/net/tcp", facts: tables, shows: everything},
	{file: "net-tcp", command: "cat /proc/net/tcp", kind: "/proc/net/tcp", facts: tables, shows: ofFamily(4), gap: "/proc/net/tcp6"},
	{file: "net-tcp6", command: "cat /proc/net/tcp6", kind: "/proc/net/tcp", facts: tables, shows: ofFamily(6), gap: "/proc/net/tcp"},
}

func ofFamily(n int) func(wanted) bool {
	return func(w wanted) bool { return netip.MustParseAddrPort(w.local).Addr().Is4() == (n == 4) }
}

// check reads the output of the fixture's command and compares it with what was
// staged so long ago.
func (f *fixture) check(t *testing.T, text string, age time.Duration) *collector {
	t.Helper()
	if f.prompt {
		text = "root@web1:~# " + f.command + "\n" + text
	}
	d, c := read(t, text)
	if d.Name() != f.kind {
		t.Errorf("it is taken for %s, not %s", d.Name(), f.kind)
	}
	if d.Facts() != f.facts {
		t.Errorf("facts are %v, not %v", d.Facts(), f.facts)
	}
	if d.Others() != f.others {
		t.Errorf("%d lines are about other sockets, not %d", d.Others(), f.others)
	}
	switch {
	case f.gap == "" && len(c.gaps) > 0:
		t.Errorf("gaps: %v", c.gaps)
	case f.gap != "" && (len(c.gaps) != 1 || c.gaps[0].Where != f.gap):
		t.Errorf("gaps are %v, not one about %s", c.gaps, f.gap)
	}
	checkStaged(t, c, f.shows, age)
	return c
}
