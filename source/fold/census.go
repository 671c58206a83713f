package fold

import (
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// Census gives what was folded so far, with what was given up to stay within
// the bounds named in its Gaps. The Folder must not be used after it.
func (f *Folder) Census() tcpvet.Census {
	c := f.census
	c.Groups = f.groups.m
	for g, t := range f.others {
		c.Groups[g] = t
	}
	c.Tuples = f.tuples.m
	for id, b := range f.gone {
		c.Tuples[tcpvet.Tuple{Netns: id, Remote: netip.AddrPort{}}] = b
	}
	c.GroupError, c.TupleError = f.groups.lost, f.tuples.lost
	if f.groups.folded > 0 {
		c.Gaps = append(c.Gaps, foldedGap("groups", f.opt.Groups, f.groups.lost))
	}
	if f.tuples.folded > 0 {
		c.Gaps = append(c.Gaps, foldedGap("tuples", f.opt.Tuples, f.tuples.lost))
	}
	return c
}

func foldedGap(what string, bound int, lost uint64) tcpvet.Gap {
	return tcpvet.Gap{
		What: "small " + what,
		Err: fmt.Sprintf("more than %d of them: the smallest were folded into \"other\"; none with over %d sockets is missing, and each may lack up to %d",
			bound, lost, lost),
	}
}
