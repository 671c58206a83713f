package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet/vet"
)

// line is a connection with what is spoken on it.
type line struct {
	speaker
	conn net.Conn      // TLS, where there is any, and else TCP
	raw  net.Conn      // TCP
	trip time.Duration // the TCP handshake took so long
	at   netip.AddrPort
}

// connect opens a connection to the address, or to the host of the URL where that is
// the zero value, and begins what is spoken on it.
func connect(ctx context.Context, o *Options, at netip.AddrPort) (*line, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	host, port := o.endpoint()
	to := net.JoinHostPort(host, port)
	if at.IsValid() {
		to = at.String()
	}
	// Keepalive probes of TCP would keep a middlebox from forgetting the connection.
	dialer := net.Dialer{KeepAlive: -1}
	begun := time.Now()
	conn, err := dialer.DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, unreachable(err, to, o.Timeout)
	}
	l := &line{conn: conn, raw: conn, trip: time.Since(begun)}
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		l.at = addr.AddrPort()
		l.at = netip.AddrPortFrom(l.at.Addr().Unmap(), l.at.Port())
	}
	if err := l.begin(ctx, o); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// unreachable says why nothing connected. The name was looked up meanwhile.
func unreachable(err error, to string, timeout time.Duration) error {
	var (
		name  *net.DNSError
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &name):
		// It names the host and the servers once more.
		return fmt.Errorf("look up %s: %s: tcpvet why %s explains it", clip(name.Name), name.Err, vet.Quote(to))
	case errors.As(err, &errno):
		return fmt.Errorf("connect to %s: %w: tcpvet why %s explains it", to, errno, vet.Quote(to))
	case isTimeout(err):
		return fmt.Errorf("connect to %s: no answer came within %s: tcpvet why %s explains it", to, timeout, vet.Quote(to))
	}
	return fmt.Errorf("connect to %s: %w", to, err)
}

// begin speaks TLS, if the URL says so, and then HTTP of the version that was chosen.
func (l *line) begin(ctx context.Context, o *Options) error {
	config := o.tls()
	if config == nil {
		l.speaker = newHTTP1(l.conn, o, "")
		return nil
	}
	c := tls.Client(l.raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return noTLS(ctx, err, o)
	}
	l.conn = c
	state := c.ConnectionState()
	version := tls.VersionName(state.Version)
	switch {
	case state.NegotiatedProtocol == "h2":
		h, err := newHTTP2(c, o, version, o.Timeout)
		l.speaker = h
		return err
	case o.Protocol == HTTP2:
		return errNoHTTP2
	}
	l.speaker = newHTTP1(c, o, version)
	return nil
}

var errNoHTTP2 = errors.New("speak HTTP/2: the server does not (ALPN); leave --h2 out to measure HTTP/1.1")

// noProtocol ends the words of the alert no_application_protocol (RFC 7301, section
// 3.2). Package tls names it by words alone.
const noProtocol = "no application protocol"

// noTLS says why the handshake failed.
func noTLS(ctx context.Context, err error, o *Options) error {
	var (
		plain     tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		cert      *tls.CertificateVerificationError
		alert     *net.OpError
	)
	switch {
	case o.Protocol == HTTP2 && errors.As(err, &alert) && strings.HasSuffix(alert.Err.Error(), noProtocol):
		return errNoHTTP2
	case errors.As(err, &plain):
		return fmt.Errorf("speak TLS: the server does not (it sent %q): try http://", clip(string(plain.RecordHeader[:])))
	case errors.As(err, &cert), errors.As(err, &authority), errors.As(err, &name), errors.As(err, &invalid):
		return fmt.Errorf("check the server's certificate: %w; --insecure measures nevertheless", err)
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded), isTimeout(err):
		return fmt.Errorf("speak TLS: the server did not answer the handshake within %s", o.Timeout)
	case endOf(err, false) != nil:
		return fmt.Errorf("speak TLS: the server ended the connection during the handshake by %s; it may want another name than %s, or speak no TLS: try http://", endOf(err, false).how, o.URL.Hostname())
	}
	return fmt.Errorf("speak TLS: %w", err)
}

func (l *line) close() { l.conn.Close() }
