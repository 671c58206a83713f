package run

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// summarize reads what the programs have counted. tasks tells that they could look at
// tasks.
func summarize(counts, own *ebpf.Map, tasks bool) (s Summary, err error) {
	var c countsRecord
	if err := counts.Lookup(uint32(0), &c); err != nil {
		return s, fmt.Errorf("read what was counted: %w", err)
	}
	s = Summary{
		Opened:   c.Opened,
		Accepted: c.Accepted,
		Failed:   Failed{NoPort: c.NoPort, Unanswered: c.Unanswered, GivenUp: c.GivenUp},
		Refused:  c.Refused,
		Unbound:  c.Unbound,
	}
	// The counts are not of one moment.
	s.Failed.NoSYN = less(c.Tried, c.Sent+c.NoPort)
	s.CloseWait = less(c.HalfClosed, c.HalfClosedOver)
	s.MostCloseWait = c.HalfClosedMost
	s.OwnUnnamed = c.OwnUnnamed
	if tasks {
		s.Leaked = &c.Leaked
	}
	numbered := firstPIDSpace()
	entries := own.Iterate()
	var key ownRecord
	var n uint64
	for entries.Next(&key, &n) {
		m := Member{Comm: key.comm()}
		if numbered {
			m.PID = int(key.TGID)
		}
		s.Own = append(s.Own, OwnValues{Opener: m, Timers: key.Has.timers(), Connections: n})
	}
	if err := entries.Err(); err != nil {
		return s, fmt.Errorf("read who set its own values: %w", err)
	}
	slices.SortFunc(s.Own, func(a, b OwnValues) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Opener.PID, b.Opener.PID), cmp.Compare(a.Opener.Comm, b.Opener.Comm))
	})
	return s, nil
}

func less(a, b uint64) uint64 { return a - min(a, b) }

// firstPIDSpace tells whether PIDs here are those of the first PID namespace
// (PROC_PID_INIT_INO in include/linux/proc_ns.h).
func firstPIDSpace() bool {
	const initial = 0xEFFFFFFC
	var st unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &st) == nil && st.Ino == initial
}
