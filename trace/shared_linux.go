package trace

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// shared is what the objects of a trace have in common: constants, and tables that the
// first one made.
type shared struct {
	constants map[string]any
	entries   map[string]uint32 // of tables
	inView    []uint32          // network namespaces, none for all
	maps      map[string]*ebpf.Map
}

// newShared works out what the programs are told. wanted are the kinds.
func newShared(o Options) (*shared, error) {
	space, err := pidSpace()
	if err != nil {
		return nil, err
	}
	boot, err := clockOffset("boottime", unix.CLOCK_BOOTTIME)
	if err != nil {
		return nil, err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("count processors: %w", err)
	}
	s := &shared{
		constants: map[string]any{
			"reader_pidns": space, "reader_ahead": int64(boot),
			"some_namespaces": len(o.Netns) > 0, "wanted": uint32(o.Kinds), "calls_too": o.Calls,
			"places_mask": uint64(o.places() - 1),
		},
		entries: map[string]uint32{
			"conns": max(uint32(o.Connections)-o.places(), 1), "places": o.places() + 2*uint32(cpus), "ring": uint32(o.Ring), "namespaces": uint32(max(len(o.Netns), 1)),
		},
	}
	if len(o.Netns) == 1 {
		s.constants["only_namespace"] = uint32(o.Netns[0])
	}
	for _, id := range o.Netns {
		s.inView = append(s.inView, uint32(id))
	}
	return s, nil
}

// bounded gives o with its usual values, and an error for what is out of range.
func (o Options) bounded() (Options, error) {
	if o.Kinds == 0 {
		o.Kinds = Opens | Fails | Closes
	}
	if o.Connections == 0 {
		o.Connections = usualConnections
	}
	if o.Ring == 0 {
		o.Ring = usualRing
	}
	if o.PassShare == 0 {
		o.PassShare = usualPassShare
	}
	switch {
	case o.Kinds > allKinds:
		return o, fmt.Errorf("trace: kinds %#x are unknown", uint8(o.Kinds))
	case o.Connections < 1 || o.Connections > mostConnections:
		return o, fmt.Errorf("trace: %d connections: give 1 to %d, or 0 for %d", o.Connections, mostConnections, usualConnections)
	case math.IsNaN(o.PassShare) || o.PassShare > 1:
		return o, fmt.Errorf("trace: a share of %v for passes over descriptors: give 0 to 1", o.PassShare)
	case o.Ring < 1 || o.Ring > mostRing:
		return o, fmt.Errorf("trace: a ring of %d bytes: give 1 to %d, or 0 for %d", o.Ring, mostRing, usualRing)
	}
	o.Ring = max(1<<bits.Len(uint(o.Ring-1)), leastRing)
	return o, nil
}

// places is how many connections may have a place of their own. The others are in the
// table.
func (o Options) places() uint32 { return 1 << (bits.Len(uint(max(o.Connections/4, 1))) - 1) }

// load puts an object into the kernel. Tables of the same name are one.
func (s *shared) load(spec func() (*ebpf.CollectionSpec, error), objects any) error {
	sp, err := spec()
	if err != nil {
		return fmt.Errorf("read BPF object: %w", err)
	}
	for name, value := range s.constants {
		if v := sp.Variables[name]; v != nil {
			if err := v.Set(value); err != nil {
				return fmt.Errorf("set %s of BPF program: %w", name, err)
			}
		}
	}
	for name, n := range s.entries {
		if m := sp.Maps[name]; m != nil {
			m.MaxEntries = n
		}
	}
	var opts ebpf.CollectionOptions
	for name, m := range s.maps {
		if sp.Maps[name] != nil {
			if opts.MapReplacements == nil {
				opts.MapReplacements = make(map[string]*ebpf.Map)
			}
			opts.MapReplacements[name] = m
		}
	}
	if err := sp.LoadAndAssign(objects, &opts); err != nil {
		if missing := lacks(states); missing != nil {
			return missing
		}
		return fmt.Errorf("load BPF programs: %w", err)
	}
	return nil
}

// show fills the table of the namespaces that are looked at.
func (s *shared) show(namespaces *ebpf.Map) error {
	for _, id := range s.inView {
		if err := namespaces.Put(id, uint8(1)); err != nil {
			return fmt.Errorf("tell the BPF programs of network namespace %d: %w", id, err)
		}
	}
	return nil
}
