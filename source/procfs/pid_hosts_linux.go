package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

const (
	// maxHosts bounds what is read of a hosts file, in bytes: localhost stands
	// at its begin, and a list of blocked names behind can be very long.
	maxHosts = 64 << 10

	// hostsPatience is how long a file may take. Whoever may mount a file
	// system of his own can make one that never answers.
	hostsPatience = time.Second

	// mostSilent is after how many files that did not answer no more are read.
	mostSilent = 3
)

var errSilent = errors.New("the file system does not answer")

// hostsFiles remembers what localhost means, by mount namespace and root.
type hostsFiles struct {
	known  map[string][]netip.Addr
	silent int
	failed int
	first  error // of those that failed
}

// localhost gives what the hosts file that a process sees has for localhost, nil
// where it could not be read. at is where what hangs on a live thread is.
func (ps *Processes) localhost(d dir, at string) []netip.Addr {
	h := &ps.hosts
	key, err := hostsKey(d, at, ps.buf)
	if err != nil {
		return h.miss(err)
	}
	if addrs, ok := h.known[key]; ok {
		return addrs
	}
	if h.silent >= mostSilent {
		return h.miss(errSilent)
	}
	addrs, err := readPatiently(d, at)
	if errors.Is(err, errSilent) {
		h.silent++
	}
	if err != nil {
		addrs = h.miss(err)
	}
	if h.known == nil {
		h.known = make(map[string][]netip.Addr)
	}
	h.known[key] = addrs
	return addrs
}

// miss counts a file that could not be read. A process that has ended misses
// nothing.
func (h *hostsFiles) miss(err error) []netip.Addr {
	if gone(err) {
		return nil
	}
	h.failed++
	if h.first == nil {
		h.first = err
	}
	return nil
}

func (h *hostsFiles) gaps() []tcpvet.Gap {
	if h.failed == 0 {
		return nil
	}
	g := tcpvet.Gap{What: "hosts file", Err: fmt.Sprintf("read what localhost means: %v", h.first), Count: h.failed}
	if errors.Is(h.first, unix.EACCES) || errors.Is(h.first, unix.EPERM) {
		g.Needs = "root"
	}
	return []tcpvet.Gap{g}
}

// hostsKey tells apart the directory trees that processes see: two of one mount
// namespace may have different roots.
func hostsKey(d dir, at string, buf []byte) (string, error) {
	var key string
	for _, link := range []string{"ns/mnt", "root"} {
		b, err := d.readlink(at+link, buf)
		if err != nil {
			return "", err
		}
		key += string(b) + "\x00"
	}
	return key, nil
}

// readPatiently reads a hosts file by a descriptor of its own, which whatever
// waits for the file keeps.
func readPatiently(d dir, at string) ([]netip.Addr, error) {
	process, err := openDir(d, ".")
	if err != nil {
		return nil, err
	}
	return patiently(hostsPatience, func() ([]netip.Addr, error) {
		defer process.close()
		return readHosts(process, at+"root")
	})
}

// patiently reads, or gives errSilent after so long; the reading then goes on by
// itself.
func patiently(wait time.Duration, read func() ([]netip.Addr, error)) ([]netip.Addr, error) {
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		addrs, err := read()
		got <- answer{addrs, err}
	}()
	select {
	case a := <-got:
		return a.addrs, a.err
	case <-time.After(wait):
		return nil, errSilent
	}
}

// readHosts reads etc/hosts below a root. Links are followed inside of that root
// alone, and nothing but a regular file is read: what is there is the choice of
// whoever made the container.
func readHosts(process dir, root string) ([]netip.Addr, error) {
	top, err := openat(process.fd, root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(top)
	fd, err := openHosts(top)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return []netip.Addr{}, nil // no such file: it says nothing of localhost
	}
	if err != nil {
		return nil, fmt.Errorf("open /etc/hosts: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("/etc/hosts is no regular file")
	}
	b, cut, err := readUpTo(fd, maxHosts)
	if err != nil {
		return nil, err
	}
	addrs := ParseHosts(b, "localhost")
	if cut && len(addrs) == 0 {
		return nil, fmt.Errorf("/etc/hosts has no localhost in its first %d bytes", maxHosts)
	}
	return addrs, nil
}

// openHosts opens etc/hosts as a process with that root would.
func openHosts(top int) (int, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	for {
		fd, err := unix.Openat2(top, "etc/hosts", &how)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// readUpTo reads whole lines from the begin of a file, at most so many bytes of
// them; cut tells that there is more.
func readUpTo(fd, most int) (b []byte, cut bool, err error) {
	buf := make([]byte, most+1)
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if m == 0 {
			return buf[:n], false, nil
		}
		n += m
	}
	return buf[:bytes.LastIndexByte(buf, '\n')+1], true, nil
}
