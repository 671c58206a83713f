package remedy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// toldBytes lays out a struct told as C does.
func toldBytes(cookie uint64, timers [5]int32, errno int32, at uint32, state uint16, dead, tried byte) []byte {
	b := binary.NativeEndian.AppendUint64(nil, cookie)
	for _, v := range timers {
		b = binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	b = binary.NativeEndian.AppendUint32(b, uint32(errno))
	b = binary.NativeEndian.AppendUint32(b, at)
	b = binary.NativeEndian.AppendUint16(b, state)
	return append(b, dead, tried)
}

var someTimers = [5]int32{1, 30, 3, 5, 45_000}

func TestTold(t *testing.T) {
	b := toldBytes(7, someTimers, -22, uint32(setCount), 8, 1, 1)
	got, err := decodeTold(b)
	want := told{
		cookie: 7, errno: 22, at: setCount, state: tcpvet.CloseWait, dead: true, tried: true,
		timers: tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5, UserTimeout: 45 * time.Second},
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := decodeTold(toldBytes(7, someTimers, 0, 0, 12, 1, 0)); err != nil || got.state != tcpvet.SynRecv || !got.dead || got.tried {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, b[1:], append(b, 0), toldBytes(0, someTimers, 0, 0, 1, 0, 0), toldBytes(1, someTimers, 1, 0, 1, 0, 0), toldBytes(1, someTimers, 0, 0, 13, 0, 0)} {
		if _, err := decodeTold(bad); err == nil || !strings.HasPrefix(err.Error(), "decode timers of a socket: ") {
			t.Errorf("%x: %v", bad, err)
		}
	}
	var wanted [wantedLen]byte
	encodeWanted(wanted[:], want.timers, setIdle|setUserTimeout, true)
	if !bytes.Equal(wanted[:timersLen], b[8:8+timersLen]) || binary.NativeEndian.Uint32(wanted[timersLen:]) != 2|16|32 {
		t.Errorf("wanted: %x, want the timers of %x", wanted, b)
	}
}

func FuzzTold(f *testing.F) {
	f.Add(toldBytes(7, someTimers, 0, 0, 1, 0, 0))
	f.Add(append(toldBytes(7, someTimers, -1, 1, 6, 1, 0), toldBytes(8, [5]int32{-1, -1, -1, -1, -1}, 0, 0, 12, 0, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		err := readTold(context.Background(), bytes.NewReader(b), make([]byte, 64), func(got told) {
			n++
			j := &timersJob{target: &tcpvet.Target{Cookie: got.cookie}}
			j.take(got)
			if o, why := j.outcome(); o != tcpvet.OutcomeApplied && why == "" {
				t.Errorf("%+v: %s without a reason", got, o)
			}
			if to := settable(got.timers); to.Keepalive && to.Check() != nil {
				t.Errorf("settable %v of %v: %v", to, got.timers, to.Check())
			}
		})
		if err == nil && n*toldLen != len(b) {
			t.Errorf("%d bytes gave %d records and no error", len(b), n)
		}
	})
}

// slow gives a byte at a time, and between them what an iterator may answer.
type slow struct {
	b []byte
	n int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.n++; s.n%2 == 0 {
		return 0, []error{syscall.EAGAIN, syscall.EINTR}[s.n/2%2]
	}
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b[:1])
	s.b = s.b[n:]
	return n, nil
}

func TestReadTold(t *testing.T) {
	two := append(toldBytes(7, someTimers, 0, 0, 1, 0, 0), toldBytes(8, someTimers, 0, 0, 1, 0, 0)...)
	for _, test := range []struct {
		b    []byte
		want int
		err  error
	}{{nil, 0, nil}, {two, 2, nil}, {two[:len(two)-1], 1, io.ErrUnexpectedEOF}} {
		n := 0
		err := readTold(t.Context(), &slow{b: test.b}, make([]byte, 48), func(told) { n++ })
		if n != test.want || !errors.Is(err, test.err) {
			t.Errorf("%d bytes: %d records, %v", len(test.b), n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := readTold(ctx, &slow{b: two}, make([]byte, 48), func(told) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// What the kernel does not tell or take is asked for otherwise, or stands as failed.
func TestTimersJobTakes(t *testing.T) {
	timers := tcpvet.DefaultTimers()
	for _, test := range []struct {
		name    string
		set     timersSet
		t       told
		answer  timersAnswer
		outcome tcpvet.Outcome
		why     string
	}{
		{"read", 0, told{timers: timers}, answered, tcpvet.OutcomeApplied, ""},
		{"set", setIdle, told{timers: timers}, answered, tcpvet.OutcomeApplied, ""},
		{"set by another too", setIdle, told{timers: tcpvet.Timers{}}, answered, tcpvet.OutcomeFailed, "it was set to 30s + 5 x 3s and is off: its program set it at the same time"},
		{"a kernel that does not read", 0, told{errno: 22, at: setKeepalive}, unanswered, tcpvet.OutcomeRefused, "nothing led to it"},
		{"set by a kernel that does not read", setCount, told{errno: 22, at: setKeepalive}, unanswered, tcpvet.OutcomeRefused, "nothing led to it"},
		{"an option that is not taken", setCount, told{errno: 22, at: setCount, tried: true}, failed, tcpvet.OutcomeFailed, "TCP_KEEPCNT: invalid argument"},
		{"closed", setIdle, told{dead: true, state: tcpvet.TimeWait}, closed, tcpvet.OutcomeGone, "it was closed since, and is in TIME-WAIT"},
		{"handshake", 0, told{state: tcpvet.SynRecv}, refused, tcpvet.OutcomeRefused, errHandshake.Error()},
	} {
		j := &timersJob{target: new(tcpvet.Target), to: timers, set: test.set}
		j.take(test.t)
		o, why := j.outcome()
		if j.answer != test.answer || o != test.outcome || why != test.why {
			t.Errorf("%s: %d, %s, %q", test.name, j.answer, o, why)
		}
	}
}

// What is in effect can be more than a program may set: undo comes as near as it can.
func TestSettable(t *testing.T) {
	far := tcpvet.Timers{Idle: 86400 * time.Second, Interval: 0, Count: 255, UserTimeout: time.Second}
	want := tcpvet.Timers{Idle: 32767 * time.Second, Interval: time.Second, Count: 127, UserTimeout: time.Second}
	if got := settable(far); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := settable(tcpvet.DefaultTimers()); got != tcpvet.DefaultTimers() {
		t.Errorf("the default became %v", got)
	}
	if got := differing(far, want); got != setIdle|setInterval|setCount {
		t.Errorf("they differ in %#x", uint32(got))
	}
	if got := differing(tcpvet.Timers{Keepalive: true, Interval: time.Second}, far); got != 31 {
		t.Errorf("they differ in %#x", uint32(got))
	}
}

// ending ends once something has come about.
type ending struct {
	context.Context
	once func() bool
}

func (e ending) Err() error {
	if e.once() {
		return context.Canceled
	}
	return nil
}

// A signal that comes when all is done hides nothing of it.
func TestRootKeepaliveCanceledLate(t *testing.T) {
	for _, by := range []string{byBPF, byBorrow} {
		t.Run(by, func(t *testing.T) {
			kerneltest.Netns(t)
			h := holderOf(t, nil)
			h.do(order{Do: "open", Family: "4", N: 1})
			p, err := planKeepalive(t.Context(), h.options(), by)
			if err != nil || len(p.Changes) == 0 {
				t.Fatalf("%v, %v", p, err)
			}
			for i, to := range []tcpvet.Timers{quick, tcpvet.DefaultTimers()} {
				j := &timersJob{target: &p.Changes[0].Target, to: to, set: setKeepalive | setIdle | setInterval | setCount}
				ctx := ending{t.Context(), func() bool { return j.answer == answered }}
				if err := (&keepalive{by: by, each: i > 0}).do(ctx, []*timersJob{j}); err != nil || j.now != j.to {
					t.Errorf("%v, %+v", err, j)
				}
			}
		})
	}
}
