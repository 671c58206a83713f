package probe

import "time"

// Client is a program or library that keeps HTTP connections open to use them again,
// and for how long it does so by default.
type Client struct {
	Name   string
	Idle   time.Duration // 0 for no limit of its own
	Heeds  bool          // a shorter time that the server announces goes before
	Longer time.Duration // and a longer one too, up to this; 0 for not
	Less   time.Duration // by so much less than what was announced
	Source string        // who says so
}

// Clients are those that are met often, the most patient last. None of them knows
// what the server does; each has the time that its authors chose.
var Clients = [...]Client{
	{"Ruby Net::HTTP", 2 * time.Second, false, 0, 0, "docs.ruby-lang.org, Net::HTTP#keep_alive_timeout"},
	{"Node.js fetch (undici)", 4 * time.Second, true, 10 * time.Minute, 2 * time.Second, "undici, docs/api/Client.md, keepAliveTimeout, keepAliveMaxTimeout, keepAliveTimeoutThreshold"},
	{"Node.js http.globalAgent", 5 * time.Second, true, 0, time.Second, "nodejs.org, http.globalAgent (since 19), agentKeepAliveTimeoutBuffer (an option since 22.20 and 24.7, a fixed second before; none in releases before the end of 2024)"},
	{"Python httpx", 5 * time.Second, false, 0, 0, "python-httpx.org, Resource Limits, keepalive_expiry"},
	{"Python aiohttp", 15 * time.Second, false, 0, 0, "aiohttp, connector.py, keepalive_timeout"},
	{"Java HttpClient", 30 * time.Second, false, 0, 0, "openjdk, java.net.http module, jdk.httpclient.keepalive.timeout (1200 s before JDK 20)"},
	{"AWS load balancers", 60 * time.Second, false, 0, 0, "docs.aws.amazon.com, idle timeout of a load balancer, to its targets too"},
	{"nginx to an upstream", 60 * time.Second, false, 0, 0, "nginx.org, ngx_http_upstream_module, keepalive_timeout"},
	{".NET SocketsHttpHandler", time.Minute, true, 0, time.Second, "learn.microsoft.com, SocketsHttpHandler.PooledConnectionIdleTimeout (2 min before .NET 6); dotnet/runtime, HttpConnection.cs, ProcessKeepAliveHeader"},
	{"Go http.DefaultTransport", 90 * time.Second, false, 0, 0, "net/http, DefaultTransport, IdleConnTimeout"},
	{"Firefox", 115 * time.Second, true, mostHintTimeout, 0, "mozilla-central, network.http.keep-alive.timeout; nsHttpConnection.cpp, OnHeadersAvailable"},
	{"curl", 118 * time.Second, false, 0, 0, "curl.se, CURLOPT_MAXAGE_CONN"},
	{"Apache HttpClient 5", 3 * time.Minute, true, mostHintTimeout, 0, "httpcomponents-client, RequestConfig, connectionKeepAlive; DefaultConnectionKeepAliveStrategy"},
	{"OkHttp", 5 * time.Minute, false, 0, 0, "square/okhttp, ConnectionPool"},
	{"Chrome", 5 * time.Minute, false, 0, 0, "chromium, net/socket/client_socket_pool.cc"},
	{"Google Cloud load balancers", 10 * time.Minute, false, 0, 0, "cloud.google.com, backend keepalive timeout, fixed"},
	{"Envoy to an upstream", time.Hour, false, 0, 0, "envoyproxy.io, idle_timeout of HttpProtocolOptions"},
	{"Python requests and urllib3", 0, false, 0, 0, "urllib3, HTTPConnectionPool: no idle limit; it looks for a FIN before it uses one again"},
}

// Fit is how a client's idle limit and the server's go together.
type Fit uint8

// The fits.
const (
	FitUnknown Fit = iota
	FitOK          // the client gives a connection up first, with time to spare
	FitTooLong     // the server may end it while a request is on the way
)

// String gives the word: "ok", "too-long", "unknown".
func (f Fit) String() string { return [...]string{"unknown", "ok", "too-long"}[min(f, FitTooLong)] }

// Fits judges a client that gives up a connection that was idle for so long; 0 for
// one that never does. A time between what is advised and what was measured is too
// long: the next request is on the way while the server ends the connection.
// What ended connections at once, whatever their age, is no limit.
func (h *HTTP) Fits(idle time.Duration) Fit {
	k, ok := h.Keeping()
	switch {
	case h.Answer.Close:
		return FitOK // nothing is kept
	case !ok:
		return FitUnknown
	case k.Found() && !k.AtOnce && !h.asked() && idle > 0 && idle < k.Ended:
		return FitUnknown // no request showed whether it was kept so long
	case k.Found() && !k.AtOnce && (idle == 0 || idle > h.ClientAtMost()):
		return FitTooLong
	case idle > 0 && idle <= h.ClientAtMost():
		return FitOK
	}
	return FitUnknown
}

// ClientAtMost gives how long a client should leave a connection idle at most and use
// it again: a second less than what was survived, or half where that is under two, and
// less by the way there and back; no more than what is announced, which the server may
// come to keep to. 0 for not at all.
func (h *HTTP) ClientAtMost() time.Duration {
	k, ok := h.Keeping()
	if !ok || h.Answer.Close {
		return 0
	}
	// What was survived lies a little below the limit: a client that allows for a whole
	// second is not judged by that.
	most := k.Survived - min(k.Survived/2, time.Second) - h.Trip + min(k.Survived/50, 30*time.Millisecond)
	if h.Answer.Hint.HasTimeout {
		most = min(most, h.Answer.Hint.Timeout)
	}
	step := 100 * time.Millisecond
	if most >= 10*time.Second {
		step = time.Second
	}
	return max(most.Truncate(step), 0)
}

// Of gives after how long the client gives up a connection to this server, which may
// have announced a time; 0 for never.
func (c *Client) Of(h *HTTP) time.Duration {
	hint := h.Answer.Hint
	if !c.Heeds || !hint.HasTimeout {
		return c.Idle
	}
	// Never 0, which is no limit.
	return max(min(hint.Timeout-c.Less, max(c.Idle, c.Longer)), time.Millisecond)
}
