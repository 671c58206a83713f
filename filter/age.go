package filter

import (
	"time"

	"github.com/tcpvet/tcpvet"
)

// AgeIs holds for the sockets whose Socket.Age compares so.
type AgeIs struct {
	Op    Op
	Value time.Duration
}

// aged are the states of which Socket.Age can tell something.
var aged = tcpvet.SetOf(tcpvet.CloseWait, tcpvet.TimeWait, tcpvet.Established)

// Judge is Unknown where the age is not known, or known too loosely to decide.
func (e AgeIs) Judge(s *tcpvet.Socket) Truth {
	age, ok := s.Age()
	if !ok {
		return Unknown
	}
	switch e.Op {
	case Eq:
		return within(age, e.Value)
	case Ne:
		return within(age, e.Value).Not()
	}
	// The orders are monotonous: where both bounds agree, all between do.
	low, high := compare(age.Low, e.Op, e.Value), compare(age.High, e.Op, e.Value)
	if low != high {
		return Unknown
	}
	return truth(low)
}

// within tells whether the age is v.
func within(age tcpvet.Age, v time.Duration) Truth {
	switch {
	case v < age.Low || v > age.High:
		return False
	case age.Low == age.High:
		return True
	}
	return Unknown
}

func (AgeIs) reach() reach        { return reach{aged, aged} }
func (AgeIs) needs() tcpvet.Facts { return tcpvet.FactInfo | tcpvet.FactTimer }

func (e AgeIs) String() string { return "age " + e.Op.String() + " " + e.Value.String() }
