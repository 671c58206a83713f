package trace

import (
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// Errors of calls, as Linux numbers them (errno(3)).
const (
	errACCES        = 13
	errINVAL        = 22
	errNFILE        = 23
	errMFILE        = 24
	errAFNOSUPPORT  = 97
	errADDRINUSE    = 98
	errADDRNOTAVAIL = 99
	errNETUNREACH   = 101
	errTIMEDOUT     = 110
	errCONNREFUSED  = 111
	errHOSTUNREACH  = 113
)

// finishCall completes an Event that a call made which changed no socket's state.
func finishCall(e *tcpvet.Event) {
	// An address that was not asked for, or could not be read.
	if e.Remote.Addr().IsUnspecified() && e.Remote.Port() == 0 {
		e.Remote = netip.AddrPort{}
	}
	if e.Cause == tcpvet.NoCause {
		e.Cause = callCause(e)
	}
}

// callCause says why a call failed that changed no socket's state, as far as the call
// alone proves it: a security module forbids with the same EACCES as a route.
func callCause(e *tcpvet.Event) tcpvet.Cause {
	if e.Errno == errMFILE || e.Errno == errNFILE {
		return tcpvet.CauseDescriptorLimit
	}
	switch e.Call {
	case tcpvet.CallSocket:
		if e.Errno == errAFNOSUPPORT && e.Local.Addr().Is6() {
			return tcpvet.CauseIPv6Disabled
		}
	case tcpvet.CallBind:
		switch e.Errno {
		case errADDRINUSE:
			return tcpvet.CauseBoundPorts
		case errADDRNOTAVAIL:
			return tcpvet.CauseAddressNotLocal
		}
	case tcpvet.CallConnect:
		return connectCause(e)
	}
	return tcpvet.CauseUnknown
}

func connectCause(e *tcpvet.Event) tcpvet.Cause {
	switch e.Errno {
	case errADDRNOTAVAIL:
		return tcpvet.CauseNoSourceAddress
	case errNETUNREACH, errHOSTUNREACH:
		return tcpvet.CauseNoRoute
	case errCONNREFUSED:
		return tcpvet.CauseRefused
	case errTIMEDOUT:
		return tcpvet.CauseTimedOut
	case errINVAL:
		if e.Local.Addr().IsLoopback() && e.Remote.IsValid() && !e.Remote.Addr().IsLoopback() {
			return tcpvet.CauseSourceScope
		}
	}
	return tcpvet.CauseUnknown
}
