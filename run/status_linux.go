package run

import (
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
)

// status is what is needed of /proc/PID/status (proc_pid_status(5)).
type status struct {
	state  byte // R, S, D, T, Z, ...
	parent int
}

func readStatus(pid int) (status, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return status{}, fmt.Errorf("read the status of process %d: %w", pid, reason(err))
	}
	return parseStatus(string(b))
}

// parseStatus reads the lines "State:\tS (sleeping)" and "PPid:\t1". A process may not
// forge them: its name comes first, with newlines escaped.
func parseStatus(text string) (s status, err error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case name == "State" && value != "":
			s.state = value[0]
		case name == "PPid":
			if s.parent, err = strconv.Atoi(value); err != nil || s.parent < 0 {
				return status{}, fmt.Errorf("parse status: parent %.20q", value)
			}
			return s, nil
		}
	}
	return status{}, fmt.Errorf("parse status: no parent in %d bytes", len(text))
}

// lineage gives a process, its parent and so on, as far as they can be read.
func lineage(pid int) iter.Seq[int] {
	const deepest = 1000 // a parent that ended and a PID used again could make a ring
	return func(yield func(int) bool) {
		for range deepest {
			if pid < 1 || !yield(pid) {
				return
			}
			s, err := readStatus(pid)
			if err != nil {
				return
			}
			pid = s.parent
		}
	}
}
