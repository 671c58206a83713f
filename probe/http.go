package probe

import (
	"net/netip"
	"slices"
	"time"
)

// HTTP is what was measured of how a server keeps idle connections. Its times are
// since the measurement began.
type HTTP struct {
	Target  string // the URL as it was asked for
	Method  string
	Taken   time.Time
	Took    time.Duration
	Remote  netip.AddrPort // every connection was made to it
	Trip    time.Duration  // the fastest handshake: one way there and back
	Most    time.Duration  // connections were left idle for no longer than this
	Stopped bool           // by the user, before it was done

	Answer Reply  // the first answer
	Kept   []Kept // the connections that were left idle, by when they were opened
	Failed int    // connections, beside the first, that could not be used
	Why    string // the first of those failed so, "" for none

	Requests Requests

	ClientIdle time.Duration // what it is compared with, 0 for nothing
}

// Reply is what an answer said.
type Reply struct {
	Protocol string // "HTTP/1.1", "HTTP/1.0", "HTTP/2"
	TLS      string // "TLS 1.3", "" for none
	Status   int
	Location string // where a redirect leads, "" for none
	Server   string // what it calls itself
	Close    bool   // it says that the connection ends with it
	Hint     Hint   // its Keep-Alive header
}

// Redirect tells whether the answer only names another place.
func (a *Reply) Redirect() bool {
	return a.Status >= 300 && a.Status < 400 && a.Location != ""
}

// Exchange is a request and its answer.
type Exchange struct {
	Sent  time.Duration // just before its first byte was sent
	Done  time.Duration // just after the last byte of the answer was read; 0 for no answer
	Close bool          // the answer says that the connection ends with it
}

// Kept is a connection that was left idle after a request, and may have been asked
// once more.
type Kept struct {
	Exchanges []Exchange    // one, or two
	Ended     time.Duration // when that was noticed, 0 for still open
	Left      time.Duration // when it was closed from here, still open, 0 for not
	How       Ending
	Status    int    // of the answer that nobody asked for, 0 for none
	LastID    uint32 // with ByGoAway the last stream that the server has seen
	Code      string // with ByGoAway its error code, as "NO_ERROR"
}

// Survived gives how long the server surely kept it: it answered a request after so
// long an idle time. ok is false where it was not asked, or did not answer.
func (k *Kept) Survived() (idle time.Duration, ok bool) {
	if len(k.Exchanges) < 2 || k.Exchanges[1].Done == 0 {
		return 0, false
	}
	return k.Exchanges[1].Sent - k.Exchanges[0].Done, true
}

// Closed gives the time in which the server surely gave it up: counted from the
// request, since the server is idle from some moment after it. asked tells that it
// took another request to see that. ok is false for one that was not given up idle.
func (k *Kept) Closed() (within time.Duration, asked, ok bool) {
	switch {
	case k.Ended == 0 || len(k.Exchanges) == 0:
		return 0, false, false
	case len(k.Exchanges) == 1:
		return k.Ended - k.Exchanges[0].Sent, false, true
	case k.Exchanges[1].Done != 0:
		return 0, false, false
	case k.How == BySilence:
		// It was gone before the request, and not only when that was given up.
		return k.Exchanges[1].Sent - k.Exchanges[0].Sent, true, true
	}
	return k.Ended - k.Exchanges[0].Sent, true, true
}

// Idle gives how long it had been idle when it ended, or was last looked at, as seen
// from here.
func (k *Kept) idle() time.Duration {
	return k.Ended - k.Exchanges[len(k.Exchanges)-1].Done
}

// asked tells whether a request was made on a connection that had been idle.
func (h *HTTP) asked() bool {
	return slices.ContainsFunc(h.Kept, func(k Kept) bool { return len(k.Exchanges) > 1 })
}

// Requests is how many requests one connection was given.
type Requests struct {
	Most     int    // no more than this were sent
	Answered int    // on the first connection that was used for it
	Told     bool   // the last answer said that the connection ends with it
	How      Ending // how it ended; StillOpen for Told, for Most answered, or for what Why says
	Again    int    // answered on a second connection, where the first was not told; 0 for not tried
	Why      string // it was broken off, "" for not
	Others   int    // answers with another status than the first one
	Took     time.Duration
}

// Limit tells whether the server ended the connection after a number of requests.
func (r *Requests) Limit() (n int, ok bool) {
	return r.Answered, r.Answered > 0 && r.Why == "" && (r.Told || r.How != StillOpen) && (r.Again == 0 || r.Again == r.Answered)
}
