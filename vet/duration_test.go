package vet_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/vet"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 350 * time.Millisecond: "350 ms", 999999 * time.Microsecond: "999 ms",
		time.Second: "1 s", 2560 * time.Millisecond: "2.5 s", 2048 * time.Millisecond: "2 s", 10500 * time.Millisecond: "10 s",
		59999 * time.Millisecond: "59 s", time.Minute: "1 min", 785 * time.Second: "13 min 5 s", 61 * time.Second: "1 min 1 s", 61999 * time.Millisecond: "1 min 1 s", -1 << 63: "-106751 d 23 h",
		2*time.Hour + 13*time.Minute + 59*time.Second: "2 h 13 min", 2 * time.Hour: "2 h",
		76 * time.Hour: "3 d 4 h", 49710 * vet.Day: "49710 d", -time.Minute: "-1 min",
	} {
		if got := vet.Duration(d); got != want {
			t.Errorf("Duration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "about 1 s", 4400 * time.Millisecond: "about 4 s", 44 * time.Second: "about 40 s",
		283870 * time.Millisecond:       "about 4 min 40 s", // 880 ports at 3.1/s
		59*time.Minute + 57*time.Second: "about 1 h", 2*time.Hour + 13*time.Minute: "about 2 h 10 min",
		78*time.Hour + 25*time.Minute: "about 3 d 6 h", 100*vet.Day + 13*time.Hour: "about 101 d",
	} {
		if got := vet.About(d); got != want {
			t.Errorf("About(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	if got, want := vet.Ago(8*time.Second, 8*time.Second), "8 s ago"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := vet.Ago(5*time.Minute, 133*time.Minute), "between 5 min and 2 h 13 min ago"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestShellDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", time.Hour: "1h", 90 * time.Minute: "1h30m", 50 * time.Millisecond: "50ms",
		262144 * time.Millisecond: "4m22.144s", 0: "0s", 10 * time.Second: "10s", 10 * time.Hour: "10h", time.Hour + time.Second: "1h0m1s",
	} {
		got := vet.ShellDuration(d)
		if back, err := time.ParseDuration(got); got != want || err != nil || back != d {
			t.Errorf("%v: %q, want %q; read back %v, %v", d, got, want, back, err)
		}
	}
}
