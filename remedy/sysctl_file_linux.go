package remedy

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// maxConf bounds a file of settings, in bytes.
const maxConf = 64 << 10

// confHead begins a file that tcpvet made.
const confHead = "# Settings kept by tcpvet fix sysctl --persist; tcpvet fix undo takes them out.\n"

// conf is a file of sysctl.d(5) that is to be changed.
type conf struct {
	path  string
	mode  fs.FileMode
	uid   int
	gid   int
	lines []string // each with its end
}

// readConf reads the file; one that does not exist is empty.
func readConf(path string) (*conf, error) {
	c := &conf{path: path, mode: 0o644, uid: -1, gid: -1}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("read file of settings: %w: make the folder first, or leave out --persist", err)
		}
		return c, nil
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("read file of settings %s: it is a symbolic link, and so may mask settings: remove it first", path)
	case err != nil:
		return nil, fmt.Errorf("read file of settings: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read file of settings: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read file of settings %s: it is no regular file: remove it first", path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		c.uid, c.gid = int(st.Uid), int(st.Gid)
	}
	c.mode = info.Mode().Perm()
	b, err := io.ReadAll(io.LimitReader(f, maxConf+1))
	if err != nil {
		return nil, fmt.Errorf("read file of settings: %w", err)
	}
	if len(b) > maxConf {
		return nil, fmt.Errorf("read file of settings %s: more than %d bytes: put the lines of others elsewhere", path, maxConf)
	}
	for line := range strings.Lines(string(b)) {
		c.lines = append(c.lines, line)
	}
	return c, nil
}

// at gives the place of the last line that sets a setting: that one counts.
func (c *conf) at(name string) (place int, value string) {
	place = -1
	for i, line := range c.lines {
		for _, s := range procfs.ParseSysctlConf("", []byte(line)) {
			if s.Name == name {
				place, value = i, s.Value
			}
		}
	}
	return place, value
}

// value gives what the file sets.
func (c *conf) value(name string) tcpvet.Value {
	i, value := c.at(name)
	if i < 0 {
		return tcpvet.Value{Absent: true}
	}
	return tcpvet.Value{Text: value}
}

// set puts a line in place of the one that counts, behind all where there is none, or
// takes it out.
func (c *conf) set(name string, to tcpvet.Value) {
	i, _ := c.at(name)
	line := name + " = " + to.Text + "\n"
	switch {
	case to.Absent && i >= 0:
		c.lines = append(c.lines[:i], c.lines[i+1:]...)
	case to.Absent:
	case i >= 0:
		c.lines[i] = line
	default:
		if n := len(c.lines); n == 0 {
			c.lines = append(c.lines, confHead)
		} else if !strings.HasSuffix(c.lines[n-1], "\n") {
			c.lines[n-1] += "\n"
		}
		c.lines = append(c.lines, line)
	}
}

// write puts the file in place of the old one at one go. Of a file that tcpvet made
// and that sets nothing any more nothing is left.
func (c *conf) write() error {
	dir := filepath.Dir(c.path)
	text := strings.Join(c.lines, "")
	if text == confHead || text == "" {
		if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove file of settings: %w", err)
		}
		return syncDir(dir)
	}
	// Its name must not end in .conf: sysctl --system would read it.
	var b [6]byte
	rand.Read(b[:]) // it never fails
	temp := filepath.Join(dir, fmt.Sprintf(".%s.%x", filepath.Base(c.path), b))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write file of settings: %w%s", err, confHint(err))
	}
	defer os.Remove(temp) // where it was not renamed
	_, err = f.WriteString(text)
	if err == nil && c.uid >= 0 {
		err = f.Chown(c.uid, c.gid)
	}
	if err == nil {
		err = f.Chmod(c.mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, c.path)
	}
	if err != nil {
		return fmt.Errorf("write file of settings: %w%s", err, confHint(err))
	}
	return syncDir(dir)
}

func confHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission) && unix.Geteuid() != 0:
		return "; needs root"
	case errors.Is(err, unix.EROFS):
		return "; its file system is read-only: keep the setting where the machine is made"
	}
	return ""
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write file of settings: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write file of settings: sync %s: %w", dir, err)
	}
	return nil
}
