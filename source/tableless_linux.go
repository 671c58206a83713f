package source

import (
	"context"
	"sync"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// tellsTableless asks once whether the kernel tells a TCP socket by its
// descriptor.
var tellsTableless = sync.OnceValue(func() bool { return procfs.ProbeTableless() == nil })

// tableless tells the observer of the processes whose sockets are in no table,
// where that is asked for: those that were told of before, which then hold sockets
// in a namespace that was looked at, and those that live in one.
func (v *visit) tableless(ctx context.Context) error {
	a := v.a
	if a == nil || !a.tableless {
		return nil
	}
	infos := make(map[tcpvet.Process]tcpvet.ProcessInfo)
	found, err := v.fs.Tableless(ctx, a.holders, procfs.TablelessOptions{
		Of: func(p tcpvet.Process) bool {
			info, err := a.info(p)
			if err != nil || !a.told[p] && !v.read[info.Netns] {
				return false
			}
			infos[p] = info
			return true
		},
		Bound: v.boundTold,
	})
	if err != nil {
		return err
	}
	denied := 0
	for p := range a.holders.Processes() { // in the order in which they were found
		t := found[p]
		if t == nil {
			continue
		}
		denied += int(t.Unasked)
		info := infos[p]
		info.Tableless = t
		a.told[p] = true
		v.o.Process(p, info)
	}
	if denied > 0 {
		v.o.Gap(tcpvet.Gap{
			What: "tableless sockets", Err: "ask the sockets of some processes about themselves: the kernel refused",
			Needs: procfs.PtraceNeeds(), Count: denied,
		})
	}
	return nil
}

// boundTold tells whether every merely bound socket of a namespace was told.
func (v *visit) boundTold(ns tcpvet.NetnsID) bool {
	return v.read[ns] && len(v.q.Filter) == 0 && v.q.states().Has(tcpvet.BoundInactive) && v.Facts(tcpvet.FactBound) != 0
}
