package keepalive

import (
	"net/http"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// Transport gives an HTTP transport whose connections are kept as the options say. It is
// a plain *http.Transport: what else it needs, TLSClientConfig or Proxy, may be set
// before it is used first. Use one for the whole program.
//
// It retries as net/http does and no more: a request that met the server's close of an
// idle connection is sent again if nothing of it was written, or if it is idempotent
// (GET, HEAD, OPTIONS, TRACE, or with an Idempotency-Key header) and its body can be
// had again. A POST without that key is not sent twice; ServerIdle is what keeps it
// from meeting the close.
func Transport(o Options) *http.Transport {
	d := Dialer(o)
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           d.DialContext,
		ForceAttemptHTTP2:     true, // which a DialContext turns off otherwise
		TLSHandshakeTimeout:   handshakeTimeout,
		ExpectContinueTimeout: continueTimeout,
		ResponseHeaderTimeout: max(o.ResponseTimeout, 0),
		IdleConnTimeout:       o.idleConn(),
		MaxIdleConnsPerHost:   o.idlePerHost(),
		MaxIdleConns:          max(o.idlePerHost(), leastIdleConnsAll),
		MaxConnsPerHost:       max(o.MaxPerHost, 0),
	}
	// Where no leaks are tracked, a test may still watch.
	opened.Requests(t, func() bool { return o.TrackLeaks || opened.Watched() })
	return t
}

// Client gives a client with a Transport of the options, which tells TrackLeaks who made
// a request over https too. In Transport itself that can be told for http alone: there
// HTTP/2 stands in the way.
func Client(o Options) *http.Client {
	t := Transport(o)
	if !o.TrackLeaks {
		return &http.Client{Transport: t}
	}
	return &http.Client{Transport: RoundTripper(t)}
}

// RoundTripper gives what Client has for its transport, of one whose TLSClientConfig or
// Proxy was set: t is of Transport.
func RoundTripper(t *http.Transport) http.RoundTripper { return &carrier{t} }

// carrier tells the transport who made each request.
type carrier struct{ *http.Transport }

// RoundTrip sends the request.
func (c *carrier) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.Transport.RoundTrip(opened.Carry(req, 1))
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}
