package leaktest

import (
	"context"
	"net"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// Dialer is a net.Dialer whose connections [Check] knows by the line that dialled
// them. Its zero value dials as net.Dial does. What it returns is what a net.Dialer
// returns.
type Dialer struct {
	net.Dialer
}

// Dial dials as net.Dialer does.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	conn, err := d.Dialer.Dial(network, addr)
	if err == nil {
		opened.Note(context.Background(), conn, "leaktest.Dialer", 1)
	}
	return conn, err
}

// DialContext dials as net.Dialer does.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, addr)
	if err == nil {
		opened.Note(ctx, conn, "leaktest.Dialer", 1)
	}
	return conn, err
}
