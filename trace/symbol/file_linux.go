package symbol

import (
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fileKey names a file by what /proc/PID/maps says of it. As long as it is open, no
// other file can have the inode.
type fileKey struct {
	device string
	inode  uint64
}

// file is one that holds code of processes.
type file struct {
	open  *os.File // nil where it could not be opened
	err   error    // why not, nil where it is just gone
	told  bool     // that
	mtime time.Time
	size  int64
	image *image // nil until it is asked for, or where it cannot be read
	tried bool
	since time.Time // it was opened, or could not be
	used  uint64
}

// file finds the file behind a mapping, opening it once. A file that was written to
// meanwhile is opened anew.
func (r *Resolver) file(p *process, m *mapping) *file {
	key := fileKey{m.device, m.inode}
	f := r.files[key]
	if f != nil && f.open == nil && (p.gone || time.Since(f.since) < refresh) {
		return f
	}
	if f != nil && f.open != nil {
		if info, err := f.open.Stat(); err == nil && info.ModTime().Equal(f.mtime) && info.Size() == f.size {
			f.used = r.tick()
			return f
		}
	}
	told := false
	if f != nil {
		told = f.told
		r.forgetFile(key)
	}
	f = &file{used: r.tick(), since: time.Now(), told: told}
	r.files[key] = f
	var err error
	if f.open, err = openMapped(p, m); err != nil {
		if f.open = nil; !p.gone && err != unix.ENOENT {
			f.err = err
		}
		return f
	}
	if info, err := f.open.Stat(); err == nil {
		f.mtime, f.size = info.ModTime(), info.Size()
	}
	r.shrinkFiles(key)
	return f
}

// openMapped opens the file behind a mapping. map_files leads there even where it has
// been deleted, or lies below another mount.
func openMapped(p *process, m *mapping) (*os.File, error) {
	name := fmt.Sprintf("%s/map_files/%x-%x", p.dir, m.low, m.high)
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == nil {
		return regular(os.NewFile(uintptr(fd), m.path))
	}
	if m.deleted {
		return nil, err
	}
	f, err := p.open(m.path)
	if err != nil {
		return nil, err
	}
	// The path may name another file by now.
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Ino != m.inode {
		f.Close()
		return nil, unix.ENOENT
	}
	return f, nil
}

// image gives the tables of a file, nil where it has none that can be read. That a
// process's files may not be opened is told of the first that is wanted.
func (r *Resolver) image(p *process, m *mapping) *image {
	f := r.file(p, m)
	if f.err != nil && !p.denied {
		if p.denied = true; !f.told {
			needs := ""
			if errors.Is(f.err, os.ErrPermission) {
				needs = "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
			}
			r.gap("symbols", fmt.Sprintf("open %s of process %d: %v", clean(m.path), p.key.PID, f.err), needs)
		}
		f.told = true
	}
	return r.tables(p, m, f)
}

func (r *Resolver) tables(p *process, m *mapping, f *file) *image {
	if f.image != nil || f.tried || f.open == nil {
		return f.image
	}
	f.tried = true
	var closers []io.Closer
	im, err := openImage(f.open, func(e *elf.File) *elf.File {
		d, c := r.splitDebug(p, m, e)
		if c != nil {
			closers = append(closers, c)
		}
		return d
	}, r.opt.Memory/2)
	if err != nil {
		for _, c := range closers {
			c.Close()
		}
		r.gap("symbols", fmt.Sprintf("%s: %v", clean(m.path), err), "")
		return nil
	}
	for _, err := range [...]error{im.goGap, im.lineGap} {
		if err != nil {
			r.gap("lines", fmt.Sprintf("%s: %v", clean(m.path), err), "")
		}
	}
	im.closers = closers
	f.image = im
	r.bytes += im.cost
	r.shrink(fileKey{m.device, m.inode})
	return im
}

// splitDebug finds the file that holds what was split off of an executable: by its
// build ID, else by name and checksum (gdb's manual, "Debugging Information in Separate
// Files"). It looks where the process would, then on this host.
func (r *Resolver) splitDebug(p *process, m *mapping, e *elf.File) (*elf.File, io.Closer) {
	id := buildID(e)
	link, sum := debugLink(e)
	var names []string
	if len(id) > 2 {
		names = append(names, "/usr/lib/debug/.build-id/"+id[:2]+"/"+id[2:]+".debug")
	}
	if dir := path.Dir(m.path); link != "" && path.IsAbs(dir) {
		names = append(names, path.Join(dir, link), path.Join(dir, ".debug", link), path.Join("/usr/lib/debug", dir, link))
	}
	for _, name := range names {
		for _, open := range [...]func(string) (*os.File, error){p.open, func(name string) (*os.File, error) {
			f, err := os.OpenFile(r.opt.FS.Host+name, os.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				return nil, err
			}
			return regular(f)
		}} {
			f, err := open(name)
			if err != nil {
				continue
			}
			if d := matching(f, id, sum); d != nil {
				return d, f
			}
			f.Close()
		}
	}
	return nil, nil
}

// maxChecked bounds the file whose checksum is worked out: 64 MiB take 10 ms.
const maxChecked = 64 << 20

// matching reads f if it belongs to the executable with that build ID or checksum.
func matching(f *os.File, id string, sum uint32) (e *elf.File) {
	var err error
	defer func() {
		if err != nil {
			e = nil
		}
	}()
	defer recovered(&err, "read ELF file")
	if e, err = elf.NewFile(f); err != nil || len(e.Sections) > maxSections {
		return nil
	}
	if id != "" {
		if buildID(e) != id {
			return nil
		}
		return e
	}
	info, err := f.Stat()
	if err != nil || info.Size() > maxChecked {
		return nil
	}
	h := crc32.NewIEEE()
	if _, err = io.Copy(h, io.NewSectionReader(f, 0, maxChecked)); err != nil || h.Sum32() != sum {
		return nil
	}
	return e
}

// buildID gives the identity that the linker gave a file (NT_GNU_BUILD_ID), in
// hexadecimal, "" for none.
func buildID(e *elf.File) string {
	s := e.Section(".note.gnu.build-id")
	if s == nil || s.ReaderAt == nil || s.FileSize > 4096 {
		return ""
	}
	b, err := s.Data()
	if err != nil || len(b) < 16 {
		return ""
	}
	name, size := e.ByteOrder.Uint32(b), uint64(e.ByteOrder.Uint32(b[4:]))
	if name != 4 || string(b[12:16]) != "GNU\x00" || size > uint64(len(b)-16) {
		return ""
	}
	return hex.EncodeToString(b[16 : 16+size])
}

// debugLink reads .gnu_debuglink: a base name and a checksum.
func debugLink(e *elf.File) (string, uint32) {
	s := e.Section(".gnu_debuglink")
	if s == nil || s.ReaderAt == nil || s.FileSize > 4096 {
		return "", 0
	}
	b, err := s.Data()
	if err != nil || len(b) < 8 {
		return "", 0
	}
	name, _, ok := strings.Cut(string(b[:len(b)-4]), "\x00")
	if !ok || name == "" || strings.ContainsRune(name, '/') {
		return "", 0
	}
	return name, e.ByteOrder.Uint32(b[len(b)-4:])
}
