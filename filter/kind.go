package filter

import "github.com/tcpvet/tcpvet"

// RoleIs holds for the sockets that have the role.
type RoleIs tcpvet.Role

// Judge is Unknown where the role was not worked out.
func (e RoleIs) Judge(s *tcpvet.Socket) Truth {
	if s.Role == tcpvet.RoleUnknown {
		return Unknown
	}
	return truth(s.Role == tcpvet.Role(e))
}

func (RoleIs) reach() reach { return anywhere }

// needs holds what roles are told by: without listeners, or by the range that Linux
// has by default, some are wrong.
func (RoleIs) needs() tcpvet.Facts { return tcpvet.FactListeners | tcpvet.FactPortRange }

func (e RoleIs) String() string { return "role " + tcpvet.Role(e).String() }

var roles = []tcpvet.Role{tcpvet.Client, tcpvet.Server}

// TimerIs holds for the sockets whose running timer is of the kind.
type TimerIs tcpvet.TimerKind

// Judge is Unknown where the source does not tell timers.
func (e TimerIs) Judge(s *tcpvet.Socket) Truth {
	if !s.Knows(tcpvet.FactTimer) {
		return Unknown
	}
	return truth(s.Timer.Kind == tcpvet.TimerKind(e))
}

func (TimerIs) reach() reach        { return anywhere }
func (TimerIs) needs() tcpvet.Facts { return tcpvet.FactTimer }

func (e TimerIs) String() string { return "timer " + tcpvet.TimerKind(e).String() }

var timers = []tcpvet.TimerKind{
	tcpvet.TimerOn, tcpvet.TimerNone, tcpvet.TimerKeepalive, tcpvet.TimerTimeWait, tcpvet.TimerPersist,
}
