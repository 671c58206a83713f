package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Setup is what a process has to itself. The zero value is nothing.
type Setup struct {
	// Hosts are the lines of an /etc/hosts of its own.
	Hosts []string

	// Files are other files of its own, by absolute path. It sees them in a
	// private mount namespace, which ends with it, and in which /tmp is an
	// empty file system in memory. Those below /tmp are made; each other
	// one has to exist, and is covered.
	Files map[string]string

	// Memory are folders that are empty file systems in memory for it, in such a
	// namespace: what it writes there goes with it. Each has to exist.
	Memory []string

	// Self are names below which it finds this program, in a folder of its PATH.
	Self []string

	// Descriptors is its RLIMIT_NOFILE, soft and hard; 0 leaves it.
	Descriptors int

	// Env are more variables of its environment, as NAME=value.
	Env []string
}

// setupVariable holds, in the environment of a process of the stage, an order
// in JSON.
const setupVariable = "TCPVET_LAB_SETUP"

// order is what a process does before it plays its act, or becomes a program.
type order struct {
	Files       map[string]string
	Memory      []string
	Self        []string
	Outside     string // the mount namespace of the stage, where nothing may be mounted
	Descriptors int

	Exec []string // the program's path and arguments; none for an act
	Env  []string
}

// apart tells whether the process needs a mount namespace of its own.
func (o *order) apart() bool { return len(o.Files)+len(o.Memory)+len(o.Self) > 0 }

func (s *Setup) files() map[string]string {
	if len(s.Hosts) == 0 {
		return s.Files
	}
	files := map[string]string{"/etc/hosts": strings.Join(s.Hosts, "\n") + "\n"}
	for name, text := range s.Files {
		files[name] = text
	}
	return files
}

// prepare carries out an order. It returns only for an act.
func prepare(raw string) error {
	if err := os.Unsetenv(setupVariable); err != nil {
		return fmt.Errorf("prepare the process: %w", err)
	}
	var o order
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		return fmt.Errorf("prepare the process: %w", err)
	}
	if o.apart() {
		if err := o.cover(); err != nil {
			return fmt.Errorf("prepare the files of the process: %w", err)
		}
	}
	if o.Descriptors > 0 {
		limit := unix.Rlimit{Cur: uint64(o.Descriptors), Max: uint64(o.Descriptors)}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("limit the descriptors of the process to %d: %w", o.Descriptors, err)
		}
	}
	if len(o.Exec) == 0 {
		return nil
	}
	// The signal at the parent's death belongs to a thread, and exec keeps that of
	// the thread that calls it, which need not be the first.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("have %s end with the stage: %w", o.Exec[0], err)
	}
	if err := unix.Exec(o.Exec[0], o.Exec, o.Env); err != nil {
		return fmt.Errorf("run %s: %w", o.Exec[0], err)
	}
	return nil
}

// cover makes the files and folders, in the mount namespace that this process was
// started in, which must be another one than outside.
func (o *order) cover() error {
	if here, err := os.Readlink(mountNamespace); err != nil || o.Outside == "" || here == o.Outside {
		return fmt.Errorf("find a mount namespace of its own: this is %q: %w", here, errors.Join(err, ErrOutside))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	const tmp = "/tmp"
	if err := mountMemory(tmp, "mode=1777"); err != nil {
		return err
	}
	for _, folder := range o.Memory {
		if err := mountMemory(folder, "mode=0755"); err != nil {
			return err
		}
	}
	if err := o.nameSelf(); err != nil {
		return err
	}
	covers := 0
	for name, text := range o.Files {
		at := name
		if !strings.HasPrefix(name, tmp+"/") {
			at = filepath.Join(tmp, ".cover"+strconv.Itoa(covers))
			covers++
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			return err
		}
		if at == name {
			continue
		}
		if err := unix.Mount(at, name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover %s: %w", name, err)
		}
	}
	return nil
}

func mountMemory(folder, mode string) error {
	if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mode); err != nil {
		return fmt.Errorf("mount a file system in memory on %s: %w", folder, err)
	}
	return nil
}

// nameSelf gives this program other names. The link is followed by who runs it: it
// holds even where the file was replaced since.
func (o *order) nameSelf() error {
	if len(o.Self) == 0 {
		return nil
	}
	const folder = "/tmp/self"
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	for _, name := range o.Self {
		if err := os.Symlink("/proc/self/exe", filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return os.Setenv("PATH", folder+":"+os.Getenv("PATH"))
}

const mountNamespace = "/proc/self/ns/mnt"

// plainEnvironment is what real programs get: no proxies, no language, nothing
// that another user's shell would set.
func plainEnvironment() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}
}
