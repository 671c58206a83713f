package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/tcpvet/tcpvet"
)

// parseHandled tells from /proc/PID/status whether a process ignores a signal or has a
// handler for it: SigIgn and SigCgt are masks in hexadecimal, whose bit n-1 stands for
// signal n (proc_pid_status.5). ok is false where a line is missing.
func parseHandled(b []byte, sig syscall.Signal) (handled, ok bool) {
	found := 0
	for line := range bytes.Lines(b) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "SigIgn" && string(name) != "SigCgt" {
			continue
		}
		mask, err := strconv.ParseUint(string(bytes.TrimSpace(rest)), 16, 64)
		if err != nil {
			return false, false
		}
		found++
		handled = handled || sig >= 1 && sig <= 64 && mask>>(sig-1)&1 != 0
	}
	return handled, found == 2
}

// Handles tells whether a process ignores the signal or has a handler for it, so that
// it does not meet the signal's default. The error wraps ErrEnded where p has ended, or
// its PID belongs to another by now, and ErrHidden where procfs does not show it.
func (fs FS) Handles(p tcpvet.Process, sig syscall.Signal) (bool, error) {
	name := strconv.Itoa(int(p.PID))
	fail := func(err error) (bool, error) {
		if gone(err) {
			err = ErrEnded
		}
		return false, fmt.Errorf("read the signals of process %s: %w", name, err)
	}
	root, err := openRoot(fs.root())
	if err != nil {
		return fail(fmt.Errorf("open %s: %w", fs.root(), err))
	}
	defer root.close()
	d, err := openDir(root, name)
	if err != nil {
		return fail(fs.unopened(p.PID, err))
	}
	defer d.close()
	buf := make([]byte, 16<<10)
	b, err := d.read("stat", buf)
	if err != nil {
		return fail(err)
	}
	st, err := parseStat(b)
	if err != nil {
		return fail(err)
	}
	if st.start != p.Start {
		return fail(ErrEnded)
	}
	if b, err = d.read("status", buf); err != nil {
		return fail(err)
	}
	handled, ok := parseHandled(b, sig)
	if !ok {
		return fail(errors.New("its status has no SigIgn and SigCgt"))
	}
	return handled, nil
}
