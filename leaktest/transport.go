package leaktest

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"weak"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// defaultTransport is http.DefaultTransport as it was when the program began.
var defaultTransport, _ = http.DefaultTransport.(*http.Transport)

// Here, since no other goroutine sends requests while packages are initialised.
func init() {
	if defaultTransport != nil {
		hook(defaultTransport, defaultName)
	}
}

// Watch puts the hook of [Check] into a transport of the program's own, before its
// first request: so that connections it dials are known by the line of the request.
// It stays there, in copies that Clone makes too, and does nothing while no test is
// checked. Closing the transport's idle connections is left to the program.
func Watch(t *http.Transport) { hook(t, "http.Transport") }

// hooked are the transports that have the hook.
var hooked struct {
	sync.Mutex
	set map[weak.Pointer[http.Transport]]bool
}

func hook(t *http.Transport, name string) {
	hooked.Lock()
	defer hooked.Unlock()
	at := weak.Make(t)
	if hooked.set[at] {
		return
	}
	if hooked.set == nil {
		hooked.set = map[weak.Pointer[http.Transport]]bool{}
	}
	hooked.set[at] = true

	oldDial, oldDialTLS := olderDialers(t)
	// A transport with a dialer of its own does no HTTP/2 unless it is told to.
	if t.TLSClientConfig == nil && oldDial == nil && t.DialContext == nil && oldDialTLS == nil && t.DialTLSContext == nil {
		t.ForceAttemptHTTP2 = true
	}
	opened.Requests(t, opened.Watched)

	proxy := t.Proxy
	t.Proxy = func(req *http.Request) (*url.URL, error) {
		if opened.Watched() {
			requesters.enter(req)
		}
		if proxy == nil {
			return nil, nil
		}
		return proxy(req)
	}

	dial := new(net.Dialer).DialContext
	switch {
	case t.DialContext != nil:
		dial = t.DialContext
	case oldDial != nil:
		dial = oldDial
	}
	t.DialContext = noting(dial, name)
	switch {
	case t.DialTLSContext != nil:
		t.DialTLSContext = noting(t.DialTLSContext, name)
	case oldDialTLS != nil:
		t.DialTLSContext = noting(oldDialTLS, name)
	}
}

// olderDialers gives the transport's Dial and DialTLS, which serve where there is no
// newer one; nil for none.
func olderDialers(t *http.Transport) (dial, dialTLS dialFunc) {
	adapt := func(old func(network, addr string) (net.Conn, error)) dialFunc {
		if old == nil {
			return nil
		}
		return func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
	}
	//lint:ignore SA1019 programs that still set them keep them
	return adapt(t.Dial), adapt(t.DialTLS)
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// noting tells of what dial opens, and whose request had it opened.
func noting(dial dialFunc, name string) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if opened.Watched() && !opened.Carries(ctx) {
			if g := here(); strings.HasPrefix(g.creator, httpDials) {
				if s := requesters.leave(g.parent); s != nil {
					ctx = opened.With(ctx, s) // for a hook in dial too
				}
			}
		}
		conn, err := dial(ctx, network, addr)
		if err == nil {
			if name == defaultName {
				pooled.Store(true)
			}
			opened.Note(ctx, conn, name, 1)
		}
		return conn, err
	}
}

// requesters finds who made a request from the goroutine that dials for it.
//
// opened.Requests knows that for plain HTTP. Else it is told like this: net/http
// calls Transport.Proxy in the goroutine of the request, and starts the one that
// dials from there. Where connections per host are limited, the end of another
// request may start it: so each entry serves one dial, and the next request of a
// goroutine replaces it.
var requesters requests

type requests struct {
	sync.Mutex
	by map[uint64]*opened.Stack // by goroutine
}

// mostRequesters bounds what goroutines that never dial leave behind.
const mostRequesters = 10_000

// enter notes who makes req, unless the context of the dial will tell.
func (r *requests) enter(req *http.Request) {
	id := current()
	if id == 0 || opened.Carries(req.Context()) {
		return
	}
	s := opened.Callers(2)
	r.Lock()
	defer r.Unlock()
	if r.by == nil || len(r.by) >= mostRequesters {
		r.by = map[uint64]*opened.Stack{}
	}
	r.by[id] = s
}

// leave gives the calls of a goroutine's request, once; nil if it has none.
func (r *requests) leave(id uint64) *opened.Stack {
	r.Lock()
	defer r.Unlock()
	s := r.by[id]
	delete(r.by, id)
	return s
}
