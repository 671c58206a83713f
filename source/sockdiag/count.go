package sockdiag

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
)

// Counts holds a number of sockets per state, indexed by it.
type Counts [tcpvet.NumStates]uint64

// Total is the number of sockets in all states.
func (c *Counts) Total() uint64 {
	var n uint64
	for _, v := range c {
		n += v
	}
	return n
}

// Names of the kernel's own numbers that CountStates uses, as in
// tcpvet.Netns.Counters.
const (
	counterEstab  = "TcpCurrEstab"         // ESTAB and CLOSE-WAIT
	counterTW     = "sockstat.TCP.tw"      // all mini-sockets, IPv4 and IPv6
	counterInuse  = "sockstat.TCP.inuse"   // IPv4 sockets in the tables that are no mini-sockets or requests
	counterInuse6 = "sockstat6.TCP6.inuse" // the same for IPv6; missing where there is no IPv6
)

// movements count what opens and fails: where two changes of the numbers above
// make each other up, one of them has opened a connection. A kernel that lacks one
// says 0 both times.
var movements = [...]string{"TcpActiveOpens", "TcpPassiveOpens", "TcpAttemptFails", "TcpEstabResets"}

// cheapStates is what CountStates dumps when the kernel's counters can give the
// rest: ESTAB and TIME-WAIT are most of the sockets of a busy host.
const cheapStates = tcpvet.AllStates &^ (1<<tcpvet.Established | 1<<tcpvet.TimeWait)

// CountStates counts the sockets of the namespace by state. counters reads
// TcpCurrEstab, sockstat.TCP.inuse, sockstat.TCP.tw and sockstat6.TCP6.inuse of
// the same namespace, as procfs.FS.Counters does on a thread that is in it; nil
// means that they cannot be had.
//
// While nothing moves it dumps neither ESTAB nor TIME-WAIT but works their
// numbers out from the counters: those, and the counts of what opens and fails,
// must stand still over the dump, and the number of sockets in the tables, which
// the kernel counts on its own, must equal the sum of the states. short is then
// true, and st.Sockets counts only what was dumped. Otherwise it dumps
// everything, as DumpConsistent does.
func (c *Conn) CountStates(ctx context.Context, counters func() (map[string]uint64, error)) (n Counts, short bool, st Stats, err error) {
	if counters != nil {
		before, err1 := readCounters(counters)
		if err1 == nil {
			n, short, st, err = c.countShort(ctx, before, counters)
			if err != nil || short {
				return n, short, st, err
			}
		}
	}
	n = Counts{}
	st, err = c.DumpConsistent(ctx, Request{}, func() error { n = Counts{}; return nil }, func(s *tcpvet.Socket) error {
		n[s.State]++
		return nil
	})
	return n, false, st, err
}

// countShort dumps what the counters cannot tell.
func (c *Conn) countShort(ctx context.Context, before kernelCounts, counters func() (map[string]uint64, error)) (Counts, bool, Stats, error) {
	st := Stats{Passes: 1}
	var seen dumped
	c.recent = recent{}
	interrupted, err := c.walk(ctx, Request{States: cheapStates}, func(m *Message) error {
		s := &c.socket
		if err := Decode(m.Payload, s); err != nil {
			return err
		}
		if _, again := c.recent.seen(s.Cookie, s.State); again || !cheapStates.Has(s.State) || s.State == tcpvet.Unconn {
			st.Changed++
			return nil
		}
		seen.add(s, full(m.Payload))
		st.Sockets++
		return nil
	}, seamWatch{}) // where nothing comes and goes nothing is passed over
	if err != nil {
		return Counts{}, false, st, fmt.Errorf("count states: %w", err)
	}
	after, err := readCounters(counters)
	if err != nil || interrupted || st.Changed > 0 || before != after {
		return Counts{}, false, st, nil
	}
	n, ok := seen.complete(after)
	return n, ok, st, nil
}

// kernelCounts is what the kernel counts by itself.
type kernelCounts struct {
	estab, timeWait, inuse uint64
	moved                  [len(movements)]uint64
}

var errNoCounter = errors.New("a counter is missing")

func readCounters(counters func() (map[string]uint64, error)) (kernelCounts, error) {
	m, err := counters()
	if err != nil {
		return kernelCounts{}, err
	}
	estab, ok1 := m[counterEstab]
	tw, ok2 := m[counterTW]
	inuse, ok3 := m[counterInuse]
	if !ok1 || !ok2 || !ok3 {
		return kernelCounts{}, errNoCounter
	}
	k := kernelCounts{estab: estab, timeWait: tw, inuse: inuse + m[counterInuse6]}
	for i, name := range movements {
		k.moved[i] = m[name]
	}
	return k, nil
}

// dumped counts what a dump of cheapStates told.
type dumped struct {
	states      Counts
	mini        uint64 // of FIN-WAIT-2, the mini-sockets
	fullSynRecv uint64 // of SYN-RECV, those that are sockets and not requests
}

func (d *dumped) add(s *tcpvet.Socket, full bool) {
	d.states[s.State]++
	switch {
	case s.Mini:
		d.mini++
	case s.State == tcpvet.SynRecv && full:
		d.fullSynRecv++
	}
}

// complete adds ESTAB and TIME-WAIT from the kernel's counters. ok is false
// where the numbers do not fit together exactly.
//
// TcpCurrEstab counts ESTAB and CLOSE-WAIT (tcp_set_state), tw every
// mini-socket (tcp_death_row), and inuse the full sockets in the tables
// (inet_hash, inet_unhash), which merely bound ones are not in.
func (d *dumped) complete(k kernelCounts) (n Counts, ok bool) {
	n = d.states
	if k.estab < n[tcpvet.CloseWait] || k.timeWait < d.mini {
		return Counts{}, false
	}
	n[tcpvet.Established] = k.estab - n[tcpvet.CloseWait]
	n[tcpvet.TimeWait] = k.timeWait - d.mini

	sockets := n[tcpvet.Listen] + n[tcpvet.SynSent] + d.fullSynRecv + n[tcpvet.Established] +
		n[tcpvet.FinWait1] + n[tcpvet.FinWait2] - d.mini + n[tcpvet.CloseWait] + n[tcpvet.LastAck] + n[tcpvet.Closing]
	if sockets != k.inuse {
		return Counts{}, false
	}
	return n, true
}
