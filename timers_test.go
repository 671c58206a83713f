package tcpvet

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestTimersCheck(t *testing.T) {
	good := DefaultTimers()
	if err := good.Check(); err != nil {
		t.Errorf("the default: %v", err)
	}
	if err := (Timers{}).Check(); err != nil {
		t.Errorf("none: %v", err)
	}
	for _, test := range []struct {
		change func(*Timers)
		want   string // "" for good
	}{
		{func(t *Timers) { t.Idle = time.Second }, ""},
		{func(t *Timers) { t.Idle = 32767 * time.Second }, ""},
		{func(t *Timers) { t.Idle = 32768 * time.Second }, "idle 9h6m8s: expected whole seconds from 1s to 32767s"},
		{func(t *Timers) { t.Idle = 0 }, "idle 0s"},
		{func(t *Timers) { t.Idle = -time.Second }, "idle -1s"},
		{func(t *Timers) { t.Idle = 1500 * time.Millisecond }, "idle 1.5s: expected whole seconds"},
		{func(t *Timers) { t.Interval = 32767 * time.Second }, ""},
		{func(t *Timers) { t.Interval = 32768 * time.Second }, "interval 9h6m8s"},
		{func(t *Timers) { t.Interval = time.Millisecond }, "interval 1ms"},
		{func(t *Timers) { t.Count = 1 }, ""},
		{func(t *Timers) { t.Count = 127 }, ""},
		{func(t *Timers) { t.Count = 128 }, "count 128: expected 1 to 127"},
		{func(t *Timers) { t.Count = 0 }, "count 0"},
		{func(t *Timers) { t.UserTimeout = time.Millisecond }, ""},
		{func(t *Timers) { t.UserTimeout = math.MaxInt32 * time.Millisecond }, ""},
		{func(t *Timers) { t.UserTimeout = (math.MaxInt32 + 1) * time.Millisecond }, "user timeout 596h31m23.648s: expected whole milliseconds"},
		{func(t *Timers) { t.UserTimeout = time.Microsecond }, "user timeout 1µs"},
		{func(t *Timers) { t.UserTimeout = -time.Millisecond }, "user timeout -1ms"},
	} {
		with := good
		test.change(&with)
		err := with.Check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v: %v, want %q", with, err, test.want)
		}
		if e := (*TimerError)(nil); err != nil && (!errors.As(err, &e) || !strings.HasPrefix(test.want, e.Timer+" "+e.Value)) {
			t.Errorf("%v: %v names %+v", with, err, e)
		}
	}
}

func TestTimersDead(t *testing.T) {
	s := time.Second
	for _, test := range []struct {
		timers Timers
		want   time.Duration
	}{
		{Timers{}, 0},
		{Timers{UserTimeout: s}, 0}, // an idle connection has nothing to be acknowledged
		{Timers{Keepalive: true, Idle: 7200 * s, Interval: 75 * s, Count: 9}, 7875 * s}, // tcp(7)
		{DefaultTimers(), 45 * s},
		{Timers{Keepalive: true, Idle: 30 * s, Interval: 3 * s, Count: 5, UserTimeout: 45 * s}, 45 * s},
		{Timers{Keepalive: true, Idle: 30 * s, Interval: 3 * s, Count: 5, UserTimeout: 45*s + 1e6}, 48 * s},
		{Timers{Keepalive: true, Idle: 30 * s, Interval: 3 * s, Count: 5, UserTimeout: s}, 33 * s},
		{Timers{Keepalive: true, Idle: 30 * s, Interval: 3 * s, Count: 5, UserTimeout: 30 * s}, 33 * s},
		{Timers{Keepalive: true, Idle: 30 * s, Interval: 3 * s, Count: 5, UserTimeout: 100 * s}, 102 * s},
		{Timers{Keepalive: true, Idle: s, Count: 5, UserTimeout: 100 * s}, s}, // no such socket: no division by 0
	} {
		if got := test.timers.Dead(); got != test.want {
			t.Errorf("%v: %v, want %v", test.timers, got, test.want)
		}
	}
}
