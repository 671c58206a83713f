package procfs

import (
	"bytes"
	"math"
)

// parseNoFile gives the soft limit of open files in /proc/PID/limits
// (proc_pid_limits in fs/proc/base.c), math.MaxUint64 for unlimited. ok is
// false where the line is missing.
func parseNoFile(b []byte) (soft uint64, ok bool) {
	for line := range bytes.Lines(b) {
		rest, found := bytes.CutPrefix(line, []byte("Max open files "))
		if !found {
			continue
		}
		c := columns{rest: rest}
		col := c.next()
		if string(col) == "unlimited" {
			return math.MaxUint64, true
		}
		return decimal(col)
	}
	return 0, false
}

// parseEffectiveUID gives the second number of the line Uid in
// /proc/PID/status (proc_pid_status.5).
func parseEffectiveUID(b []byte) (uid uint32, ok bool) {
	for line := range bytes.Lines(b) {
		rest, found := bytes.CutPrefix(line, []byte("Uid:"))
		if !found {
			continue
		}
		c := columns{rest: rest}
		c.next()
		v, ok := decimal(c.next())
		return uint32(v), ok && v <= 1<<32-1
	}
	return 0, false
}

// splitArgs cuts /proc/PID/cmdline at its NULs. nil stands for an empty file:
// a zombie, or a process that has no memory of its own.
func splitArgs(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	var args []string
	for arg := range bytes.SplitSeq(b, []byte{0}) {
		args = append(args, string(arg))
	}
	return args
}

// nsInode reads the text of a link in /proc/PID/ns, net:[4026531833].
func nsInode(link []byte, kind string) (inode uint64, ok bool) {
	rest, ok := bytes.CutPrefix(link, []byte(kind+":["))
	if !ok {
		return 0, false
	}
	rest, ok = bytes.CutSuffix(rest, []byte("]"))
	if !ok {
		return 0, false
	}
	return decimal(rest)
}
