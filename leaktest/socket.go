package leaktest

import (
	"net/netip"
	"time"
)

// key is what a socket is known by as long as it lives: its cookie, or where the
// system has none its addresses.
type key struct {
	cookie        uint64
	local, remote netip.AddrPort
}

// socket is a TCP socket that this process holds.
type socket struct {
	key           key
	fds           []int          // all that refer to it; a copy (File, dup) is one more
	local, remote netip.AddrPort // IPv4-mapped made IPv4; remote is zero where there is none
	state         string         // as ss prints it; "" where the system does not tell
	used          bool           // it had a connection, perhaps one that was reset
	silent        time.Duration  // since the peer was heard last; 0 where not known
	opener        opener
}

// opener tells which end called connect, as far as the kernel tells.
type opener uint8

const (
	openerUnknown opener = iota
	openedHere
	acceptedHere
)

// ended tells that the connection is over, and only the descriptor is left.
func (s *socket) ended() bool { return s.state == stateClosed }

const (
	stateListen    = "LISTEN"
	stateClosed    = "UNCONN"
	stateCloseWait = "CLOSE-WAIT"
	stateFinWait2  = "FIN-WAIT-2"
)
