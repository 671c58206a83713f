package sourcetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// liar is a source that tells of another what is not so.
type liar struct {
	source.Source
	facts func(tcpvet.Facts) tcpvet.Facts
	wrap  func(tcpvet.Observer) tcpvet.Observer
	err   func(error) error
}

func (l liar) Facts(want tcpvet.Facts) tcpvet.Facts {
	f := l.Source.Facts(want)
	if l.facts != nil {
		f = l.facts(f)
	}
	return f
}

func (l liar) Look(ctx context.Context, q source.Query, o tcpvet.Observer) error {
	if l.wrap != nil {
		o = l.wrap(o)
	}
	err := l.Source.Look(ctx, q, o)
	if l.err != nil {
		err = l.err(err)
	}
	return err
}

// lie is an Observer that changes sockets on their way; drop keeps them back.
type lie struct {
	tcpvet.Observer
	change func(s *tcpvet.Socket)
	drop   func(s *tcpvet.Socket) bool
	twice  func(s *tcpvet.Socket) bool
}

func (l *lie) Socket(s *tcpvet.Socket) error {
	if l.drop != nil && l.drop(s) {
		return nil
	}
	if l.change != nil {
		l.change(s)
	}
	again := *s
	if err := l.Observer.Socket(s); err != nil || l.twice == nil || !l.twice(&again) {
		return err
	}
	return l.Observer.Socket(&again)
}

func changed(f func(s *tcpvet.Socket)) liar {
	return liar{wrap: func(o tcpvet.Observer) tcpvet.Observer { return &lie{Observer: o, change: f} }}
}

// where changes the sockets of one state.
func where(state tcpvet.State, f func(s *tcpvet.Socket)) liar {
	return changed(func(s *tcpvet.Socket) {
		if s.State == state {
			f(s)
		}
	})
}

func dropped(f func(s *tcpvet.Socket) bool) liar {
	return liar{wrap: func(o tcpvet.Observer) tcpvet.Observer { return &lie{Observer: o, drop: f} }}
}

// settingsLie changes what is told beside sockets.
type settingsLie struct {
	tcpvet.Observer
	netns   func(*tcpvet.Netns)
	process func(*tcpvet.ProcessInfo)
}

func (l settingsLie) Netns(n tcpvet.Netns) {
	if l.netns != nil {
		l.netns(&n)
	}
	l.Observer.Netns(n)
}

func (l settingsLie) Process(p tcpvet.Process, i tcpvet.ProcessInfo) {
	if l.process != nil {
		l.process(&i)
	}
	l.Observer.Process(p, i)
}

func netnsLie(f func(*tcpvet.Netns)) liar {
	return liar{wrap: func(o tcpvet.Observer) tcpvet.Observer { return settingsLie{Observer: o, netns: f} }}
}

func processLie(f func(*tcpvet.ProcessInfo)) liar {
	return liar{wrap: func(o tcpvet.Observer) tcpvet.Observer { return settingsLie{Observer: o, process: f} }}
}

