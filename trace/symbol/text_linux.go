package symbol

import (
	"bytes"
	"os"
	"strings"
)

// text is the code of a process, as chain asks about it.
type text struct {
	r *Resolver
	p *process
}

func (t *text) call(ret uint64) (uint64, bool) {
	m := t.p.wordMapping(ret - 1)
	if m == nil || !m.exec {
		return 0, false
	}
	b, a := t.before(m, ret)
	target, ok := a.call(b, ret)
	if ok && target != 0 {
		target = t.throughStub(target)
	}
	return target, ok
}

// before reads the code before ret: from its file, else from memory.
func (t *text) before(m *mapping, ret uint64) ([]byte, arch) {
	var b [maxCall]byte
	if im, v := t.r.code(t.p, ret-1); im != nil {
		return im.codeBefore(v+1, b[:]), im.arch
	}
	n := min(uint64(len(b)), ret-m.low)
	if !t.p.memory(ret-n, b[:n]) {
		return nil, native
	}
	return b[:n], native
}

// throughStub follows a stub of the procedure linkage table to the function that it
// leads to.
func (t *text) throughStub(target uint64) uint64 {
	im, v := t.r.code(t.p, target)
	if im == nil || im.arch != amd64 {
		return target
	}
	var b [16]byte
	if !readMemory(im.elf.Progs, v, b[:]) {
		return target
	}
	slot, ok := stubSlot(b[:], target)
	if !ok {
		return target
	}
	to, ok := t.p.word(slot)
	if !ok || t.p.wordMapping(to) == nil {
		return 0
	}
	return to
}

func (t *text) function(a uint64) uint64 {
	im, v := t.r.code(t.p, a)
	if im == nil {
		return 0
	}
	start, ok := im.start(v)
	if !ok {
		return 0
	}
	return a - (v - start)
}

func (t *text) jumps(from, to uint64) bool {
	im, v := t.r.code(t.p, from)
	if im == nil {
		return false
	}
	found := false
	im.targets(v, func(target uint64) bool {
		target += from - v
		found = target == to || t.p.wordMapping(target) != nil && t.throughStub(target) == to
		return !found
	})
	return found
}

// outermostNames are the functions that processes and threads begin in (glibc, musl).
var outermostNames = map[string]bool{
	"_start": true, "start": true, "start_thread": true, "clone": true, "clone3": true,
	"libc_start_main": true, "libc_start_call_main": true, "runtime.goexit": true,
}

func (t *text) outermost(a uint64) bool {
	frames := t.r.at(t.p, a+1)
	name := frames[len(frames)-1].Symbol
	return outermostNames[name] || outermostNames[strings.TrimLeft(name, "_")]
}

// vdsoImage reads the code that the kernel maps into every process, from our own.
func (r *Resolver) vdsoImage() *image {
	if r.vdsoTried {
		return r.vdso
	}
	r.vdsoTried = true
	maps, err := readBounded("/proc/self/maps", maxMapsText)
	if err != nil {
		return nil
	}
	for _, m := range parseMaps(maps) {
		if m.path != "[vdso]" || m.high-m.low > 1<<20 {
			continue
		}
		mem, err := os.Open("/proc/self/mem")
		if err != nil {
			return nil
		}
		defer mem.Close()
		b := make([]byte, m.high-m.low)
		if _, err := mem.ReadAt(b, int64(m.low)); err != nil {
			return nil
		}
		r.vdso, _ = openImage(bytes.NewReader(b), nil, 0)
	}
	return r.vdso
}
