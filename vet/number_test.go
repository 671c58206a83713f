package vet_test

import (
	"math"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/vet"
)

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 27352: "27,352", 1000000: "1,000,000", 123456789: "123,456,789",
		-1: "-1", -999: "-999", -1000: "-1,000", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := vet.Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	if got := vet.Count(uint64(math.MaxUint64)); got != "18,446,744,073,709,551,615" {
		t.Errorf("the largest number is %q", got)
	}
	if one, many := vet.Counted(1, "socket"), vet.Counted(1234, "socket"); one != "1 socket" || many != "1,234 sockets" {
		t.Errorf("counted: %q, %q", one, many)
	}
	if once, twice, often := vet.Times(1), vet.Times(2), vet.Times(1234); once != "once" || twice != "twice" || often != "1,234 times" {
		t.Errorf("times: %q, %q, %q", once, twice, often)
	}
}

func TestPercent(t *testing.T) {
	for _, tt := range []struct {
		ratio float64
		want  string
	}{
		{27352. / 28232, "96.9 %"}, {0, "0 %"}, {1, "100 %"}, {0.5, "50.0 %"}, {0.05, "5.0 %"},
		{28231. / 28232, "99.9 %"}, {1. / 28232, "under 0.1 %"}, {1.25, "125.0 %"},
	} {
		if got := vet.Percent(tt.ratio); got != tt.want {
			t.Errorf("Percent(%v) = %q, want %q", tt.ratio, got, tt.want)
		}
	}
}

func TestRate(t *testing.T) {
	if got, want := vet.Rate(31, 10*time.Second), "31 in the last 10 s (3.1/s)"; got != want {
		t.Errorf("rate %q, want %q", got, want)
	}
	for _, tt := range []struct {
		rate float64
		want string
	}{
		{0, "0.0/s"}, {28232. / 60, "470/s"}, {28232, "28,232/s"}, {16.67, "16.7/s"}, {0.02, "0.02/s"}, {0.001, "under 0.01/s"},
	} {
		if got := vet.PerSecond(tt.rate); got != tt.want {
			t.Errorf("PerSecond(%v) = %q, want %q", tt.rate, got, tt.want)
		}
	}
}