// Conform hears each of these lies, and none where none is told.
func TestRootConformNotices(t *testing.T) {
	st := newStage(t)
	open := func(l liar) func(t *testing.T) source.Source {
		return func(t *testing.T) source.Source {
			src, err := source.Open("netlink")
			if err != nil {
				t.Fatal(err)
			}
			l.Source = src
			return l
		}
	}
	if got := st.conform(t, open(liar{})); len(got) > 0 {
		t.Fatalf("without a lie:\n%s", strings.Join(got, "\n"))
	}
	less := func(f tcpvet.Facts) liar {
		return liar{facts: func(all tcpvet.Facts) tcpvet.Facts { return all &^ f }}
	}
	held := func(f func(s *tcpvet.Socket)) liar {
		return where(tcpvet.Established, func(s *tcpvet.Socket) {
			if s.Holder.Known() {
				f(s)
			}
		})
	}
	for name, test := range map[string]struct {
		liar
		hears string
	}{
		"a state":             {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.State = tcpvet.Established }), "state is ESTAB, not CLOSE-WAIT"},
		"one is missing":      {dropped(func(s *tcpvet.Socket) bool { return s.State == tcpvet.SynRecv }), "deferred, request (SYN-RECV) was not told"},
		"none merely bound":   {dropped(func(s *tcpvet.Socket) bool { return s.State == tcpvet.BoundInactive }), "merely bound (BOUND-INACTIVE) was not told"},
		"orphans are missing": {dropped(func(s *tcpvet.Socket) bool { return s.Mini && s.State == tcpvet.FinWait2 }), "orphaned, server (FIN-WAIT-2) was not told"},
		"one comes twice": {liar{wrap: func(o tcpvet.Observer) tcpvet.Observer {
			return &lie{Observer: o, twice: func(s *tcpvet.Socket) bool { return s.State == tcpvet.TimeWait }}
		}}, "was told twice"},
		"another namespace":     {changed(func(s *tcpvet.Socket) { s.Netns++ }), "came before its namespace"},
		"an endpoint":           {where(tcpvet.TimeWait, func(s *tcpvet.Socket) { s.Local = s.Remote }), "was never made"},
		"a listener's limit":    {where(tcpvet.Listen, func(s *tcpvet.Socket) { s.SendQ++ }), "Send-Q is"},
		"a listener's queue":    {where(tcpvet.Listen, func(s *tcpvet.Socket) { s.RecvQ = 0 }), "Recv-Q is 0, and the kernel says 1"},
		"the unread FIN":        {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.RecvQ-- }), "kind of CLOSE-WAIT is"},
		"the inode":             {held(func(s *tcpvet.Socket) { s.Inode++ }), "inode is"},
		"the user":              {held(func(s *tcpvet.Socket) { s.UID = 0 }), "user is 0, not 4711"},
		"the cookie":            {where(tcpvet.TimeWait, func(s *tcpvet.Socket) { s.Cookie++ }), "cookie is"},
		"the cgroup":            {held(func(s *tcpvet.Socket) { s.Cgroup += 7 }), "cgroup is"},
		"the role":              {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.Role = tcpvet.Server }), "role is server, not client"},
		"the interface":         {where(tcpvet.Listen, func(s *tcpvet.Socket) { s.Interface = 0 }), "interface is 0, not 1"},
		"no mini-sockets":       {changed(func(s *tcpvet.Socket) { s.Mini = false }), "mini is false, not true"},
		"no timer":              {changed(func(s *tcpvet.Socket) { s.Timer = tcpvet.Timer{} }), "keepalive is false (known: true), not on"},
		"a timer below zero":    {where(tcpvet.TimeWait, func(s *tcpvet.Socket) { s.Timer.Expires = -1 }), "timer {Kind:timewait"},
		"a young TIME-WAIT":     {where(tcpvet.TimeWait, func(s *tcpvet.Socket) { s.Timer.Expires = tcpvet.TimeWaitLength }), "over, client: it has been so for 0s"},
		"an old FIN":            {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.Info.LastAckRecv += time.Hour; s.Info.LastDataRecv += time.Hour }), "it has been so for 1h"},
		"idle for long":         {where(tcpvet.Established, func(s *tcpvet.Socket) { s.Info.LastDataSent += time.Hour; s.Info.LastDataRecv += time.Hour }), "it has been so for 1h"},
		"tcp_info":              {held(func(s *tcpvet.Socket) { s.Info.SndMSS++ }), "MSS is"},
		"a probe":               {held(func(s *tcpvet.Socket) { s.Info.Probes++ }), "probes is 1, and the kernel says 0 and 0"},
		"a retransmission":      {held(func(s *tcpvet.Socket) { s.Info.TotalRetrans++ }), "total retrans is 1, and the kernel says 0 and 0"},
		"a fact is left out":    {held(func(s *tcpvet.Socket) { s.Known &^= tcpvet.FactCookie; s.Cookie = 0 }), "cookie is not known"},
		"more than its facts":   {less(tcpvet.FactCookie), "cookie is known, which the source says that it cannot tell"},
		"not known, not zero":   {held(func(s *tcpvet.Socket) { s.Known &^= tcpvet.FactUID }), "uid is not known and not zero"},
		"bound, and not a fact": {less(tcpvet.FactBound), "merely bound: it was told, and the source says"},
		"holders, and no fact":  {less(tcpvet.FactHolders), "its holder is"},
		"nobody holds it":       {held(func(s *tcpvet.Socket) { s.Holder, s.SharedWith = tcpvet.Nobody, nil }), "holders is []"},
		"held by the younger": {held(func(s *tcpvet.Socket) {
			if len(s.SharedWith) > 0 {
				s.Holder, s.SharedWith = s.SharedWith[0], []tcpvet.Process{s.Holder}
			}
		}), "open, client: holders is"},
		"nobody else holds it": {changed(func(s *tcpvet.Socket) { s.SharedWith = nil }), "open, client: holders is"},
		"unheld, and held":     {where(tcpvet.TimeWait, func(s *tcpvet.Socket) { s.Holder = st.self }), "over, client: its holder is"},
		"unheld, and unseen":   {where(tcpvet.SynRecv, func(s *tcpvet.Socket) { s.Holder = tcpvet.Unseen }), "deferred, request: its holder is"},
		"the port range":       {netnsLie(func(n *tcpvet.Netns) { n.Ports = &tcpvet.Ports{Low: 1, High: 2} }), "the port range is"},
		"no port range":        {netnsLie(func(n *tcpvet.Netns) { n.Ports = nil }), "the port range is missing"},
		"a setting":            {netnsLie(func(n *tcpvet.Netns) { n.Sysctls = nil }), "tcp_tw_reuse is"},
		"a counter":            {netnsLie(func(n *tcpvet.Netns) { n.Counters = nil }), "the kernel counts 0 mini-sockets"},
		"the addresses":        {netnsLie(func(n *tcpvet.Netns) { n.Addresses = nil }), "address 127.0.0.1/8 of lo is missing"},
		"the name":             {processLie(func(i *tcpvet.ProcessInfo) { i.Comm = "init" }), "is called \"init\""},
		"the limit":            {processLie(func(i *tcpvet.ProcessInfo) { i.DescriptorLimit = 0 }), "descriptors, not 0"},
		"the descriptors":      {processLie(func(i *tcpvet.ProcessInfo) { i.Sockets = 0 }), "has 0 sockets"},
		"the error of another": {liar{err: func(err error) error {
			if err != nil {
				return errors.New("broken")
			}
			return nil
		}}, "the observer's error is returned as: broken"},
		"an error is kept": {liar{err: func(error) error { return nil }}, "a look whose context is over ends with: <nil>"},
		"a gap": {liar{wrap: func(o tcpvet.Observer) tcpvet.Observer {
			o.Gap(tcpvet.Gap{What: "sockets", Err: "lost"})
			return o
		}}, "gap: {What:sockets"},
	} {
		got := st.conform(t, open(test.liar))
		if !strings.Contains(strings.Join(got, "\n"), test.hears) {
			t.Errorf("%s: nobody heard %q, but\n%s", name, test.hears, strings.Join(got, "\n"))
		}
	}
}

