package lab

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/capture"
)

// Tunnel is a link between two hosts of which the stage itself carries every
// packet, by a TUN device at each end, and can do to it what networks do. It
// records what crosses: a segment at the time when it arrives, or is lost.
type Tunnel struct {
	*Recording
	A, B Port

	mu    sync.Mutex
	rules []*Rule // the newest is asked first
	cut   bool
	ways  [2]*way // to B, to A
	done  sync.WaitGroup
}

// parcel is a packet under way.
type parcel struct {
	packet []byte
	tcp    bool // whether c is filled in
	c      Crossing
	due    time.Time
}

// way is one direction of a tunnel: a queue that keeps its order.
type way struct {
	from, to *Host
	in, out  *os.File

	mu     sync.Mutex
	delay  time.Duration
	queue  []parcel
	closed bool
	news   chan struct{} // has room for one
}

// Tunnel joins two hosts by a TUN device at each, with names and addresses as
// Link gives them. It needs root: see TUN.
func (s *Stage) Tunnel(ctx context.Context, a, b *Host, o LinkOptions) (*Tunnel, error) {
	link := s.plan(a, b)
	t := &Tunnel{Recording: newRecording(), A: link.A, B: link.B}
	var files [2]*os.File
	for i, p := range []*Port{&t.A, &t.B} {
		err := p.Host.Do(func() (err error) {
			files[i], err = openTUN(p.Interface)
			return err
		})
		if err == nil {
			s.ends = append(s.ends, func() { files[i].Close() })
			err = p.Host.setMTU(p.Interface, o.mtu())
		}
		if err == nil {
			err = p.address(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("join %s and %s by a tunnel: %w", a.Name, b.Name, err)
		}
	}
	t.ways[0] = &way{from: a, to: b, in: files[0], out: files[1], news: make(chan struct{}, 1)}
	t.ways[1] = &way{from: b, to: a, in: files[1], out: files[0], news: make(chan struct{}, 1)}
	for _, w := range t.ways {
		t.done.Go(func() { t.read(w) })
		t.done.Go(func() { t.deliver(w) })
	}
	// It runs after the files were closed, which ends the reading.
	s.ends = append(s.ends, func() {
		for _, w := range t.ways {
			w.close()
		}
		t.done.Wait()
	})
	return t, nil
}

// openTUN makes a TUN device in the network namespace of the calling thread
// (Documentation/networking/tuntap.rst). It goes with the file.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make the TUN device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "tun"), nil // polled, since it does not block
}

// read takes what a host sends, and decides about it, until the file is closed.
func (t *Tunnel) read(w *way) {
	var d capture.Decoder
	packet := make([]byte, 1<<16)
	for {
		n, err := w.in.Read(packet)
		if err != nil {
			return
		}
		p := parcel{packet: slices.Clone(packet[:n])}
		p.c.From = w.from
		p.tcp = d.Decode(capture.Raw, p.packet, n, &p.c.Segment) == capture.IsTCP
		p.c.Segment.At = time.Now().UnixNano()
		t.decide(w, p)
	}
}

// decide asks the rules what is to become of a packet.
func (t *Tunnel) decide(w *way, p parcel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	act := pass
	switch {
	case t.cut:
		act = drop
	case p.tcp:
		for _, r := range slices.Backward(t.rules) {
			if act = r.judge(&p); act != pass {
				break
			}
		}
	}
	switch act {
	case pass:
		w.send(p)
	case drop:
		t.lose(p, Dropped)
	case reset:
		t.lose(p, Answered)
		back := t.ways[0]
		if back == w {
			back = t.ways[1]
		}
		back.send(resetFor(&p, back.from))
	}
}

// lose records a segment that does not arrive.
func (t *Tunnel) lose(p parcel, fate Fate) {
	if p.tcp {
		p.c.Fate = fate
		p.c.Segment.At = time.Now().UnixNano()
		t.add(p.c)
	}
}

// send puts a packet at the end of the queue.
func (w *way) send(p parcel) {
	w.mu.Lock()
	p.due = time.Now().Add(w.delay)
	w.queue = append(w.queue, p)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *way) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// next takes the first packet of the queue; wait is how long until it is due,
// 0 where there is none.
func (w *way) next() (p parcel, ok bool, wait time.Duration, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.queue) == 0 {
		return p, false, 0, w.closed
	}
	if wait = time.Until(w.queue[0].due); wait > 0 {
		return p, false, wait, false
	}
	p = w.queue[0]
	w.queue = w.queue[1:]
	return p, true, 0, false
}

// deliver gives a host what is sent to it.
func (t *Tunnel) deliver(w *way) {
	for {
		p, ok, wait, closed := w.next()
		switch {
		case closed:
			return
		case ok:
			if p.tcp {
				p.c.Segment.At = time.Now().UnixNano()
				// Before it arrives, so that what it draws comes after it.
				t.add(p.c)
			}
			_, _ = w.out.Write(p.packet) // a host that goes down loses it, as on any link
		case wait > 0:
			select {
			case <-time.After(wait):
			case <-w.news:
			}
		default:
			<-w.news
		}
	}
}

// Delay sets how long packets that a host sends are under way from now on. They
// stay in order.
func (t *Tunnel) Delay(from *Host, d time.Duration) {
	for _, w := range t.ways {
		if w.from == from {
			w.mu.Lock()
			w.delay = d
			w.mu.Unlock()
		}
	}
}

// Cut loses all that is sent from now on, either way.
func (t *Tunnel) Cut() { t.setCut(true) }

// Mend undoes Cut.
func (t *Tunnel) Mend() { t.setCut(false) }

func (t *Tunnel) setCut(cut bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut = cut
}
