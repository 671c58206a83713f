package scenarios

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// pushServer and pushClient speak WebSocket (RFC 6455) as far as it takes to open
// connections and to send text to clients. They have no heartbeat of their own.
var (
	pushServer = lab.Act{Name: "push-server", Learn: func(c *lab.Cues) {
		p := &pusher{}
		lab.On(c, pushListen, p.listen)
		lab.On(c, pushSend, p.send)
	}}
	pushClient = lab.Act{Name: "push-client", Learn: func(c *lab.Cues) {
		p := &subscriber{}
		lab.On(c, pushSubscribe, p.subscribe)
		lab.On(c, pushGot, p.got)
	}}
)

// The cues of pushServer and of pushClient.
const (
	pushListen    = "listen"    // pushOrder, struct{}
	pushSend      = "send"      // string, int: to every client; how many there are
	pushSubscribe = "subscribe" // pushOrder, struct{}
	pushGot       = "got"       // string, int: how many connections have got that text last
)

// pushOrder is where, and how the kernel asks for the other end.
type pushOrder struct {
	At        netip.AddrPort
	Count     int                 // connections of a client
	Keepalive net.KeepAliveConfig // none where it is not enabled
}

// greeting is where each opening handshake goes on.
const greeting = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3

func accepts(key string) string {
	sum := sha1.Sum([]byte(key + greeting))
	return base64.StdEncoding.EncodeToString(sum[:])
}

type pusher struct {
	mu      sync.Mutex
	clients []net.Conn
}

func (p *pusher) listen(order pushOrder) (struct{}, error) {
	config := net.ListenConfig{KeepAlive: -1, KeepAliveConfig: order.Keepalive}
	l, err := config.Listen(context.Background(), "tcp", order.At.String())
	if err != nil {
		return struct{}{}, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.welcome(c)
		}
	}()
	return struct{}{}, nil
}

func (p *pusher) welcome(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			accepts(r.Header.Get("Sec-WebSocket-Key")))
	}
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	p.clients = append(p.clients, c)
	p.mu.Unlock()
}

// send sends one unmasked text frame to each.
func (p *pusher) send(text string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	frame := append([]byte{0x81, byte(len(text))}, text...) // final, text; up to 125 bytes
	for _, c := range p.clients {
		if _, err := c.Write(frame); err != nil {
			return 0, fmt.Errorf("send to %s: %w", c.RemoteAddr(), err)
		}
	}
	return len(p.clients), nil
}

type subscriber struct {
	mu   sync.Mutex
	last map[net.Conn]string
}

func (p *subscriber) subscribe(order pushOrder) (struct{}, error) {
	d := net.Dialer{KeepAlive: -1, KeepAliveConfig: order.Keepalive}
	for range order.Count {
		c, err := d.DialContext(context.Background(), "tcp", order.At.String())
		if err != nil {
			return struct{}{}, err
		}
		r, err := shakeHands(c)
		if err != nil {
			return struct{}{}, fmt.Errorf("open a WebSocket to %s: %w", order.At, err)
		}
		p.note(c, "")
		go func() {
			for {
				text, err := readFrame(r)
				if err != nil {
					return
				}
				p.note(c, text)
			}
		}()
	}
	return struct{}{}, nil
}

func (p *subscriber) note(c net.Conn, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = make(map[net.Conn]string)
	}
	p.last[c] = text
}

func (p *subscriber) got(text string) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, last := range p.last {
		if last == text {
			n++
		}
	}
	return n, nil
}

// shakeHands asks for the upgrade, and gives what comes after the answer.
func shakeHands(c net.Conn) (*bufio.Reader, error) {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	key := base64.StdEncoding.EncodeToString(nonce[:])
	if _, err := fmt.Fprintf(c, "GET /stock HTTP/1.1\r\nHost: stock\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", key); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if a.StatusCode != http.StatusSwitchingProtocols || a.Header.Get("Sec-WebSocket-Accept") != accepts(key) {
		return nil, fmt.Errorf("the server answers %s, with Sec-WebSocket-Accept %q", a.Status, a.Header.Get("Sec-WebSocket-Accept"))
	}
	return r, nil
}

// readFrame reads a short unmasked frame.
func readFrame(r io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	text := make([]byte, head[1]&0x7f)
	_, err := io.ReadFull(r, text)
	return string(text), err
}

// probedEvery turns keepalive on, with a probe after so long a silence.
func probedEvery(silence time.Duration) net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: silence, Interval: silence, Count: 5}
}
