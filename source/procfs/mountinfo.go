package procfs

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// maxMount bounds a line of mountinfo. The options of a file system fit into a
// page (do_mount in fs/namespace.c), and each of two paths into another.
const maxMount = 64 << 10

// ReadMounts calls yield for each line of a mountinfo file, until it returns
// false. What is no such line is passed over. The Mount is used again for the
// next one.
func ReadMounts(r io.Reader, yield func(*Mount) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxMount)
	var m Mount
	for lines.Scan() {
		if m.parse(lines.Bytes()) && !yield(&m) {
			return nil
		}
	}
	return lines.Err()
}

// Mount is a line of /proc/PID/mountinfo (proc_pid_mountinfo.5).
type Mount struct {
	root, point, fstype, super []byte // parts of the line
}

// Root is what of the file system is mounted: a path in it, or net:[INODE] for
// a network namespace.
func (m *Mount) Root() string { return unescape(m.root) }

// Point is where it is mounted.
func (m *Mount) Point() string { return unescape(m.point) }

// Is tells whether the file system is of that type.
func (m *Mount) Is(fstype string) bool { return string(m.fstype) == fstype }

// parse reads one line. It is false for anything else.
func (m *Mount) parse(line []byte) bool {
	c := columns{rest: line}
	for range 3 { // mount, parent, device
		c.next()
	}
	m.root, m.point = c.next(), c.next()
	for { // options of the mount, and optional fields up to a dash
		col := c.next()
		if col == nil {
			return false
		}
		if string(col) == "-" {
			break
		}
	}
	m.fstype = c.next()
	c.next() // what is mounted, as the one who mounted it called it
	m.super = c.next()
	return m.super != nil
}

// option gives the value of an option of the file system, nil where it is not
// set.
func (m *Mount) option(name string) []byte {
	for opt := range bytes.SplitSeq(m.super, []byte{','}) {
		if key, value, ok := bytes.Cut(opt, []byte{'='}); ok && string(key) == name {
			return value
		}
	}
	return nil
}

// unescape undoes the kernel's octal escapes of space, tab, newline, backslash
// and the like (mangle_path in fs/seq_file.c).
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	var s strings.Builder
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && octal(b[i+1]) && b[i+1] <= '3' && octal(b[i+2]) && octal(b[i+3]) {
			s.WriteByte((b[i+1]-'0')<<6 | (b[i+2]-'0')<<3 | (b[i+3] - '0'))
			i += 3
			continue
		}
		s.WriteByte(b[i])
	}
	return s.String()
}

func octal(c byte) bool { return '0' <= c && c <= '7' }
