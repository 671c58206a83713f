package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Protocol is the version of HTTP that is spoken.
type Protocol uint8

// The protocols. Without TLS only HTTP/1.1 is spoken.
const (
	Negotiated Protocol = iota // HTTP/2 where the server chooses it
	HTTP1
	HTTP2
)

// Options say what to measure, and within which bounds.
type Options struct {
	URL      *url.URL // http or https, with a host
	Method   string   // GET or HEAD
	Header   http.Header
	Protocol Protocol
	Insecure bool // any certificate will do

	Most        time.Duration // how long a connection is left idle at most
	Timeout     time.Duration // for a connection with its TLS, and for an answer
	Connections int           // that are left idle, LeastConnections at least
	Requests    int           // that one connection is given at most, 0 to leave that out
	ClientIdle  time.Duration // what the server is compared with, 0 for nothing
}

// LeastConnections is one to watch, one to ask near the end, and one to ask on the way.
const LeastConnections = 3

// What an answer may have, that a server which means no harm does not need.
const (
	mostHead    = 256 << 10 // bytes of status and header
	mostBody    = 8 << 20   // bytes of the body of one answer
	mostTraffic = 64 << 20  // bytes of all bodies while requests are counted
	mostInterim = 8         // answers such as 103, before the one that counts
)

// What stands in the URL is not repeated: it may be a password.
var errScheme = errors.New("read URL: it should begin with http:// or https://, as http://10.0.3.7:8080/health does")

// ParseURL reads the address of a server.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case !strings.Contains(text, "://"):
		return nil, errScheme
	case err != nil:
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err
		}
		return nil, fmt.Errorf("read URL: %w; expected one as http://10.0.3.7:8080/health", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errScheme
	case u.Hostname() == "":
		return nil, fmt.Errorf("read URL %q: no host is in it", text)
	case u.User != nil:
		return nil, fmt.Errorf("read URL of %s: leave name and password out, and give --header 'Authorization: …'", u.Host)
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port) {
		return nil, fmt.Errorf("read URL %q: expected a port from 1 to 65535 behind the host", text)
	}
	return u, nil
}

func isPort(text string) bool {
	n, err := net.LookupPort("tcp", text)
	return err == nil && n > 0
}

// endpoint gives host and port.
func (o *Options) endpoint() (host, port string) {
	host, port = o.URL.Hostname(), o.URL.Port()
	switch {
	case port != "":
	case o.URL.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return host, port
}

// tls gives nil for a URL without it.
func (o *Options) tls() *tls.Config {
	if o.URL.Scheme != "https" {
		return nil
	}
	c := &tls.Config{ServerName: o.URL.Hostname(), InsecureSkipVerify: o.Insecure, MinVersion: tls.VersionTLS10}
	switch o.Protocol {
	case HTTP1:
		c.NextProtos = []string{"http/1.1"}
	case HTTP2:
		c.NextProtos = []string{"h2"}
	default:
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	return c
}

// field is one line of a header.
type field struct{ name, value string }

// fields gives the header but for Host, in the order of names: the same with each request.
func (o *Options) fields() []field {
	var all []field
	for _, name := range slices.Sorted(maps.Keys(o.Header)) {
		for _, value := range o.Header[name] {
			if !strings.EqualFold(name, "Host") {
				all = append(all, field{name, value})
			}
		}
	}
	return all
}

// host gives what stands in Host: another than the URL's where the header says so.
func (o *Options) host() string {
	if h := o.Header.Get("Host"); h != "" {
		return h
	}
	// A zone is of this host alone (RFC 6874, section 4).
	if name, _, zoned := strings.Cut(o.URL.Hostname(), "%"); zoned {
		return strings.TrimSuffix(net.JoinHostPort(name, o.URL.Port()), ":")
	}
	return o.URL.Host
}

// ParseField reads a line of a header: "Name: value".
func ParseField(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	switch {
	case !ok || name == "" || strings.ContainsFunc(name, notToken):
		return "", "", fmt.Errorf("read header line: expected \"Name: value\" with a name of letters, digits and dashes")
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "", "", fmt.Errorf("read header line %s: its value has a control character", name)
	}
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "content-length", "transfer-encoding", "te", "upgrade", "expect", "proxy-connection", "http2-settings":
		return "", "", fmt.Errorf("read header line %s: it says how a connection is used or what follows, which is what is measured", name)
	}
	return http.CanonicalHeaderKey(name), value, nil
}

// notToken tells what a name may not have (RFC 9110, section 5.6.2).
func notToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
}
