package remedy

import (
	"fmt"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// closeCensus counts what a plan closes, for its notes.
type closeCensus struct {
	states [tcpvet.NumStates]int
	unsent int // in CLOSE-WAIT, with data that the peer has not acknowledged
	held   int // by a process, in other states than CLOSE-WAIT
}

func (n *closeCensus) add(s *tcpvet.Socket) {
	n.states[s.State]++
	switch {
	case s.State != tcpvet.CloseWait:
		if s.Inode != 0 {
			n.held++
		}
	case s.Knows(tcpvet.FactQueues) && s.SendQ > 0:
		n.unsent++
	}
}

// abruptClose tells how many sockets in CLOSE-WAIT cannot be shut down in order.
type abruptClose struct {
	deadly   int      // because SIGPIPE would end their program
	programs []string // whose these are, the first of them
	other    int
}

// notes says what the plan does not do, what programs and peers see, and what it can
// break.
func (n *closeCensus) notes(abrupt abruptClose) (notes []string) {
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	total := 0
	for _, k := range n.states {
		total += k
	}
	if total == 0 {
		return nil
	}
	if n.states[tcpvet.CloseWait] > 0 {
		add("It frees ports, not descriptors: a program keeps the descriptor of a socket that is closed here until it closes it or ends. A leak goes on, and ends at the limit of descriptors (EMFILE) then.")
		add("CLOSE-WAIT is shut down in order where that is possible: the program reads what is queued and the end of the file as before, a write fails with EPIPE and SIGPIPE, and the peer gets the FIN that it waits for. What the peer has not acknowledged %s later is destroyed.", vet.Duration(settleTime))
		add("A peer that closed its direction only, and still waits for an answer, gets none.")
		if n.unsent > 0 {
			add("%s of those in CLOSE-WAIT have sent data that their peers have not acknowledged: it is lost where the peer does not take it within %v, or where the socket is destroyed.", tcpvet.Thousands(n.unsent), settleTime)
		}
		if abrupt.deadly > 0 {
			add("%s of those in CLOSE-WAIT are destroyed and not shut down, because SIGPIPE would end their programs (%s): the first write fails with ECONNABORTED instead, and the peer gets a reset.", tcpvet.Thousands(abrupt.deadly), strings.Join(abrupt.programs, ", "))
		}
		if abrupt.other > 0 {
			add("%s of those in CLOSE-WAIT are destroyed and not shut down, because their descriptors cannot be borrowed: the first write fails with ECONNABORTED, and the peer gets a reset.", tcpvet.Thousands(abrupt.other))
		}
	}
	if n.states[tcpvet.TimeWait] > 0 {
		add("TIME-WAIT keeps late segments of a connection from the next one between the same ports, and sends a lost last ACK again (RFC 9293, section 3.6.1). Without it data of the old connection can get into a new one, and a peer that is still in LAST-ACK gets a reset.")
	}
	if n.states[tcpvet.SynSent] > 0 {
		add("A connect() that waits for an answer fails with ECONNABORTED.")
	}
	if n.states[tcpvet.SynRecv] > 0 {
		add("A handshake that is dropped begins anew with the client's next SYN: against a flood of SYNs it is of no use.")
	}
	if n.states[tcpvet.Established] > 0 {
		add("Connections in ESTAB are in use: data on its way is lost in both directions, and the peer gets a reset.")
	}
	if n.states[tcpvet.FinWait1]+n.states[tcpvet.FinWait2]+n.states[tcpvet.LastAck]+n.states[tcpvet.Closing] > 0 {
		add("Of connections that are being closed, data that was not acknowledged is lost, and so is what the peer still sends: it gets a reset.")
	}
	if n.held > 0 {
		add("Programs hold %s of these sockets: they can read what is queued, then a call fails with ECONNABORTED, and they keep the descriptors.", tcpvet.Thousands(n.held))
	}
	add("It cannot be undone.")
	return notes
}

// sparedNotes tells of the sockets that were selected and are left alone.
func sparedNotes(n [numSpared]int, olderThan time.Duration) (notes []string) {
	add := func(k spared, format string, args ...any) {
		if n[k] > 0 {
			notes = append(notes, "Left alone: "+tcpvet.Thousands(n[k])+" "+fmt.Sprintf(format, args...))
		}
	}
	add(sparedOwn, "that tcpvet holds itself.")
	add(sparedNoName, "of which no cookie is known, without which a socket cannot be told from the next between the same addresses.")
	add(sparedYoung, "that are not older than %s.", vet.Duration(olderThan))
	add(sparedMaybe, "that may be older than %s: something else came in since the FIN, so that its time is not known exactly.", vet.Duration(olderThan))
	add(sparedAgeless, "of which nobody knows how long they have been in their state: the kernel tells that of CLOSE-WAIT, TIME-WAIT and ESTAB alone.")
	return notes
}
