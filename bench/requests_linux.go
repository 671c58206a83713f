package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/keepalive"
	"golang.org/x/sys/unix"
)

// Population (k): what a request takes through keepalive.Transport, beside the same
// through http.DefaultTransport. Both are in one process, with their server, and take
// turns in short slices: what disturbs this machine disturbs both. What it takes more
// is mostly the timer of ResponseTimeout, which http.DefaultTransport does not have.
const (
	requestsWord = "requests"
	requests     = requestsWord + " in turns"

	requestsSlices  = 300 // of each transport
	requestsASlice  = 200
	requestsAtATime = 8
	requestsTo      = "127.0.3.1:8000"
	requestsMost    = 1.05 // times the CPU of net/http
)

var requestPopulation = population{
	letter: "k", title: fmt.Sprintf("%d GETs over %d connections by each transport of a Go client, and their server", requestsSlices*requestsASlice, requestsAtATime),
	stage:    func(*stage) error { return nil },
	commands: []command{{text: requests}},
	rounds:   1, check: checkRequests,
}

// checkRequests wants the options to cost next to nothing for each request.
func checkRequests(ctx context.Context, s *stage) (checks []check) {
	out, err := s.answer(ctx, requests)
	var took map[string]time.Duration
	if err == nil {
		err = json.Unmarshal(out, &took)
	}
	plain := took[byNetHTTP]
	for _, by := range []string{byKeepalive, byTracking} {
		c := check{
			What: fmt.Sprintf("CPU of a request by %s beside %s", by, byNetHTTP),
			Want: fmt.Sprintf("at most %.2f times", requestsMost),
		}
		switch share := float64(took[by]) / float64(max(plain, 1)); {
		case err != nil:
			c.Got = err.Error()
		case plain == 0 || took[by] == 0:
			c.Got = "not measured"
		default:
			c.Got = fmt.Sprintf("%.3f times (%s and %s us)", share, micros(took[by]), micros(plain))
			c.OK = share <= requestsMost
		}
		if by == byTracking {
			c.Want, c.OK = "whatever it takes: it is a choice", c.OK || took[by] > 0
		}
		checks = append(checks, c)
	}
	return checks
}

// The transports, by what they are called in the page.
const (
	byNetHTTP   = "net/http"
	byKeepalive = "keepalive"
	byTracking  = "keepalive with TrackLeaks and Budget"
)

// makeRequests makes them all and tells by JSON the CPU time of one by each transport,
// the median of its slices.
func makeRequests() error {
	l, err := net.Listen("tcp", requestsTo)
	if err != nil {
		return err
	}
	body := make([]byte, 1000)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })}
	go server.Serve(l)
	defer server.Close()
	plain := http.DefaultTransport.(*http.Transport).Clone()
	plain.MaxIdleConnsPerHost = requestsAtATime
	clients := map[string]*http.Client{
		byNetHTTP:   {Transport: plain},
		byKeepalive: {Transport: keepalive.Transport(keepalive.Options{})},
		byTracking:  {Transport: keepalive.Transport(keepalive.Options{TrackLeaks: true, Budget: &keepalive.Budget{}})},
	}
	spent := map[string][]time.Duration{}
	names := []string{byNetHTTP, byKeepalive, byTracking}
	for slice := range requestsSlices + 1 {
		// Nobody is always the one after another.
		if slice%3 == 0 {
			slices.Reverse(names)
		} else {
			names[0], names[slice%3] = names[slice%3], names[0]
		}
		for _, name := range names {
			before := cpuSoFar()
			if err := makeSlice(clients[name]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			// The first has opened the connections.
			if slice > 0 {
				spent[name] = append(spent[name], (cpuSoFar()-before)/requestsASlice)
			}
		}
	}
	median := map[string]time.Duration{}
	for name, all := range spent {
		slices.Sort(all)
		median[name] = all[len(all)/2]
	}
	return json.NewEncoder(os.Stdout).Encode(median)
}

func makeSlice(client *http.Client) error {
	var all sync.WaitGroup
	failed := make(chan error, requestsAtATime)
	for range requestsAtATime {
		all.Go(func() {
			for range requestsASlice / requestsAtATime {
				resp, err := client.Get("http://" + requestsTo + "/")
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

// cpuSoFar is what this process has taken, user and system.
func cpuSoFar() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
