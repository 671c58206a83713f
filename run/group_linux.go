package run

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// Group is a cgroup in which something runs already.
type Group struct {
	Path string // of its folder
	Of   string // for whose sake: "process 4121", "container api", "cgroup /sys/fs/cgroup/a"

	// Others are processes that nobody asked for and that live there too: their
	// new sockets get the same.
	Others []Member
}

// OfPath gives the group whose folder is path, or that has this path in the hierarchy.
func OfPath(path string) (*Group, error) {
	mount, err := kernel.CgroupV2Mount()
	if errors.Is(err, errors.ErrUnsupported) {
		if above() == nil {
			return nil, &MissingError{Needs: []string{needsHierarchy}}
		}
		mount, err = "/", nil // groups are called by their path in the hierarchy
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || !filepath.IsAbs(path) {
		path = filepath.Join(mount, path)
	}
	g, err := openCgroup(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer g.dir.Close()
	found := &Group{Path: g.path, Of: "cgroup " + g.path}
	// Only the first group of the hierarchy has no such file.
	if _, err := g.read("cgroup.events"); errors.Is(err, os.ErrNotExist) {
		found.Others, err = g.members()
		return found, err
	}
	return found, nil
}

// OfProcess gives the group in which a process is. Its descendants count as its own.
func OfProcess(pid int) (*Group, error) {
	path, err := cgroupPathOf(fmt.Sprint(pid))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("find process %d: there is none", pid)
	}
	if err != nil {
		return nil, err
	}
	g := &Group{Path: path, Of: fmt.Sprintf("process %d", pid)}
	own := map[int]bool{pid: true}
	err = g.others(func(m Member) bool { return descends(m.PID, own) })
	return g, err
}

// OfContainer gives the group of a container, by its name, its ID or the beginning of
// that, or its pod.
func OfContainer(ctx context.Context, name string) (*Group, error) {
	holders, _, err := procfs.FS{}.ScanHolders(ctx)
	if err != nil {
		return nil, fmt.Errorf("find container %s: %w", name, err)
	}
	var processes procfs.Processes
	g := &Group{Of: "container " + name}
	inside, ids := map[int]bool{}, map[string]bool{}
	for p := range holders.Processes() {
		info, err := processes.Info(p)
		if err != nil || !info.Container.IsCalled(name) {
			continue
		}
		path, err := cgroupPathOf(fmt.Sprint(p.PID))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find container %s: %w", name, err)
		}
		inside[int(p.PID)], ids[info.Container.ID] = true, true
		if g.Path == "" {
			g.Path = path
		}
		g.Path = common(g.Path, path)
	}
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("find container %s: no process runs in one of that name, ID or pod: tcpvet count --by container lists them", name)
	case len(ids) > 1:
		return nil, fmt.Errorf("find container %s: %d containers are called so: give an ID", name, len(ids))
	}
	err = g.others(func(m Member) bool { return inside[m.PID] })
	return g, err
}

// common gives the folder that both are, or are in.
func common(a, b string) string {
	for a != b && !strings.HasPrefix(b, a+"/") && a != "/" {
		a = filepath.Dir(a)
	}
	return a
}

// others notes the members that are not wanted.
func (g *Group) others(wanted func(Member) bool) error {
	c, err := openCgroup(g.Path)
	if err != nil {
		return err
	}
	defer c.dir.Close()
	members, err := c.members()
	g.Others = slices.DeleteFunc(members, wanted)
	return err
}

// descends tells whether a process is of a family, or a descendant of one that is, and
// notes it.
func descends(pid int, family map[int]bool) bool {
	for at := range lineage(pid) {
		if family[at] {
			family[pid] = true
			return true
		}
	}
	return false
}

// checkPool says which address of the pool a network namespace of the group's processes
// does not have.
func (g *Group) checkPool(c *cgroup, pool []netip.Addr) error {
	if len(pool) == 0 {
		return nil
	}
	members, err := c.members()
	if err != nil {
		return err
	}
	found, _, err := netns.Find(netns.Options{})
	if err != nil {
		return err
	}
	seen := map[tcpvet.NetnsID]bool{}
	for _, m := range members {
		p, _, err := procfs.FS{}.Descriptors(int32(m.PID))
		if err != nil {
			continue // it has ended
		}
		info, err := procfs.FS{}.ProcessInfo(p)
		if err != nil || info.Netns == 0 || seen[info.Netns] {
			continue
		}
		seen[info.Netns] = true
		i := slices.IndexFunc(found, func(f netns.Found) bool { return f.ID == info.Netns })
		if i < 0 {
			continue
		}
		if err := found[i].Do(func() error { return checkLocal(pool) }); err != nil {
			return fmt.Errorf("%w (of %v)", err, m)
		}
	}
	return nil
}
