package keepalive

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestIdleConn(t *testing.T) {
	for server, want := range map[time.Duration]time.Duration{
		0:                      30 * time.Second,
		75 * time.Second:       74 * time.Second,
		5 * time.Second:        4 * time.Second,
		2 * time.Second:        time.Second,
		time.Second:            500 * time.Millisecond,
		200 * time.Millisecond: 100 * time.Millisecond,
	} {
		if got := Transport(Options{ServerIdle: server}).IdleConnTimeout; got != want {
			t.Errorf("server %v: %v, want %v", server, got, want)
		}
	}
}

func TestPool(t *testing.T) {
	for _, test := range []struct {
		o                 Options
		idle, all, atMost int
	}{
		{Options{}, 100, 512, 0},
		{Options{MaxPerHost: 30}, 30, 512, 30},
		{Options{MaxIdlePerHost: 1000}, 1000, 1000, 0},
		{Options{MaxIdlePerHost: 7, MaxPerHost: 30}, 7, 512, 30},
	} {
		tr := Transport(test.o)
		if tr.MaxIdleConnsPerHost != test.idle || tr.MaxIdleConns != test.all || tr.MaxConnsPerHost != test.atMost {
			t.Errorf("%+v: %d, %d, %d", test, tr.MaxIdleConnsPerHost, tr.MaxIdleConns, tr.MaxConnsPerHost)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, o := range map[string]Options{
		"idle 500ms":                      {Idle: 500 * time.Millisecond},
		"idle -1s":                        {Idle: -time.Second},
		"idle 9999h0m0s":                  {Idle: 9999 * time.Hour},
		"interval 1.5s":                   {Interval: 1500 * time.Millisecond},
		"count 128":                       {Count: 128},
		"count -1":                        {Count: -1},
		"user timeout":                    {UserTimeout: 1500 * time.Microsecond},
		"ConnectTimeout -1s":              {ConnectTimeout: -time.Second},
		"ServerIdle -1s":                  {ServerIdle: -time.Second},
		"-1s: expected 0 for no bound":    {ResponseTimeout: -time.Second},
		"LeakPatience -1s":                {LeakPatience: -time.Second},
		"MaxIdlePerHost -1":               {MaxIdlePerHost: -1},
		"MaxPerHost -2":                   {MaxPerHost: -2},
		"OnLeak is set and TrackLeaks is": {OnLeak: func(Leak) {}},
		"Budget.Ports 65536":              {Budget: &Budget{Ports: 65536}},
		"Budget.Rest -1s":                 {Budget: &Budget{Rest: -time.Second}},
		"Budget.MaxWait -1s":              {Budget: &Budget{MaxWait: -time.Second}},
	} {
		err := o.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "check keepalive options: ") {
			t.Errorf("%q: %v", want, err)
			continue
		}
		if _, got := Dialer(o).Dial("tcp", "127.0.0.1:1"); got == nil || !strings.Contains(got.Error(), err.Error()) {
			t.Errorf("%q: a dial says %v", want, got)
		}
		_, got := (&http.Client{Transport: Transport(o)}).Get("http://127.0.0.1:1/")
		if got == nil || !strings.Contains(got.Error(), err.Error()) {
			t.Errorf("%q: a request says %v", want, got)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (Options{UserTimeout: -1, Budget: &Budget{}, TrackLeaks: true}).Validate(); err != nil {
		t.Error(err)
	}
}
