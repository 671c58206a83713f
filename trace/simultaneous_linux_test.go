package trace

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// What needs a peer that does what a kernel does not, or not when a test wants it.
func TestRootRawPeer(t *testing.T) { kerneltest.Undisturbed(t, testRawPeer) }

func testRawPeer(t testing.TB) {
	f := follow(t, Options{Kinds: allKinds})
	p := newRawPeer(t)
	closed := func(what string, c *socket, first tcpvet.Closer, how tcpvet.CloseHow, reset bool) {
		t.Helper()
		e := f.one(what, of(tcpvet.EventClose, c.cookie))
		if e.First != first || e.How != how || (e.Cause == tcpvet.CauseReset) != reset || e.Role != tcpvet.Client || e.Remote != p.at {
			t.Errorf("%s: %+v; want first %q, %s, reset by the peer %v", what, e, first, how, reset)
		}
	}
	failed := func(what string, c *socket, errno int, cause tcpvet.Cause) {
		t.Helper()
		e := f.one(what, of(tcpvet.EventFail, c.cookie))
		if got := pending(t, c); int(got) != errno || e.Errno != errno || e.Cause != cause || e.SYNs != 1 {
			t.Errorf("%s: %+v; the program got %d, want %d, %s", what, e, got, errno, cause)
		}
		checkSelf(t, what, &e)
	}

	// Each FIN is sent before the other is seen (RFC 9293, figure 13).
	c, s := p.connected()
	c.close()
	p.next(flagFIN)
	s.flags |= flagFIN // which does not acknowledge that one
	p.send(s)
	p.next(flagACK)
	s.seq, s.ack, s.flags = s.seq+1, s.ack+1, flagACK
	p.send(s)
	closed("simultaneous close", c, tcpvet.CloserBoth, tcpvet.HowFIN, false)

	// As before, but the last ACK never comes and an RST does.
	c, s = p.connected()
	c.close()
	p.next(flagFIN)
	s.flags |= flagFIN
	p.send(s)
	p.next(flagACK)
	p.send(segment{from: s.from, to: s.to, seq: s.seq + 1, flags: flagRST})
	closed("RST in CLOSING", c, tcpvet.CloserBoth, tcpvet.HowRST, true)

	// The peer's FIN acknowledges ours: three segments.
	c, s = p.connected()
	c.close()
	p.next(flagFIN)
	s.ack++
	s.flags |= flagFIN
	p.send(s)
	closed("FIN with the ACK of ours", c, tcpvet.CloserLocal, tcpvet.HowFIN, false)

	// RST in LAST-ACK.
	c, s = p.connected()
	s.flags |= flagFIN
	p.send(s)
	p.next(flagACK)
	c.close()
	p.next(flagFIN)
	p.send(segment{from: s.from, to: s.to, seq: s.seq + 1, flags: flagRST})
	closed("RST in LAST-ACK", c, tcpvet.CloserRemote, tcpvet.HowRST, true)

	// SYNs that cross (RFC 9293, figure 8).
	const apart = 20 * time.Millisecond
	c, syn := p.dialled()
	time.Sleep(apart) // which is a part of the handshake
	p.send(segment{from: p.at, to: syn.from, seq: 1000, flags: flagSYN})
	p.next(flagSYN | flagACK)
	p.send(segment{from: p.at, to: syn.from, seq: 1001, ack: syn.seq + 1, flags: flagACK})
	e := f.one("simultaneous open", of(tcpvet.EventOpen, c.cookie))
	if e.Role != tcpvet.Client || e.From != tcpvet.SynRecv || e.Took < apart {
		t.Errorf("simultaneous open: %+v", e)
	}
	// ... of which the peer thinks better, and the attempt has failed.
	c, syn = p.dialled()
	p.send(segment{from: p.at, to: syn.from, seq: 1000, flags: flagSYN})
	p.next(flagSYN | flagACK)
	p.send(segment{from: p.at, to: syn.from, seq: 1001, flags: flagRST})
	failed("RST in SYN-RECV", c, int(unix.ECONNRESET), tcpvet.CauseReset)

	for _, test := range []struct {
		code  byte
		errno int
		cause tcpvet.Cause
	}{
		{0, int(unix.ENETUNREACH), tcpvet.CauseNoRoute},   // net unreachable
		{1, int(unix.EHOSTUNREACH), tcpvet.CauseNoRoute},  // host unreachable
		{3, int(unix.ECONNREFUSED), tcpvet.CauseRefused},  // port unreachable
		{13, int(unix.EHOSTUNREACH), tcpvet.CauseNoRoute}, // administratively prohibited
	} {
		c, syn = p.dialled()
		p.unreachable(syn, test.code)
		failed("a router's answer", c, test.errno, test.cause)
	}

	// Retransmissions in vain, about which a router complains: its word is the error.
	c, _ = p.connected()
	option(t, c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500)
	write(t, c, "in vain")
	p.unreachable(p.next(flagPSH), 1)
	closed("retransmissions in vain", c, tcpvet.CloserUnknown, tcpvet.HowTimeout, false)
	if got := pending(t, c); got != unix.EHOSTUNREACH {
		t.Errorf("the program got %v", got)
	}
}
