package bpfiter

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
)

// firstBatch is how many entries of a table are read at once, unless a bucket
// holds more.
const firstBatch = 256

// lookup is BatchLookup or BatchLookupAndDelete of a map.
type lookup func(c *ebpf.MapBatchCursor, keys, values any, opts *ebpf.BatchOptions) (int, error)

// entries reads a table of keys K and values V to its end; both hold until yield
// returns.
func entries[K, V any](m *ebpf.Map, yield func(*K, *V) error) error {
	return readTable(m, m.BatchLookup, yield)
}

// empty takes all entries out of a table.
func empty[K, V any](m *ebpf.Map) error {
	return readTable(m, m.BatchLookupAndDelete, func(*K, *V) error { return nil })
}

func readTable[K, V any](m *ebpf.Map, read lookup, yield func(*K, *V) error) error {
	keys, values := make([]K, firstBatch), make([]V, firstBatch)
	var c ebpf.MapBatchCursor
	for {
		at := c
		n, err := read(&c, keys, values, nil)
		if errors.Is(err, syscall.ENOSPC) && n == 0 && len(keys) < 1<<20 {
			c = at
			keys, values = make([]K, 2*len(keys)), make([]V, 2*len(keys))
			continue
		}
		last := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !last {
			return fmt.Errorf("read table of BPF program: %w", err)
		}
		for i := range n {
			if err := yield(&keys[i], &values[i]); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}
