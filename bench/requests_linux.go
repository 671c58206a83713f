package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/keepalive"
	"golang.org/x/sys/unix"
)

// Population (k): what a request takes through keepalive.Transport, beside the same
// through http.DefaultTransport. Both are in one process, with their server, and take
// turns in short slices: what disturbs this machine disturbs both. ResponseTimeout is a
// timer for each request, in both. Then the same with the server in another process, for
// the client's part alone.
const (
	requestsWord = "requests"
	requests     = requestsWord + " in turns"

	requestsSlices  = 300 // of each transport
	requestsASlice  = 200
	requestsAtATime = 8
	requestsTo      = "127.0.3.1:8000"
	requestsApart   = "127.0.3.2:8000"
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
	var took requestsTook
	if err == nil {
		err = json.Unmarshal(out, &took)
	}
	for _, m := range []struct {
		what, by, beside string
		took             map[string]time.Duration
		most             float64 // 0: printed, without a bar
	}{
		{"a request, both ends,", byKeepalive, byNetHTTP, took.Both, requestsMost},
		{"a request, the client alone,", byKeepalive, byNetHTTP, took.Client, requestsMost},
		{"a request, the client alone,", byBounded, byAlike, took.Client, requestsMost},
		{"a request, both ends,", byBounded, byNetHTTP, took.Both, 0},
		{"a request, both ends,", byTracking, byNetHTTP, took.Both, 0},
	} {
		c := check{What: fmt.Sprintf("CPU of %s by %s beside %s", m.what, m.by, m.beside), Want: "printed, no bar"}
		if m.most > 0 {
			c.Want = fmt.Sprintf("at most %.2f times", m.most)
		}
		one, other := m.took[m.by], m.took[m.beside]
		switch share := float64(one) / float64(max(other, 1)); {
		case err != nil:
			c.Got = err.Error()
		case one == 0 || other == 0:
			c.Got = "not measured"
		default:
			c.Got = fmt.Sprintf("%.3f times (%s and %s us)", share, micros(one), micros(other))
			c.OK = m.most == 0 || share <= m.most
		}
		checks = append(checks, c)
	}
	return checks
}

// requestsTook is the CPU time of a request by transport: of both ends, and of the
// client's process.
type requestsTook struct{ Both, Client map[string]time.Duration }

// The transports, by what they are called in the page.
const (
	byNetHTTP   = "net/http"
	byAlike     = "net/http with ResponseHeaderTimeout"
	byKeepalive = "keepalive"
	byBounded   = "keepalive with ResponseTimeout"
	byTracking  = "keepalive with TrackLeaks and Budget"
)

// makeRequests makes them all and tells by JSON the CPU time of one by each transport,
// the median of its slices.
func makeRequests(args []string) error {
	if args[len(args)-1] == "serve" {
		l, err := serveRequests(requestsApart)
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Println("ready")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	l, err := serveRequests(requestsTo)
	if err != nil {
		return err
	}
	defer l.Close()
	var took requestsTook
	if took.Both, err = takeTurns(requestsTo); err != nil {
		return err
	}
	server := exec.Command(os.Args[0], append(slices.Clone(os.Args[1:]), "serve")...)
	stdin, err := server.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	if _, err = fmt.Fscanln(stdout, new(string)); err == nil {
		took.Client, err = takeTurns(requestsApart)
	}
	stdin.Close()
	if err := errors.Join(err, server.Wait()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

func serveRequests(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 1000)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })}
	go server.Serve(l)
	return l, nil
}

// takeTurns gives the CPU time of this process for a request by each transport.
func takeTurns(address string) (map[string]time.Duration, error) {
	plain := http.DefaultTransport.(*http.Transport).Clone()
	plain.MaxIdleConnsPerHost = requestsAtATime
	alike := plain.Clone()
	alike.ResponseHeaderTimeout = time.Minute
	clients := map[string]*http.Client{
		byNetHTTP:   {Transport: plain},
		byAlike:     {Transport: alike},
		byKeepalive: {Transport: keepalive.Transport(keepalive.Options{})},
		byBounded:   {Transport: keepalive.Transport(keepalive.Options{ResponseTimeout: time.Minute})},
		byTracking:  {Transport: keepalive.Transport(keepalive.Options{TrackLeaks: true, Budget: &keepalive.Budget{}})},
	}
	spent := map[string][]time.Duration{}
	names := []string{byNetHTTP, byAlike, byKeepalive, byBounded, byTracking}
	for slice := range requestsSlices + 1 {
		// What one leaves to the collector, or in a cache, the next one pays: that is
		// another one each time.
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			before := cpuSoFar()
			if err := makeSlice(clients[name], address); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
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
	return median, nil
}

func makeSlice(client *http.Client, address string) error {
	var all sync.WaitGroup
	failed := make(chan error, requestsAtATime)
	for range requestsAtATime {
		all.Go(func() {
			for range requestsASlice / requestsAtATime {
				resp, err := client.Get("http://" + address + "/")
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
