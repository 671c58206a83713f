package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// peerAct is an end of connections: it listens and sends everything back, or
// connects. It has one connection at a time.
var peerAct = Act{Name: "peer", Learn: func(c *Cues) {
	p := new(peer)
	On(c, "listen", p.listen)
	On(c, "connect", p.connect)
	On(c, "send", p.send)
	On(c, "read", p.read)
	On(c, "close", p.close)
}}

type peer struct{ conn net.Conn }

func (p *peer) listen(on netip.AddrPort) (struct{}, error) {
	l, err := net.Listen("tcp", on.String())
	if err != nil {
		return struct{}{}, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return struct{}{}, nil
}

// outcome is what became of a call.
type outcome struct {
	Errno int // 0 for none
	Text  string
	Took  time.Duration
}

func outcomeOf(text string, begin time.Time, err error) (outcome, error) {
	o := outcome{Text: text, Took: time.Since(begin)}
	var errno unix.Errno
	switch {
	case err == nil:
	case errors.As(err, &errno):
		o.Errno = int(errno)
	case errors.Is(err, io.EOF):
		o.Text = "end"
	default:
		return o, err
	}
	return o, nil
}

func (p *peer) connect(to netip.AddrPort) (outcome, error) {
	begin := time.Now()
	d := net.Dialer{KeepAlive: -1}
	c, err := d.Dial("tcp", to.String())
	if err == nil {
		p.conn = c
	}
	return outcomeOf("", begin, err)
}

// send sends a line and waits for its echo.
func (p *peer) send(text string) (outcome, error) {
	begin := time.Now()
	if _, err := p.conn.Write([]byte(text)); err != nil {
		return outcomeOf("", begin, err)
	}
	return p.read(len(text))
}

func (p *peer) read(n int) (outcome, error) {
	begin := time.Now()
	b := make([]byte, n)
	got, err := io.ReadFull(p.conn, b)
	return outcomeOf(string(b[:got]), begin, err)
}

func (p *peer) close(struct{}) (outcome, error) {
	return outcomeOf("", time.Now(), p.conn.Close())
}

// ok makes sure that a call had no errno and gave that text.
func (o outcome) ok(text string) error {
	if o.Errno != 0 || o.Text != text {
		return fmt.Errorf("got %+v, want %q", o, text)
	}
	return nil
}
