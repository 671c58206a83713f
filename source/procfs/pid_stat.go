package procfs

import (
	"bytes"
	"errors"
	"fmt"
)

// stat is what is used of /proc/PID/stat.
type stat struct {
	comm    []byte // a part of what was parsed
	state   byte   // R, S, D, Z, T, ...
	parent  int32
	flags   uint64
	threads uint64 // an exited leader is counted until it is reaped
	start   uint64 // clock ticks after boot
}

// kernelThread is PF_KTHREAD in include/linux/sched.h.
const kernelThread = 0x00200000

// leaderExited tells that the main thread has ended and others run on.
func (s *stat) leaderExited() bool { return s.state == 'Z' && s.threads > 1 }

// parseStat reads /proc/PID/stat (proc_pid_stat.5). The name in the
// second field may hold spaces and parentheses, so it ends at the last one.
func parseStat(b []byte) (stat, error) {
	open := bytes.IndexByte(b, '(')
	end := bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return stat{}, errors.New("parse stat: no command in parentheses")
	}
	s := stat{comm: b[open+1 : end]}
	c := columns{rest: b[end+1:]}
	for field := 3; field <= 22; field++ {
		col := c.next()
		if col == nil {
			return stat{}, fmt.Errorf("parse stat: field %d is missing", field)
		}
		ok := true
		var v uint64
		switch field {
		case 3:
			s.state = col[0]
		case 4:
			v, ok = decimal(col)
			ok = ok && v <= 1<<31-1
			s.parent = int32(v)
		case 9:
			s.flags, ok = decimal(col)
		case 20:
			s.threads, ok = decimal(col)
		case 22:
			s.start, ok = decimal(col)
		}
		if !ok {
			return stat{}, fmt.Errorf("parse stat: field %d is %.20q, no number", field, col)
		}
	}
	return s, nil
}
