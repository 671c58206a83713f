package symbol

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// process is what is kept of one process.
type process struct {
	key    tcpvet.Process
	dir    string // /proc/PID
	maps   []mapping
	exe    string       // what it runs
	vain   [2]time.Time // when mappings were last read for what is in none of them: an address, a word
	gone   bool         // it has ended, or its PID is another's
	denied bool         // that its files may not be opened was told
	root   int          // descriptor of its root directory, -1 for none
	uid    uint32
	nsPID  string // its PID as it sees it itself
	perf   *perfMap
	perfAt perfFile
	frames map[uint64][]tcpvet.Frame // by return address in code of files
	python *interpreter
	asked  backoff // of mappings that were read for an interpreter
	used   uint64
}

// refresh is how long mappings and perf maps are not read again after that was in vain:
// an address in none of them need not be one at all.
const refresh = 250 * time.Millisecond

// backoff holds back what was in vain, for twice as long each time, up to refresh: a
// process that has just begun changes quickly.
type backoff struct {
	next time.Time
	wait time.Duration
}

// due tells whether it may be tried now, and counts it as tried.
func (b *backoff) due(now time.Time) bool {
	if now.Before(b.next) {
		return false
	}
	b.wait = min(max(2*b.wait, soonest), refresh)
	b.next = now.Add(b.wait)
	return true
}

// soonest is how long it takes at least until a library may have been loaded.
const soonest = 4 * time.Millisecond

// maxFrames bounds the addresses remembered of one process.
const maxFrames = 1 << 14

// maxMapsText bounds what is read of /proc/PID/maps.
const maxMapsText = 64 << 20

// load reads the mappings, and forgets what was known of addresses by those before. It
// leaves all as it was where the process has ended.
func (p *process) load() {
	text, err := readBounded(p.dir+"/maps", maxMapsText)
	// Asked afterwards: the PID may have become another's meanwhile.
	if start, ok := startOf(p.dir); !ok || start != p.key.Start {
		p.gone = true
		return
	}
	if err != nil {
		return
	}
	old := p.maps
	if p.maps = parseMaps(text); !sameCode(old, p.maps) {
		clear(p.frames)
		if p.python != nil && !p.python.in(p.maps) {
			p.python = nil
		}
	}
}

// enter opens what outlives the process as long as it is held.
func (p *process) enter() {
	p.root = -1
	if fd, err := unix.Open(p.dir+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		p.root = fd
	}
	p.nsPID = path.Base(p.dir)
	status, err := readBounded(p.dir+"/status", 64<<10)
	if err != nil {
		return
	}
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(value)
		switch {
		case len(fields) == 0:
		case string(name) == "NSpid":
			p.nsPID = string(fields[len(fields)-1])
		case string(name) == "Uid" && len(fields) > 1:
			uid, _ := strconv.ParseUint(string(fields[1]), 10, 32)
			p.uid = uint32(uid)
		}
	}
}

func (p *process) close() {
	if p.root >= 0 {
		unix.Close(p.root)
		p.root = -1
	}
}

// mapping finds the one that holds an address. Code may have been loaded since the
// mappings were read.
func (p *process) mapping(a uint64) *mapping { return p.look(a, &p.vain[0]) }

// wordMapping does so for a word of a stack, most of which are no addresses at all.
func (p *process) wordMapping(a uint64) *mapping { return p.look(a, &p.vain[1]) }

func (p *process) look(a uint64, vain *time.Time) *mapping {
	m := find(p.maps, a)
	if m == nil && !p.gone && time.Since(*vain) > refresh {
		p.load()
		if m = find(p.maps, a); m == nil {
			*vain = time.Now()
		}
	}
	return m
}

// sameCode tells whether two readings show the same code of files.
func sameCode(a, b []mapping) bool {
	next := func(maps []mapping) []mapping {
		for len(maps) > 0 && (!maps[0].exec || maps[0].inode == 0) {
			maps = maps[1:]
		}
		return maps
	}
	for a, b = next(a), next(b); len(a) > 0 && len(b) > 0; a, b = next(a[1:]), next(b[1:]) {
		if a[0] != b[0] {
			return false
		}
	}
	return len(a) == len(b)
}

// execed tells whether the process has come to run another program, in other mappings.
func (p *process) execed() bool {
	exe, err := os.Readlink(p.dir + "/exe")
	if err != nil || exe == p.exe {
		return false
	}
	p.exe = exe
	return true
}

// memory reads the memory of the process.
func (p *process) memory(a uint64, b []byte) bool {
	if p.gone || !userAddress(a) {
		return false
	}
	local := unix.Iovec{Base: &b[0]}
	local.SetLen(len(b))
	n, err := unix.ProcessVMReadv(int(p.key.PID), []unix.Iovec{local},
		[]unix.RemoteIovec{{Base: uintptr(a), Len: len(b)}}, 0)
	if err == unix.ESRCH {
		p.gone = true
	}
	return err == nil && n == len(b)
}

// word reads a word of the memory of the process.
func (p *process) word(a uint64) (uint64, bool) {
	var b [8]byte
	ok := p.memory(a, b[:])
	return binary.LittleEndian.Uint64(b[:]), ok
}

// open opens a file as the process sees it. No link leads out of its root.
func (p *process) open(name string) (*os.File, error) {
	if p.root < 0 {
		return nil, unix.ENOENT
	}
	fd, err := unix.Openat2(p.root, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, err
	}
	return regular(os.NewFile(uintptr(fd), name))
}

// regular gives f back if it is a regular file: another may block, or have no end.
func regular(f *os.File) (*os.File, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = unix.EINVAL
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// startOf reads when a process started, field 22 of /proc/PID/stat.
func startOf(dir string) (uint64, bool) {
	b, err := readBounded(dir+"/stat", 4096)
	if err != nil {
		return 0, false
	}
	// The name in the second field may hold spaces and parentheses.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return 0, false
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return start, err == nil
}

func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
