package leaktest

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
)

// use is what net/http has a connection for.
type use uint8

const (
	useUnknown  use = iota
	useIdle         // in the pool of its transport
	useUnderWay     // a request awaits its response
	useBody         // a body is not closed, or being read; or the connection was taken over (101)
	useShared       // by the streams of HTTP/2, of which there may be none
)

// handshake begins the names of what has TLS set up.
const handshake = "net/http.(*persistConn).addTLS"

// useOf tells it by the goroutine that reads the connection.
func useOf(l *leak, all []goroutine) use {
	if runtime.GOOS != "linux" {
		return useUnknown // which goroutine that is nothing tells
	}
	for _, g := range l.waiting {
		switch {
		case g.reads != 0 && !peeks(g):
			return useBody
		case g.reads != 0 && slices.ContainsFunc(all, func(o goroutine) bool { return o.asks == g.reads }):
			return useUnderWay
		case g.reads != 0:
			return useIdle
		case slices.ContainsFunc(g.frames, func(f runtime.Frame) bool { return streams(f.Function) }):
			return useShared
		case slices.ContainsFunc(g.frames, func(f runtime.Frame) bool { return strings.HasPrefix(f.Function, handshake) }):
			return useUnderWay
		}
	}
	return useBody
}

// peeks tells a goroutine of net/http that waits for the first byte of a response.
func peeks(g goroutine) bool {
	at := slices.IndexFunc(g.frames, func(f runtime.Frame) bool { return f.Function == readLoop })
	return at > 0 && g.frames[at-1].Function == "bufio.(*Reader).Peek"
}

// streams tells the function that reads a connection of HTTP/2: of the copy in net/http,
// or of a package http2, as golang.org/x/net has one.
func streams(function string) bool {
	return function == "net/http.(*http2clientConnReadLoop).run" ||
		strings.HasSuffix(function, "/http2.(*clientConnReadLoop).run")
}

func calls(g goroutine, function string) bool {
	return slices.ContainsFunc(g.frames, func(f runtime.Frame) bool { return f.Function == function })
}

// defaultName is the hook of http.DefaultTransport.
const defaultName = "http.DefaultTransport"

// pooled tells that the hook has dialled for the pool of the default transport.
var pooled atomic.Bool

// mayPool tells whether the default transport may have connections in its pool, as far as
// the hook knows: it spares tests without HTTP the look at all goroutines.
func mayPool() bool {
	return pooled.Load() || http.DefaultTransport != http.RoundTripper(defaultTransport)
}

// closeIdle closes the connections of the default transport that no request has,
// unless a request may be on its way: net/http puts the connection of a response
// without a body back before it hands out the response, and who closes it then takes
// the response away. It is false where they were left.
func closeIdle(mine uint64) bool {
	if !quiet(everyone(), mine) {
		return false
	}
	pooled.Store(false)
	if defaultTransport != nil {
		defaultTransport.CloseIdleConnections()
	}
	if t, ok := http.DefaultTransport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections() // another one, by now
	}
	return true
}

// quiet tells that no goroutine makes a request, and that no test runs but mine.
func quiet(all []goroutine, mine uint64) bool {
	for _, g := range all {
		switch {
		case g.asks != 0:
			return false
		case g.id == mine || len(g.frames) == 0 || strings.HasPrefix(g.frames[0].Function, "testing."):
			// Package testing waits there for subtests, or for its turn.
		case calls(g, "testing.tRunner"):
			return false
		}
	}
	return true
}

// words says what a connection of net/http is for; "" of others, as far as is known.
func (u use) words(l *leak) string {
	switch {
	case l.entry == nil || l.ended():
		return ""
	case strings.HasPrefix(l.entry.conn.Hook, "http."), l.entry.conn.User() != nil:
	default:
		return ""
	}
	const (
		idle  = "it is idle in the pool of its http.Transport, which CloseIdleConnections closes"
		under = "its request is still under way"
	)
	whose := "of this request, or of a later one over the same connection,"
	if l.entry.conn.User() != nil {
		whose = "of this request"
	}
	body := "the response's body " + whose + " was not closed, or is still being read"
	switch u {
	case useIdle:
		return idle
	case useUnderWay:
		return under
	case useBody:
		return body
	}
	return body + "; or " + idle + "; or " + under
}
