package symbol

import (
	"errors"

	"github.com/tcpvet/tcpvet"
)

// maxFiles bounds the files held open.
const maxFiles = 256

// Gaps tells what could not be read so far.
func (r *Resolver) Gaps() []tcpvet.Gap {
	gaps := make([]tcpvet.Gap, 0, len(r.gaps))
	for g, n := range r.gaps {
		g.Count = n
		gaps = append(gaps, g)
	}
	return gaps
}

// maxGaps bounds the gaps told apart.
const maxGaps = 64

func (r *Resolver) gap(what, err, needs string) {
	g := tcpvet.Gap{What: what, Err: err, Needs: needs}
	if _, ok := r.gaps[g]; !ok && len(r.gaps) >= maxGaps {
		g = tcpvet.Gap{What: what, Err: "read other files: see the errors of the others"}
	}
	r.gaps[g]++
}

func (r *Resolver) tick() uint64 {
	r.clock++
	return r.clock
}

// shrink forgets tables until they keep to the bound, the longest unused first, but not
// those of keep.
func (r *Resolver) shrink(keep fileKey) {
	for r.bytes > r.opt.Memory {
		oldest := fileKey{}
		for k, f := range r.files {
			if f.image != nil && k != keep && (oldest == fileKey{} || f.used < r.files[oldest].used) {
				oldest = k
			}
		}
		if (oldest == fileKey{}) {
			return
		}
		f := r.files[oldest]
		r.bytes -= f.image.cost
		f.image.close()
		f.image, f.tried = nil, false
	}
}

// shrinkFiles closes the file that was not used for the longest.
func (r *Resolver) shrinkFiles(keep fileKey) {
	for len(r.files) > maxFiles {
		oldest := keep
		for k, f := range r.files {
			if k != keep && (oldest == keep || f.used < r.files[oldest].used) {
				oldest = k
			}
		}
		r.forgetFile(oldest)
	}
}

func (r *Resolver) forgetFile(key fileKey) error {
	f := r.files[key]
	delete(r.files, key)
	var err error
	if f.image != nil {
		r.bytes -= f.image.cost
		err = f.image.close()
	}
	if f.open != nil {
		err = errors.Join(err, f.open.Close())
	}
	return err
}

func (r *Resolver) forgetProcess(key tcpvet.Process) {
	p := r.processes[key]
	if p.perf != nil {
		r.bytes -= p.perf.bytes
	}
	p.close()
	delete(r.processes, key)
}
