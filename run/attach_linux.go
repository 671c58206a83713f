package run

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// programs are in the kernel and attached to one cgroup, as long as they are held or
// pinned.
type programs struct {
	objects birthsObjects
	links   [hooks]link.Link
	tasks   bool // leaks at the end and openers can be told
}

// The links, and by what names they are pinned.
const (
	hookBorn = iota
	hookConnects4
	hookConnects6
	hooks
)

var hookNames = [hooks]string{"born", "connects4", "connects6"}

// attach loads the programs and attaches them to the cgroup.
func attach(place *cgroup, o Options) (*programs, error) {
	pools, err := o.pools()
	if err != nil {
		return nil, err
	}
	p := &programs{}
	if err := p.load(o.Timers, seesKernel()); err != nil {
		return nil, err
	}
	about := factsRecordOf(&o, place)
	if err := p.fill(pools, &about); err != nil {
		return nil, errors.Join(err, p.close())
	}
	// Connects first: what born counts, they have noted.
	for _, h := range []struct {
		n    int
		prog *ebpf.Program
		at   ebpf.AttachType
	}{
		{hookConnects4, p.objects.Connects4, ebpf.AttachCGroupInet4Connect},
		{hookConnects6, p.objects.Connects6, ebpf.AttachCGroupInet6Connect},
		{hookBorn, p.objects.Born, ebpf.AttachCGroupSockOps},
	} {
		l, err := attachTo(place, h.prog, h.at)
		if err != nil {
			return nil, errors.Join(explain(err), p.close())
		}
		p.links[h.n] = l
	}
	return p, nil
}

// fromTheRoot is BPF_F_PREORDER (linux/bpf.h): programs of a group run before those of
// the groups below it.
const fromTheRoot = 1 << 6

// attachTo attaches a program. Where a run is within another the inner one has its way:
// of values that which is set last, so the outer one goes first, which the kernel can do
// since Linux 6.16; of addresses that which is bound first, and the kernel begins with
// the inner one of itself.
func attachTo(place *cgroup, prog *ebpf.Program, at ebpf.AttachType) (link.Link, error) {
	o := link.RawLinkOptions{Target: int(place.dir.Fd()), Program: prog, Attach: at}
	if at == ebpf.AttachCGroupSockOps {
		o.Flags = fromTheRoot
		l, err := link.AttachRawLink(o)
		if !errors.Is(err, unix.EINVAL) {
			return l, err
		}
		o.Flags = 0
	}
	return link.AttachRawLink(o)
}

// load sets what the programs give, and puts them into the kernel.
func (p *programs) load(timers tcpvet.Timers, tasks bool) error {
	spec, err := loadBirths()
	if err != nil {
		return fmt.Errorf("read BPF object: %w", err)
	}
	t := timersRecordOf(timers)
	for name, value := range map[string]any{
		birthsVarKeepaliveIdle:     t.Idle,
		birthsVarKeepaliveInterval: t.Interval,
		birthsVarKeepaliveCount:    t.Count,
		birthsVarUserTimeout:       t.UserTimeout,
		birthsVarSeesKernel:        tasks,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return fmt.Errorf("load BPF programs: %w", err)
	}
	p.tasks = tasks
	return nil
}

// fill writes what the programs read, and what others read of them.
func (p *programs) fill(pools [pools][]netip.Addr, about *factsRecord) error {
	for kind, list := range pools {
		for i, a := range list {
			if err := p.objects.Addresses.Put(uint32(kind*maxPool+i), addressRecord(a)); err != nil {
				return fmt.Errorf("write the source pool: %w", err)
			}
		}
		about.Pools[kind] = uint32(len(list))
		if err := p.objects.Lengths.Put(uint32(kind), about.Pools[kind]); err != nil {
			return fmt.Errorf("write the source pool: %w", err)
		}
	}
	if p.tasks {
		about.SawKernel = 1
	}
	if err := p.objects.Facts.Put(uint32(0), about); err != nil {
		return fmt.Errorf("write what the run is: %w", err)
	}
	return nil
}

// close takes the programs out of the kernel, unless they are pinned.
func (p *programs) close() error {
	var errs []error
	for _, l := range p.links {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(append(errs, p.objects.Close())...)
}

// summary reads what was counted so far.
func (p *programs) summary() (Summary, error) {
	return summarize(p.objects.Counts, p.objects.OwnValues, p.tasks)
}

// Attached is a group whose new sockets get what the options say, until Close.
type Attached struct {
	group    *cgroup
	programs *programs
}

// Attach begins. It ends with the process at the latest.
func (g *Group) Attach(o Options) (*Attached, error) {
	c, err := g.ready(&o)
	if err != nil {
		return nil, err
	}
	p, err := attach(c, o)
	if err != nil {
		return nil, errors.Join(err, c.dir.Close())
	}
	return &Attached{c, p}, nil
}

// ready opens the group where all that is needed is there.
func (g *Group) ready(o *Options) (*cgroup, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if err := Probe(); err != nil {
		return nil, err
	}
	c, err := openCgroup(g.Path)
	if err != nil {
		return nil, err
	}
	if err := g.checkPool(c, o.Pool); err != nil {
		c.dir.Close()
		return nil, err
	}
	return c, nil
}

// Summary reads what was counted so far.
func (a *Attached) Summary() (Summary, error) { return a.programs.summary() }

// Gone tells whether the group was removed, so that there is nothing to be seen any
// more.
func (a *Attached) Gone() bool {
	_, err := a.group.read("cgroup.procs")
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV)
}

// Close ends it. Sockets keep what they have.
func (a *Attached) Close() error { return errors.Join(a.programs.close(), a.group.dir.Close()) }
