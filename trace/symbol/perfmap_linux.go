package symbol

import (
	"os"
	"syscall"
	"time"
)

// perfFile tells one state of a perf map from another.
type perfFile struct {
	size  int64
	mtime time.Time
	seen  time.Time
}

// compiled looks an address of code without a file up in the process's perf map. The
// compiler adds to that as it goes on.
func (r *Resolver) compiled(p *process, a uint64) (place, bool) {
	if p.perf != nil {
		if at, ok := p.perf.find(a); ok {
			return at, true
		}
	}
	if p.root < 0 || time.Since(p.perfAt.seen) < refresh {
		return place{}, false
	}
	p.perfAt.seen = time.Now()
	f, err := p.open("/tmp/perf-" + p.nsPID + ".map")
	if err != nil {
		return place{}, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !trusted(info, p.uid) || info.Size() == p.perfAt.size && info.ModTime().Equal(p.perfAt.mtime) {
		return place{}, false
	}
	p.perfAt.size, p.perfAt.mtime = info.Size(), info.ModTime()
	if p.perf != nil {
		r.bytes -= p.perf.bytes
	}
	p.perf = parsePerfMap(f)
	r.bytes += p.perf.bytes
	return p.perf.find(a)
}

// trusted tells whether the process itself, or root, wrote the file: anybody may write
// to /tmp.
func trusted(info os.FileInfo, uid uint32) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || st.Uid == uid)
}
