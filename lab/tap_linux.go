package lab

import (
	"context"
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/live"
)

// Tap records the TCP segments that cross an interface of a host.
type Tap struct {
	*Recording
	stop func()
}

// tapBuffer is the ring of a tap, in bytes.
const tapBuffer = 2 << 20

// Tap begins to record on an interface, until Stop or the end of the stage. A
// segment is known to the recording some 100 ms after it has crossed at the
// latest.
func (h *Host) Tap(ctx context.Context, device string) (*Tap, error) {
	var l *live.Live
	err := h.Do(func() (err error) {
		l, err = live.Open(live.Options{Interface: device, Buffer: tapBuffer})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tap %s of %s: %w", device, h.Name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	t := &Tap{Recording: newRecording(), stop: func() { cancel(); <-done }}
	go func() {
		defer close(done)
		defer l.Close()
		for {
			var s capture.Segment
			if err := l.Next(ctx, &s); err != nil {
				t.fail(fmt.Errorf("the tap has ended: %w", err))
				return
			}
			s.Payload, s.Options.Raw = slices.Clone(s.Payload), slices.Clone(s.Options.Raw)
			t.add(Crossing{Segment: s})
		}
	}()
	h.stage.ends = append(h.stage.ends, t.stop)
	return t, nil
}

// Stop ends the recording, once all that has crossed is in it. It may be called
// again.
func (t *Tap) Stop() { t.stop() }
