package run

import (
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Summary is what became of the sockets of a group since the programs were attached.
type Summary struct {
	Opened   uint64 // connections established by connect()
	Accepted uint64 // connections established by a listener
	Failed   Failed

	CloseWait     uint64 // how many are in CLOSE-WAIT now
	MostCloseWait uint64 // how many were at once

	// Leaked is how many left CLOSE-WAIT only as the kernel ended their process,
	// nil where that cannot be told (it takes CAP_PERFMON). Some programs, Python
	// among them, close what is left themselves as they end: MostCloseWait has those.
	Leaked *uint64

	Refused uint64 // sockets on which the kernel refused a value
	Unbound uint64 // connects that could not take an address of the pool

	// Own lists the programs that set their own values on connections that had
	// been given others, the most connections first. It is known of a connection
	// when it is closed here.
	Own        []OwnValues
	OwnUnnamed uint64 // connections of more such programs, for which there was no room
}

// Failed counts connects that came to nothing.
type Failed struct {
	NoPort     uint64 // EADDRNOTAVAIL: no local port was left; where an older kernel does not tell, it is in NoSYN
	NoSYN      uint64 // no SYN was sent for another reason: no route, the connection exists, ...
	Unanswered uint64 // refused, reset or timed out; without CAP_PERFMON also given up
	GivenUp    uint64 // closed by the program before an answer
}

// Total is how many came to nothing.
func (f Failed) Total() uint64 { return f.NoPort + f.NoSYN + f.Unanswered + f.GivenUp }

// OwnValues are those that a program set over what its sockets had been given.
type OwnValues struct {
	Opener      Member // who connected, or made the listener
	Timers      tcpvet.Timers
	Connections uint64
}

// Lines says it in sentences.
func (s *Summary) Lines() []string {
	lines := []string{fmt.Sprintf("%s opened, %s accepted%s", connections(s.Opened), number(s.Accepted), s.Failed.clause())}
	if s.MostCloseWait > 0 {
		line := fmt.Sprintf("at most %s at once in CLOSE-WAIT, %s now", connections(s.MostCloseWait), number(s.CloseWait))
		if s.Leaked != nil && *s.Leaked > 0 {
			line += fmt.Sprintf("; %s stayed there until the process ended: the peer had closed, the program never did", number(*s.Leaked))
		}
		lines = append(lines, line)
	}
	if s.Leaked == nil && s.MostCloseWait > 0 {
		lines = append(lines, "how many stayed in CLOSE-WAIT until the process ended is not known: that needs CAP_PERFMON")
	}
	if s.Refused > 0 {
		lines = append(lines, fmt.Sprintf("the kernel refused the values on %s", connections(s.Refused)))
	}
	if s.Unbound > 0 {
		lines = append(lines, fmt.Sprintf("%s could not take an address of the source pool: one may have been removed", connections(s.Unbound)))
	}
	for _, o := range s.Own {
		lines = append(lines, fmt.Sprintf("%v set its own keepalive over this on %s: %v", o.Opener, connections(o.Connections), o.Timers))
	}
	if s.OwnUnnamed > 0 {
		lines = append(lines, fmt.Sprintf("other programs set their own values on %s", connections(s.OwnUnnamed)))
	}
	return lines
}

func (f Failed) clause() string {
	if f.Total() == 0 {
		return ", none failed"
	}
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{{f.NoPort, "no local port left"}, {f.NoSYN, "no SYN sent"}, {f.Unanswered, "refused or timed out"}, {f.GivenUp, "given up by the program"}} {
		if p.n > 0 {
			parts = append(parts, number(p.n)+" "+p.what)
		}
	}
	return fmt.Sprintf(", %s failed (%s)", number(f.Total()), strings.Join(parts, ", "))
}

func connections(n uint64) string {
	if n == 1 {
		return "1 connection"
	}
	return number(n) + " connections"
}

func number(n uint64) string { return tcpvet.Thousands(int(n)) }