// Agree hears where two sources differ.
func TestRootAgreeNotices(t *testing.T) {
	kerneltest.Root(t)
	st := newStage(t)
	open := func(kind string, l liar) func(t *testing.T) source.Source {
		return func(t *testing.T) source.Source {
			src, err := source.Open(kind)
			if err != nil {
				t.Fatal(err)
			}
			l.Source = src
			return l
		}
	}
	for name, test := range map[string]struct {
		liar
		hears string
	}{
		"nothing":    {liar{}, ""},
		"a state":    {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.State = tcpvet.Established }), "state is CLOSE-WAIT and ESTAB"},
		"a role":     {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.Role = tcpvet.Server }), "role is client and server"},
		"a queue":    {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.RecvQ += 9 }), "Recv-Q is 1 and 10"},
		"an inode":   {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.Inode++ }), "inode is"},
		"a user":     {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.UID++ }), "user is 0 and 1"},
		"a timer":    {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.Timer.Kind = tcpvet.TimerTimeWait }), "timer is off and timewait"},
		"an age":     {where(tcpvet.TimeWait, func(s *tcpvet.Socket) { s.Timer.Expires = 0 }), "age is"},
		"a holder":   {where(tcpvet.CloseWait, func(s *tcpvet.Socket) { s.Holder = tcpvet.Unseen }), "holder is"},
		"one is not": {dropped(func(s *tcpvet.Socket) bool { return s.State == tcpvet.TimeWait }), "of the sockets that both can see"},
	} {
		got := strings.Join(st.agree(t, open("netlink", liar{}), open("procfs", test.liar)), "\n")
		if test.hears == "" && got != "" || !strings.Contains(got, test.hears) {
			t.Errorf("%s: nobody heard %q, but\n%s", name, test.hears, got)
		}
	}
}
