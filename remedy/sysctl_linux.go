package remedy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
)

// sysctl is the actor of SysctlPlan: it sets settings, and keeps them in files.
type sysctl struct{}

var errNotHost = errors.New("files of settings are for the namespace that the host boots with: for another one set it where that is made, in the unit or the container's definition")

// Present reads settings, and lines of files.
func (sysctl) Present(ctx context.Context, changes []tcpvet.Change) error {
	err := bySpace(ctx, changes, func(c *tcpvet.Change) {
		text, err := readSetting(c.Target.Setting)
		c.Before = tcpvet.Value{Text: text}
		if err == nil {
			err = mayWrite(c.Target.Setting)
		}
		if err != nil {
			c.Outcome, c.Reason = tcpvet.OutcomeRefused, whyNot(c.Target.Setting, err)
		}
	}, func(c *tcpvet.Change, o tcpvet.Outcome, why string) { c.Outcome, c.Reason = o, why })
	if err != nil {
		return err
	}
	for i := range changes {
		c := &changes[i]
		if c.Outcome != tcpvet.OutcomePlanned || c.Target.File == "" {
			continue
		}
		f, err := readConf(c.Target.File)
		if err != nil {
			c.Outcome, c.Reason = tcpvet.OutcomeRefused, err.Error()
			continue
		}
		c.Before = f.value(c.Target.Setting)
	}
	return nil
}

// Apply sets the settings, and then writes the lines of those that the kernel took.
func (sysctl) Apply(ctx context.Context, changes []tcpvet.Change, tell Tell) error {
	place := make(map[*tcpvet.Change]int, len(changes))
	for i := range changes {
		place[&changes[i]] = i
	}
	err := bySpace(ctx, changes, func(c *tcpvet.Change) {
		o, why := setSetting(c)
		tell(place[c], o, why)
	}, func(c *tcpvet.Change, o tcpvet.Outcome, why string) { tell(place[c], o, why) })
	if err != nil {
		return err
	}
	for i := range changes {
		c := &changes[i]
		if c.Outcome != tcpvet.OutcomePlanned || c.Target.File == "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if live := settingOf(changes, c); !c.After.Absent && live != nil && live.Outcome == tcpvet.OutcomeFailed {
			tell(i, tcpvet.OutcomeRefused, "the kernel did not take it, so it is not kept for the next boot")
			continue
		}
		f, err := readConf(c.Target.File)
		if err == nil {
			f.set(c.Target.Setting, c.After)
			err = f.write()
		}
		if err != nil {
			tell(i, tcpvet.OutcomeFailed, err.Error())
			continue
		}
		tell(i, tcpvet.OutcomeApplied, "")
	}
	return nil
}

// settingOf finds the change of the setting that a line is to keep.
func settingOf(changes []tcpvet.Change, line *tcpvet.Change) *tcpvet.Change {
	i := slices.IndexFunc(changes, func(c tcpvet.Change) bool {
		return c.Target.File == "" && c.Target.Setting == line.Target.Setting && c.Target.Netns == line.Target.Netns
	})
	if i < 0 {
		return nil
	}
	return &changes[i]
}

// bySpace calls act for each change of a setting that has no outcome, on a thread that
// is in its namespace, and refuse where that cannot be.
func bySpace(ctx context.Context, changes []tcpvet.Change, act func(*tcpvet.Change), refuse func(*tcpvet.Change, tcpvet.Outcome, string)) error {
	var ids []tcpvet.NetnsID
	of := make(map[tcpvet.NetnsID][]*tcpvet.Change)
	for i := range changes {
		if c := &changes[i]; c.Outcome == tcpvet.OutcomePlanned && c.Target.File == "" {
			id := c.Target.Netns
			if of[id] == nil {
				ids = append(ids, id)
			}
			of[id] = append(of[id], c)
		}
	}
	return inside(ctx, ids, func(id tcpvet.NetnsID, err error) {
		for _, c := range of[id] {
			switch {
			case err == nil:
				act(c)
			case errors.Is(err, netns.ErrGone):
				refuse(c, tcpvet.OutcomeGone, fmt.Sprintf("network namespace %d has vanished", id))
			default:
				refuse(c, tcpvet.OutcomeRefused, err.Error())
			}
		}
	})
}

// readSetting reads a setting in the namespace of the thread, with one blank between
// its parts.
func readSetting(name string) (string, error) {
	path, err := settingPath(name)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// At one go: the kernel cuts a list of ports to the buffer and gives no more at
	// the next read (proc_do_large_bitmap). With every second port reserved it has
	// 32,768 x 6 bytes.
	b := make([]byte, 256<<10)
	n, err := f.Read(b)
	if err != nil && err != io.EOF {
		return "", err
	}
	return oneBlank(string(b[:n])), nil
}

// mayWrite tells before anything is tried that a setting cannot be set by anybody here:
// /proc/sys is read-only, or the setting is. That one is not root shows when it is set,
// so that anybody may look at a plan.
func mayWrite(name string) error {
	path, err := settingPath(name)
	if err != nil {
		return err
	}
	err = unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS)
	if err == unix.EROFS || err == unix.EACCES && unix.Geteuid() == 0 {
		return err
	}
	return nil
}

// setSetting gives a setting its value, and reads what the kernel made of it.
func setSetting(c *tcpvet.Change) (tcpvet.Outcome, string) {
	name, value := c.Target.Setting, c.After.Text
	before, err := readSetting(name)
	if err != nil {
		return tcpvet.OutcomeFailed, whyNot(name, err)
	}
	if err := writeSetting(name, value); err != nil {
		return tcpvet.OutcomeFailed, whyNot(name, err)
	}
	got, err := readSetting(name)
	switch {
	case err != nil:
		return tcpvet.OutcomeFailed, "it was written, and cannot be read back: " + whyNot(name, err)
	case got == value:
		return tcpvet.OutcomeApplied, ""
	case got == before:
		return tcpvet.OutcomeFailed, fmt.Sprintf("the kernel took %q and kept %q", value, got)
	}
	c.After.Text = got
	return tcpvet.OutcomeApplied, fmt.Sprintf("the kernel made %q of %q", got, value)
}

func writeSetting(name, value string) error {
	path, err := settingPath(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value + "\n")
	return err
}

// whyNot says in a sentence why a setting cannot be read or set.
func whyNot(name string, err error) string {
	switch {
	case errors.Is(err, errNoSetting):
		return err.Error()
	case errors.Is(err, fs.ErrNotExist) && name == "net.ipv4.tcp_tw_recycle":
		return recycleWhy
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such setting here: this kernel lacks it, its module is not loaded, or the first network namespace alone has it"
	case errors.Is(err, unix.EROFS):
		return "/proc/sys is read-only here, as in a container: set it from the host, or with the container's definition"
	case errors.Is(err, fs.ErrPermission) && unix.Geteuid() != 0:
		return "it may not be set: permission denied; needs root"
	case errors.Is(err, fs.ErrPermission):
		return "it may not be set here: permission denied; it needs CAP_NET_ADMIN, or belongs to the first network namespace alone"
	case errors.Is(err, unix.EINVAL):
		return "the kernel does not take this value: it is out of range or not written as the setting wants it (invalid argument)"
	}
	return err.Error()
}
