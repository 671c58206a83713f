package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// inside visits namespaces, each once, on one thread. One that was not found has
// vanished, or is of processes that may not be looked at.
func inside(ctx context.Context, ids []tcpvet.NetnsID, visit func(tcpvet.NetnsID, error)) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	all, gaps, err := netns.Find(netns.Options{})
	if err != nil {
		return err
	}
	// Of some processes no privilege shows it.
	unseen := len(gaps) > 0 && !procfs.MayReadDescriptors()
	var found []netns.Found
	for _, id := range ids {
		if i := slices.IndexFunc(all, func(f netns.Found) bool { return f.ID == id }); i >= 0 {
			found = append(found, all[i])
		} else {
			found = append(found, netns.Found{ID: id}) // one's own needs no way; of another one it says that it is gone
		}
	}
	return netns.Each(ctx, found, func(f netns.Found, err error) error {
		if unseen && errors.Is(err, netns.ErrGone) {
			err = fmt.Errorf("enter network namespace %d: nothing that may be read leads to it; needs %s", f.ID, gaps[0].Needs)
		}
		visit(f.ID, err)
		return nil
	})
}
