package live

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tcpvet/tcpvet/capture"
	"golang.org/x/sys/unix"
)

// Times in milliseconds.
const (
	retire = 40  // after which the kernel gives over a block that is not full
	pause  = 100 // after which a wait for packets looks at its context again

	// A block is given over at the second tick after its first packet
	// (net/packet/af_packet.c, prb_retire_rx_blk_timer_expired): so long
	// after the last packet the ring holds nothing that may not be read.
	drain = 4 * retire
)

// Next gives the next TCP segment that the filter selects. What s refers to
// lies in the ring and holds until the next call of Next or Close.
//
// When ctx ends the kernel adds nothing more, and Next goes on to give what had
// come before; then it returns ctx.Err(), at the latest drain after the ring is
// empty. In the same way a capture on one interface ends when that goes down:
// the error wraps ErrDown or ErrRemoved. After an error each call returns it.
func (l *Live) Next(ctx context.Context, s *capture.Segment) error {
	for l.ended == nil {
		ok, err := l.block.next(&l.frame)
		if err != nil {
			l.ended = l.failed(err)
			break
		}
		if !ok {
			if err := l.nextBlock(ctx); err != nil {
				l.ended = err
			}
			continue
		}
		given, err := l.read(s)
		if err != nil {
			l.ended = l.failed(err)
			break
		}
		if given {
			return nil
		}
	}
	return l.ended
}

func (l *Live) failed(err error) error { return fmt.Errorf("capture on %s: %w", l.name, err) }

// read judges the packet of l.frame.
func (l *Live) read(s *capture.Segment) (given bool, err error) {
	f := &l.frame
	if err := f.dress(l.link); err != nil {
		return false, err
	}
	verdict := capture.NotTCP
	if l.link != capture.Raw || f.protocol == etherIPv4 || f.protocol == etherIPv6 {
		verdict = l.decoder.Decode(l.link, f.bytes(), f.wire, s)
	}
	selected := verdict == capture.IsTCP && l.filter.Match(s.Src, s.Dst)
	l.stats.count(verdict, selected)
	if !selected {
		return false, nil
	}
	s.Frame, s.At, s.Interface = l.stats.Packets, f.at, f.index
	if f.status&sumNotReady != 0 {
		s.Checksum = capture.NotCheckable // the card, or nobody on loopback, fills it in
	}
	l.last = Packet{At: f.at, Bytes: f.bytes(), WireLen: f.wire}
	return true, nil
}

// Packet is a packet as a file of the capture's link type has it.
type Packet struct {
	At      int64  // nanoseconds since 1970
	Bytes   []byte // what was kept; it holds until the next call of Next or Close
	WireLen int    // how long it was
}

// Packet gives the packet of the segment that Next gave last.
func (l *Live) Packet() Packet { return l.last }

// Link is the link type of all packets: Ethernet, Raw where an interface
// carries nothing but IP, else LinuxSLL2.
func (l *Live) Link() capture.LinkType { return l.link }

// SnapLen is the most bytes that a Packet has.
func (l *Live) SnapLen() uint32 { return l.snapLen + room }

// status is the word by which a block changes hands.
func (l *Live) status(block int) *uint32 {
	return (*uint32)(unsafe.Pointer(&l.ring[block*l.size+blockStatus]))
}

// nextBlock gives the block back that was read, and waits for the next one.
func (l *Live) nextBlock(ctx context.Context) error {
	if l.held {
		atomic.StoreUint32(l.status(l.turn), unix.TP_STATUS_KERNEL)
		l.held = false
		l.turn = (l.turn + 1) % (len(l.ring) / l.size)
	}
	// The kernel's counters have 32 bits.
	if l.turns++; l.turns%1024 == 0 {
		if err := l.collect(); err != nil {
			return l.failed(err)
		}
	}
	for {
		if l.ending == nil && ctx.Err() != nil {
			if err := l.halt(ctx.Err()); err != nil {
				return err
			}
		}
		if atomic.LoadUint32(l.status(l.turn))&unix.TP_STATUS_USER != 0 {
			l.held = true
			if err := l.block.open(l.ring[l.turn*l.size:][:l.size:l.size]); err != nil {
				return l.failed(err)
			}
			return nil
		}
		if err := l.wait(); err != nil {
			return err
		}
	}
}

// halt has the kernel add nothing more: the capture ends, for a reason, when
// the ring is empty.
func (l *Live) halt(reason error) error {
	if err := attach(l.fd, nothing); err != nil {
		return l.failed(fmt.Errorf("stop: %w", err))
	}
	l.ending, l.until = reason, time.Now().Add(drain*time.Millisecond)
	return nil
}

// wait waits a while for a block.
func (l *Live) wait() error {
	timeout := pause
	if l.ending != nil {
		left := time.Until(l.until)
		if left <= 0 {
			return l.reason()
		}
		timeout = int(left/time.Millisecond) + 1
	}
	poll := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	ready, err := unix.Poll(poll, timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return l.failed(fmt.Errorf("wait for packets: %w", err))
	}
	if ready == 0 && l.idle != nil && l.ending == nil {
		if err := l.idle(); err != nil {
			return err
		}
	}
	if poll[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) == 0 {
		return nil
	}
	n, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return l.failed(fmt.Errorf("wait for packets: %w", err))
	case n == 0 || l.ending != nil:
		return nil
	case unix.Errno(n) != unix.ENETDOWN:
		return l.failed(fmt.Errorf("wait for packets: %w", unix.Errno(n)))
	}
	return l.halt(ErrDown)
}

// reason is why the capture has ended. An interface that is removed goes down
// first.
func (l *Live) reason() error {
	if l.ending != ErrDown {
		return l.ending
	}
	if _, ok := l.InterfaceName(l.index); !ok {
		return l.failed(ErrRemoved)
	}
	return l.failed(ErrDown)
}

// InterfaceName gives the name that an interface has now in the captured
// network namespace; false where there is none of that index.
func (l *Live) InterfaceName(index int) (string, bool) {
	ifr, err := unix.NewIfreq("")
	if err != nil || l.ring == nil {
		return "", false
	}
	ifr.SetUint32(uint32(index))
	if err := unix.IoctlIfreq(l.fd, unix.SIOCGIFNAME, ifr); err != nil {
		return "", false
	}
	return ifr.Name(), true
}

// Stats tells what was captured so far; after Close, in all.
func (l *Live) Stats() (Stats, error) {
	if l.ring != nil {
		if err := l.collect(); err != nil {
			return l.stats, l.failed(err)
		}
	}
	return l.stats, nil
}

// collect adds what the kernel has counted since the last time: it counts from
// 0 again. Its packets include those that it dropped.
func (l *Live) collect() error {
	st, err := unix.GetsockoptTpacketStatsV3(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("read statistics of packet socket: %w", err)
	}
	l.stats.Received += uint64(st.Packets)
	l.stats.Drops += uint64(st.Drops)
	l.stats.Freezes += uint64(st.Freeze_q_cnt)
	return nil
}

// Close ends the capture and gives back the ring. Segments and packets that
// still refer to it must not be used any more.
func (l *Live) Close() error {
	if l.ring == nil {
		return nil
	}
	counted := l.collect()
	l.ended, l.block, l.last = ErrClosed, block{}, Packet{}
	if err := errors.Join(counted, l.release()); err != nil {
		return fmt.Errorf("close capture on %s: %w", l.name, err)
	}
	return nil
}
