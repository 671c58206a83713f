package run

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// Runs are those that go on without the process that began them: their programs are
// pinned in a BPF file system, below tcpvet/run-ID.
type Runs struct {
	Dir string // where the BPF file system is mounted, "" for kernel.BPFFS
}

const pinPrefix = "run-"

// What is pinned beside the links.
const (
	pinFacts     = "facts"
	pinCounts    = "counts"
	pinOwn       = "own_values"
	pinAddresses = "addresses"
)

// Detached is a run that goes on by itself.
type Detached struct {
	ID      string
	Path    string // of the cgroup's folder
	Since   time.Time
	Options Options
	Summary Summary

	// Gone tells that the programs are attached no more, since the cgroup was
	// removed: nothing is left to be done but to stop it.
	Gone bool

	// Err says why it is not whole: whoever began it was killed meanwhile, or
	// others took away a part. It can be stopped.
	Err error
}

// ErrNoRun says that there is no run of an ID.
var ErrNoRun = errors.New("there is no such run")

// NewID gives the ID of a run to come: the time and a few random letters.
func NewID() string {
	var b [2]byte
	rand.Read(b[:])
	return time.Now().UTC().Format("20060102-150405-") + hex.EncodeToString(b[:])
}

func validID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

func (r Runs) root() string {
	if r.Dir == "" {
		return kernel.BPFFS
	}
	return r.Dir
}

func (r Runs) parent() string { return filepath.Join(r.root(), "tcpvet") }

func (r Runs) folder(id string) string { return filepath.Join(r.parent(), pinPrefix+id) }

// Detach gives the new sockets of a group what the options say, until Stop, a reboot,
// or the end of the group.
func (r Runs) Detach(g *Group, o Options, id string) error {
	if err := r.detach(g, o, id); err != nil {
		return fmt.Errorf("detach a run: %w", err)
	}
	return nil
}

func (r Runs) detach(g *Group, o Options, id string) error {
	if !validID(id) {
		return fmt.Errorf("read ID %.80q: expected small letters, digits and dashes", id)
	}
	if len(g.Path) >= maxPath {
		return fmt.Errorf("note cgroup %.80s...: its path has %d bytes, at most %d can be noted", g.Path, len(g.Path), maxPath-1)
	}
	c, err := g.ready(&o)
	if err != nil {
		return err
	}
	defer c.dir.Close()
	if err := kernel.BPFFileSystem(r.root()); err != nil {
		return err
	}
	folder := r.folder(id)
	if err := makeFolder(folder); err != nil {
		return err
	}
	p, err := attach(c, o)
	if err != nil {
		return errors.Join(err, r.remove(folder))
	}
	if err := p.pin(folder); err != nil {
		return errors.Join(err, r.remove(folder), p.close())
	}
	return p.close()
}

// makeFolder makes the folder of a run. Whoever ends a run may remove the one above it
// meanwhile.
func makeFolder(folder string) error {
	const tries = 16
	var err error
	for range tries {
		if err = os.Mkdir(filepath.Dir(folder), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			break
		}
		if err = os.Mkdir(folder, 0o700); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("make %s: %w: run as root", folder, reason(err))
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", folder, reason(err))
	}
	return nil
}

// pin keeps the programs beyond the end of this process. The link that gives sockets
// their values comes last: what is not whole does nothing.
func (p *programs) pin(folder string) error {
	m := &p.objects.birthsMaps
	for _, one := range []struct {
		name string
		it   interface{ Pin(string) error }
	}{
		{pinFacts, m.Facts}, {pinCounts, m.Counts}, {pinOwn, m.OwnValues}, {pinAddresses, m.Addresses},
		{hookNames[hookConnects4], p.links[hookConnects4]},
		{hookNames[hookConnects6], p.links[hookConnects6]},
		{hookNames[hookBorn], p.links[hookBorn]},
	} {
		if err := one.it.Pin(filepath.Join(folder, one.name)); err != nil {
			return fmt.Errorf("pin %s: %w", filepath.Join(folder, one.name), err)
		}
	}
	return nil
}

