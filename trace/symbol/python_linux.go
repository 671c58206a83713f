package symbol

import (
	"debug/elf"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// interpreter is the CPython of a process.
type interpreter struct {
	minor   int    // 3.minor
	file    string // base name of what holds it
	at      mapping
	runtime uint64 // address of _PyRuntime
	code    uint64 // address of PyCode_Type
	layout  pythonLayout
	err     error // why its frames cannot be read, nil where they can
	codes   map[uint64]pythonCode
}

// in tells whether what holds the interpreter is mapped where it was.
func (i *interpreter) in(maps []mapping) bool {
	m := find(maps, i.at.low)
	return m != nil && *m == i.at
}

// pythonName matches what holds an interpreter, with its minor version. The letters that
// may follow are those of builds that are laid out otherwise: d for debug.
var pythonName = regexp.MustCompile(`^(?:libpython|python)3\.(\d+)([a-z]*)(?:\.so.*)?$`)

// interpreterOf finds the interpreter of a process, nil for none. Until the program
// has initialised it, its frames cannot be read: asked again later, they can.
func (r *Resolver) interpreterOf(p *process) *interpreter {
	if p.python != nil && (p.python.err == nil || p.gone) {
		return p.python
	}
	var at *mapping
	minor, letters := 0, ""
	for i := range p.maps {
		m := &p.maps[i]
		found := pythonName.FindStringSubmatch(path.Base(m.path))
		if found == nil || m.inode == 0 || at != nil && !strings.HasPrefix(path.Base(m.path), "lib") {
			continue
		}
		if at == nil || path.Base(m.path) != path.Base(at.path) { // the library goes before the program
			at = m
			minor, _ = strconv.Atoi(found[1])
			letters = found[2]
		}
	}
	if at == nil {
		return nil
	}
	p.python = &interpreter{minor: minor, file: clean(path.Base(at.path)), at: *at, codes: map[uint64]pythonCode{}}
	p.python.err = r.readInterpreter(p, at, letters)
	return p.python
}

// readInterpreter finds where the interpreter keeps its frames, and tries whether it
// does.
func (r *Resolver) readInterpreter(p *process, at *mapping, letters string) (err error) {
	defer recovered(&err, "read interpreter")
	python := p.python
	layout, known := pythonLayouts[python.minor]
	switch {
	case !known && python.minor != 13:
		return fmt.Errorf("CPython 3.%d is none of those whose frames can be read, 3.8 to 3.13", python.minor)
	case strings.Trim(letters, "t") != "" || letters != "" && python.minor != 13:
		return fmt.Errorf("CPython 3.%d%s is a special build; only release builds can be read", python.minor, letters)
	}
	im := r.tables(p, at, r.file(p, at)) // it may never open a connection: no gap
	if im == nil {
		return fmt.Errorf("%s cannot be read", python.file)
	}
	bias, ok := im.bias(at)
	if !ok {
		return fmt.Errorf("%s is not mapped as a program is", python.file)
	}
	runtime, code := dynamicSymbol(im.elf, "_PyRuntime"), dynamicSymbol(im.elf, "PyCode_Type")
	if runtime == 0 || code == 0 {
		return fmt.Errorf("%s exports no _PyRuntime", python.file)
	}
	python.runtime, python.code = runtime+bias, code+bias
	if python.minor == 13 {
		var b [debugOffsets]byte
		if !p.memory(python.runtime, b[:]) {
			return fmt.Errorf("the memory of the process cannot be read")
		}
		if layout, err = layout313(b[:]); err != nil {
			return err
		}
	}
	python.layout = layout
	return python.check(p)
}

// check walks to the threads of the first interpreter. Where they do not point back to
// it, it is laid out otherwise than its version should be.
func (i *interpreter) check(p *process) error {
	head, ok := p.word(i.runtime + uint64(i.layout.interpreters))
	if !ok || head == 0 {
		return fmt.Errorf("the interpreter is not up yet")
	}
	thread, ok := p.word(head + uint64(i.layout.threads))
	if !ok || thread == 0 {
		return fmt.Errorf("the interpreter has no thread yet")
	}
	for n := 0; thread != 0 && n < 16; n++ {
		back, ok := p.word(thread + uint64(i.layout.interp))
		if !ok || back != head {
			return fmt.Errorf("its frames are not where those of CPython 3.%d are", i.minor)
		}
		thread, _ = p.word(thread + uint64(i.layout.next))
	}
	return nil
}

// bias gives how far from where the linker put it a file is mapped.
func (im *image) bias(m *mapping) (uint64, bool) {
	page := uint64(4095)
	for _, s := range im.segments {
		if low := s.offset &^ page; low <= m.offset && m.offset < s.offset+s.size {
			return m.low - m.offset + s.offset - s.address, true
		}
	}
	return 0, false
}

// dynamicSymbol gives the address of what a file exports, 0 for none.
func dynamicSymbol(f *elf.File, name string) uint64 {
	list, err := f.DynamicSymbols()
	if err != nil {
		return 0
	}
	for _, s := range list {
		if s.Name == name && s.Section != elf.SHN_UNDEF {
			return s.Value
		}
	}
	return 0
}

// PythonLayout tells the kernel side where a process has its CPython interpreter: the
// bytes of struct python_layout of trace/bpf/python.h. nil where it has none, or none
// whose frames can be read; Advice says what to do then.
func (r *Resolver) PythonLayout(key tcpvet.Process) []byte {
	p := r.process(key)
	python := r.interpreterOf(p)
	if (python == nil || python.err != nil) && !p.gone && p.asked.due(time.Now()) {
		p.load() // its library may have been loaded meanwhile
		python = r.interpreterOf(p)
	}
	if python == nil || python.err != nil {
		return nil
	}
	return python.layout.encode(key.Start, python.runtime)
}

// pythonFrames reads what the calls of the interpreter are of.
func (r *Resolver) pythonFrames(p *process, calls []PythonCall) []tcpvet.Frame {
	python := r.interpreterOf(p)
	if python == nil || python.err != nil {
		return nil
	}
	var frames []tcpvet.Frame
	for _, call := range calls {
		if call.Code == 0 { // stands for C code
			continue
		}
		code, ok := python.read(p, call.Code)
		if !ok {
			frames = append(frames, tcpvet.Frame{Module: python.file, Address: call.Code})
			continue
		}
		offset := call.At - call.Code - uint64(python.layout.bytecode)
		if python.layout.atBytes == 4 {
			offset = call.At
		}
		line := 0
		if offset < 1<<24 {
			line = python.layout.decode(code.table, int(offset), int(code.firstLine))
		}
		frames = append(frames, tcpvet.Frame{
			Symbol: code.symbol, File: code.file, Line: max(line, 0), Module: python.file, Address: call.Code,
		})
	}
	return frames
}

// withPython puts the frames of Python where the native ones enter the interpreter.
func withPython(native, python []tcpvet.Frame) []tcpvet.Frame {
	if len(python) == 0 {
		return native
	}
	var frames []tcpvet.Frame
	for _, f := range native {
		if f.Module == python[0].Module || strings.Contains(f.Module, "python3") {
			break
		}
		frames = append(frames, f)
	}
	return append(frames, python...)
}

// Advice says what to switch on so that more is known of a process's stacks, "" where
// there is nothing to add.
func (r *Resolver) Advice(key tcpvet.Process) string {
	p := r.process(key)
	if python := r.interpreterOf(p); python != nil && python.err != nil && p.perf == nil {
		advice := fmt.Sprintf("%s: %v", python.file, python.err)
		if python.minor >= 12 {
			advice += "; start it with -X perf, or with PYTHONPERFSUPPORT=1, and its functions are named"
		}
		return advice
	}
	for i := range p.maps {
		m := &p.maps[i]
		if !m.exec || m.inode == 0 || p.perf != nil {
			continue
		}
		switch base := path.Base(m.path); {
		case base == "node":
			return "node: start it with --perf-basic-prof --interpreted-frames-native-stack, and its functions are named"
		case base == "libjvm.so":
			return "java: start it with -XX:+PreserveFramePointer, then run jcmd " + strconv.Itoa(int(key.PID)) + " Compiler.perfmap (JDK 17 or later), and the methods that it has compiled are named"
		}
	}
	return ""
}
