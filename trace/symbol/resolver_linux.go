package symbol

import (
	"cmp"
	"errors"
	"path"
	"strconv"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// Options of a Resolver. The zero value reads the machine.
type Options struct {
	FS        procfs.FS
	Memory    int64 // bytes of tables kept at once, about; 0 is 256 MiB
	Processes int   // whose mappings are kept; 0 is 1,024
}

// Resolver turns addresses into frames. It keeps the tables of files and the mappings
// of processes, the last used ones. It is for one goroutine at a time.
type Resolver struct {
	opt       Options
	processes map[tcpvet.Process]*process
	files     map[fileKey]*file
	vdso      *image
	vdsoTried bool
	bytes     int64
	clock     uint64
	gaps      map[tcpvet.Gap]int
}

// New makes a Resolver.
func New(opt Options) *Resolver {
	if opt.FS.Root == "" {
		opt.FS.Root = "/proc"
	}
	opt.Memory = cmp.Or(opt.Memory, 256<<20)
	opt.Processes = cmp.Or(opt.Processes, 1024)
	return &Resolver{
		opt:       opt,
		processes: map[tcpvet.Process]*process{},
		files:     map[fileKey]*file{},
		gaps:      map[tcpvet.Gap]int{},
	}
}

// Prepare reads what is gone when the process is: its mappings, and opens the files
// that hold its code. It is cheap where that has been done.
func (r *Resolver) Prepare(p tcpvet.Process) { r.process(p) }

func (r *Resolver) process(key tcpvet.Process) *process {
	if p := r.processes[key]; p != nil {
		p.used = r.tick()
		if !p.gone && p.execed() {
			p.python, p.asked = nil, backoff{}
			p.load()
			r.openFiles(p)
		}
		return p
	}
	p := &process{
		key:    key,
		dir:    path.Join(r.opt.FS.Root, strconv.Itoa(int(key.PID))),
		root:   -1,
		frames: map[uint64][]tcpvet.Frame{},
		used:   r.tick(),
	}
	r.processes[key] = p
	if len(r.processes) > r.opt.Processes {
		oldest := key
		for k, q := range r.processes {
			if q.used < r.processes[oldest].used {
				oldest = k
			}
		}
		r.forgetProcess(oldest)
	}
	if !key.Known() {
		p.gone = true
		return p
	}
	p.execed()
	if p.load(); p.gone {
		return p
	}
	p.enter()
	r.openFiles(p)
	return p
}

// openFiles opens the files that hold the code of a process.
func (r *Resolver) openFiles(p *process) {
	for i := range p.maps {
		if m := &p.maps[i]; m.exec && m.inode != 0 {
			r.file(p, m)
		}
	}
}

// Frames gives the calls of a stack, innermost first. It cannot fail: what is not known
// of a frame is left out, and of a process that has vanished the addresses remain.
func (r *Resolver) Frames(key tcpvet.Process, s Stack) []tcpvet.Frame {
	p := r.process(key)
	for _, a := range s.Addresses {
		if userAddress(a) {
			p.mapping(a - 1) // reads the mappings anew where it is in none
		}
	}
	// Those of Python first: they are read from the process, which may end any moment,
	// and the tables of files take their time.
	var python []tcpvet.Frame
	if len(s.Python) > 0 {
		python = r.pythonFrames(p, s.Python)
	}
	var words []uint64
	if len(s.Words) > 0 && !r.golang(p, s.Addresses) {
		words = s.Words
	}
	var frames []tcpvet.Frame
	for _, step := range chain(s.Addresses, words, &text{r, p}) {
		from := len(frames)
		frames = append(frames, r.at(p, step.ret)...)
		if step.likely {
			for i := range frames[from:] {
				frames[from+i].Certainty = tcpvet.Likely
			}
		}
	}
	return withPython(frames, python)
}

// golang tells whether a stack is of Go code: that keeps frame pointers everywhere, so
// that words could only add what is old.
func (r *Resolver) golang(p *process, addresses []uint64) bool {
	for _, a := range addresses {
		if userAddress(a) {
			im, v := r.code(p, a-1)
			return im != nil && im.golang != nil && im.golang.places(v) != nil
		}
	}
	return false
}

// code finds the image that holds an address, and the address in it.
func (r *Resolver) code(p *process, a uint64) (*image, uint64) {
	m := p.mapping(a)
	if m == nil {
		return nil, 0
	}
	im := (*image)(nil)
	switch {
	case m.inode != 0:
		im = r.image(p, m)
	case m.path == "[vdso]":
		im = r.vdsoImage()
	}
	if im == nil {
		return nil, 0
	}
	v, ok := im.address(a - m.low + m.offset)
	if !ok {
		return nil, 0
	}
	return im, v
}

// at gives the frames of one return address: more than one where calls were inlined.
func (r *Resolver) at(p *process, ret uint64) []tcpvet.Frame {
	if known := p.frames[ret]; known != nil {
		return known
	}
	a := ret - 1 // within the call
	m := p.mapping(a)
	if m == nil {
		return []tcpvet.Frame{{Address: ret}}
	}
	frame := tcpvet.Frame{Address: ret, Module: module(m)}
	if m.inode == 0 && m.path != "[vdso]" {
		if at, ok := r.compiled(p, a); ok {
			frame.Symbol, frame.File, frame.Line = at.symbol, at.file, at.line
			frame.Module = "perf-" + p.nsPID + ".map"
		}
		return []tcpvet.Frame{frame} // code there may be replaced
	}
	var frames []tcpvet.Frame
	if im, v := r.code(p, a); im != nil {
		frame.Address = v + 1
		for _, at := range im.places(v) {
			frame.Symbol, frame.File, frame.Line = at.symbol, at.file, at.line
			frames = append(frames, frame)
		}
	}
	if frames == nil {
		frames = []tcpvet.Frame{frame}
	}
	if len(p.frames) >= maxFrames {
		clear(p.frames)
	}
	p.frames[ret] = frames
	return frames
}

// module names what holds code.
func module(m *mapping) string {
	switch {
	case m.path == "" || m.path[0] != '[' && m.inode == 0:
		return "[anon]"
	case m.path[0] == '[':
		return clean(m.path)
	}
	return clean(path.Base(m.path))
}

// Close closes what is held open.
func (r *Resolver) Close() error {
	for key := range r.processes {
		r.forgetProcess(key)
	}
	var errs []error
	for key := range r.files {
		errs = append(errs, r.forgetFile(key))
	}
	return errors.Join(errs...)
}