// List gives the runs, the oldest first.
func (r Runs) List() ([]Detached, error) {
	if err := kernel.BPFFileSystem(r.root()); err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	entries, err := os.ReadDir(r.parent())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list runs: read %s: %w", r.parent(), reason(err))
	}
	var all []Detached
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), pinPrefix)
		if !ok || !e.IsDir() {
			continue
		}
		d := Detached{ID: id}
		if err := d.read(r.folder(id)); err != nil {
			if _, gone := os.Stat(r.folder(id)); errors.Is(gone, os.ErrNotExist) {
				continue // it was stopped meanwhile
			}
			d.Err = err
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Detached) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// read fills in what the pins tell.
func (d *Detached) read(folder string) error {
	maps := map[string]*ebpf.Map{}
	for _, name := range []string{pinFacts, pinCounts, pinOwn, pinAddresses} {
		m, err := ebpf.LoadPinnedMap(filepath.Join(folder, name), &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return fmt.Errorf("open %s of run %s: %w", name, d.ID, err)
		}
		defer m.Close()
		maps[name] = m
	}
	text, err := maps[pinFacts].LookupBytes(uint32(0))
	if err != nil {
		return fmt.Errorf("read what run %s is: %w", d.ID, err)
	}
	facts, err := decodeFacts(text)
	if err != nil {
		return err
	}
	d.Path, d.Since = facts.path(), time.Unix(0, facts.Since)
	d.Options, err = facts.options(func(place uint32) (b [16]byte, err error) {
		return b, maps[pinAddresses].Lookup(place, &b)
	})
	if err != nil {
		return err
	}
	if d.Summary, err = summarize(maps[pinCounts], maps[pinOwn], facts.SawKernel != 0); err != nil {
		return err
	}
	for _, name := range hookNames {
		l, err := link.LoadPinnedLink(filepath.Join(folder, name), nil)
		if err != nil {
			return fmt.Errorf("open %s of run %s: %w", name, d.ID, err)
		}
		info, err := l.Info()
		l.Close()
		if err != nil {
			return fmt.Errorf("read %s of run %s: %w", name, d.ID, err)
		}
		at := info.Cgroup()
		if at == nil {
			return fmt.Errorf("read %s of run %s: it is attached to no cgroup", name, d.ID)
		}
		d.Gone = d.Gone || at.CgroupId == 0
	}
	return nil
}

// find gives the run whose ID is, or begins with, id.
func (r Runs) find(id string) (*Detached, error) {
	all, err := r.List()
	if err != nil {
		return nil, err
	}
	var found []Detached
	for _, d := range all {
		if d.ID == id {
			return &d, nil
		}
		if id != "" && strings.HasPrefix(d.ID, id) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("find run %.80q: %w: tcpvet run --list shows them", id, ErrNoRun)
	case 1:
		return &found[0], nil
	}
	return nil, fmt.Errorf("find run %.80q: %d begin so: give more of the ID", id, len(found))
}

// Stop ends a run, by its ID or the beginning of it, and gives what it came to. Sockets
// keep what they have.
func (r Runs) Stop(id string) (*Detached, error) {
	d, err := r.find(id)
	if err != nil {
		return nil, fmt.Errorf("stop a run: %w", err)
	}
	if err := r.remove(r.folder(d.ID)); err != nil {
		return nil, fmt.Errorf("stop run %s: %w", d.ID, err)
	}
	return d, nil
}

// remove detaches the programs, the one that acts first, and takes the pins away.
func (r Runs) remove(folder string) error {
	for _, name := range hookNames {
		// Without this the kernel detaches them some time after the last pin went
		// (bpf_link_put). It needs Linux 5.9, and a link that is whole.
		if l, err := link.LoadPinnedLink(filepath.Join(folder, name), nil); err == nil {
			_ = l.Detach()
			l.Close()
		}
	}
	names := append(slices.Clone(hookNames[:]), pinFacts, pinCounts, pinOwn, pinAddresses) // born is the first
	for _, name := range names {
		if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", filepath.Join(folder, name), reason(err))
		}
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", folder, reason(err))
	}
	_ = unix.Rmdir(filepath.Dir(folder)) // not where there are others
	return nil
}
