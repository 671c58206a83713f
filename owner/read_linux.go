package owner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// Reader looks up what the Keepers of this machine remember. It is for one look, and
// for one goroutine.
type Reader struct {
	rings  []*ring
	sight  sight
	closed map[uint64]tcpvet.Process // by cookie, as far as it was read
	comms  map[tcpvet.Process]string
}

// Open finds the Keepers that live, by the BPF file system mounted on dir, "" for Root.
// It gives nil where there is none that the caller may read: nothing is remembered then.
func Open(dir string) (*Reader, error) {
	if dir == "" {
		dir = Root
	}
	paths := folders(filepath.Join(dir, folder))
	if len(paths) == 0 {
		return nil, nil
	}
	r := &Reader{closed: make(map[uint64]tcpvet.Process), comms: make(map[tcpvet.Process]string)}
	var failed error
	for _, path := range paths {
		if !alive(path) {
			continue
		}
		opened, err := openRing(path)
		if err != nil {
			failed = err
		} else if opened != nil {
			r.rings = append(r.rings, opened)
		}
	}
	if len(r.rings) == 0 {
		return nil, failed
	}
	var err error
	if r.sight, err = ownSight(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// openRing opens the table of a folder, nil where it is not there or not for the caller
// to read, or of another release.
func openRing(path string) (*ring, error) {
	// The kernel maps no table that was opened for reading only.
	m, err := ebpf.LoadPinnedMap(filepath.Join(path, table), nil)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer m.Close()
	if m.Type() != ebpf.Array || m.ValueSize() != recordLen || m.MaxEntries() < 2 {
		return nil, nil
	}
	return mapRing(m)
}

// Lookup gives the process that closed the socket with this cookie before its peer
// did, and may have ended since. ok is false where that is not remembered, or the
// caller's PID namespace does not show the process.
func (r *Reader) Lookup(cookie uint64) (p tcpvet.Process, ok bool, err error) {
	if p, ok = r.closed[cookie]; ok {
		return p, true, nil
	}
	for _, ring := range r.rings {
		if err := ring.read(r.take); err != nil {
			return tcpvet.Nobody, false, fmt.Errorf("read who closed sockets: %w", err)
		}
	}
	p, ok = r.closed[cookie]
	return p, ok, nil
}

// take keeps an owner.
func (r *Reader) take(value *[recordLen]byte) error {
	cookie, p, comm, seen, err := r.sight.decode(value[:])
	if !seen || err != nil {
		return err
	}
	r.closed[cookie] = p
	if r.comms[p] != string(comm) {
		r.comms[p] = string(comm)
	}
	return nil
}

// Comm gives the name that a process which Lookup gave had as it closed its socket.
func (r *Reader) Comm(p tcpvet.Process) string { return r.comms[p] }

// Close closes the tables. A nil Reader has none.
func (r *Reader) Close() error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, ring := range r.rings {
		errs = append(errs, ring.unmap())
	}
	return errors.Join(errs...)
}

// ownSight reads how the calling process looks at others.
func ownSight() (sight, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return sight{}, fmt.Errorf("read own PID namespace: %w; is procfs mounted on /proc?", err)
	}
	s := sight{pids: uint32(st.Ino)}
	b, err := os.ReadFile("/proc/self/timens_offsets") // Linux 5.6
	if err == nil {
		s.boot = bootOffset(b)
	}
	return s, nil
}

// bootOffset reads the line "boottime SECONDS NANOSECONDS" (time_namespaces(7)), 0
// where there is none.
func bootOffset(b []byte) int64 {
	for line := range bytes.Lines(b) {
		var sec, nsec int64
		if n, _ := fmt.Sscanf(string(line), "boottime %d %d", &sec, &nsec); n == 2 {
			return sec*1e9 + nsec
		}
	}
	return 0
}
