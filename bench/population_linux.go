package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// population is a set of sockets and what is measured beside it.
type population struct {
	letter, title string
	stage         func(*stage) error
	commands      []command
	rounds        int // how often the commands take turns
	check         func(context.Context, *stage) []check
	follow        bool // its load is followed by trace instead: trace_linux.go
}

// command is measured under its text. In the text tcpvet is the one built for
// this run.
type command struct {
	text string
	once bool // too slow for more
}

// check is an answer that must be right: a fast wrong one is worth nothing.
type check struct {
	What, Got, Want string
	OK              bool
}

const (
	members = 12 // processes that hold a population
	crowd   = 52 // those that hold (c): a process may have 20,000 descriptors here
	lowPort = 10000
	topPort = 60999
	ranges  = "net/ipv4/ip_local_port_range"

	byHolder    = "tcpvet count --by process,state,service" // by what tcpvet chooses
	byBPF       = byHolder + " --source bpf"
	byNetlink   = byHolder + " --source netlink"
	byProcfs    = byHolder + " --source procfs"
	bySS        = "ss -tanp"
	count       = "tcpvet count"                  // by state alone: the kernel's counters may stand for ESTAB and TIME-WAIT
	countEach   = "tcpvet count --by netns,state" // reads every socket, into a whole census
	countSS     = "ss -tanH | wc -l"
	list        = "tcpvet ls"
	listBPF     = list + " --source bpf"
	listNetlink = list + " --source netlink"
	listSS      = "ss -tan"
	diagnose    = "tcpvet diagnose -o json"
	pcap        = "tcpvet pcap " + trafficFile
	pcapShark   = "tshark -r " + trafficFile + " -T fields -e tcp.stream -e tcp.completeness"
	pcapDump    = "tcpdump -r " + trafficFile + " -w /dev/null"
	fullTuple   = "127.0.1.1:9000"
	fullPorts   = 1000
)

var populations = []population{
	{
		letter: "a", title: "200,000 held ESTAB ends over 12 processes",
		stage: func(s *stage) error {
			pairs := s.scaled(200_000) / 2 / members
			return s.each(func(i int) []string {
				return []string{"hold", fmt.Sprintf("127.0.1.%d:8000", i+1), fmt.Sprint(pairs)}
			})
		},
		commands: []command{
			{text: byHolder}, {text: byBPF}, {text: byNetlink}, {text: byProcfs},
			{text: countEach}, {text: count}, {text: countSS}, {text: "netstat -tan"},
			{text: "lsof -nP -iTCP", once: true}, {text: bySS, once: true},
		},
		rounds: 5,
		check: func(ctx context.Context, s *stage) []check {
			each := s.scaled(200_000) / 2 / members * 2
			return append(checkStates(ctx, s), checkHolders(ctx, s, members, each)...)
		},
	},
	{
		letter: "c", title: "1,000,000 held ESTAB ends over 52 processes",
		stage: func(s *stage) error {
			pairs := s.scaled(1_000_000) / 2 / crowd
			return s.eachOf(crowd, func(i int) []string {
				return []string{"hold", fmt.Sprintf("127.0.1.%d:8000", i+1), fmt.Sprint(pairs)}
			})
		},
		commands: []command{
			{text: byHolder}, {text: byBPF}, {text: byNetlink}, {text: byProcfs, once: true}, {text: countSS, once: true},
			{text: listBPF}, {text: listNetlink, once: true},
		},
		rounds: 3,
		check: func(ctx context.Context, s *stage) []check {
			return checkHolders(ctx, s, crowd, s.scaled(1_000_000)/2/crowd*2)
		},
	},
	{
		letter: "b", title: "200,000 TIME-WAIT",
		stage: func(s *stage) error {
			each := s.scaled(200_000) / members
			return s.each(func(i int) []string {
				return []string{"close", fmt.Sprintf("127.0.1.%d:8000", i+1), "1", fmt.Sprint(each)}
			})
		},
		commands: []command{{text: countEach}, {text: count}, {text: countSS}},
		rounds:   5, check: checkStates,
	},
	{
		letter: "s", title: "200,000 held ESTAB ends while 500 connections a second open and close",
		stage: func(s *stage) error {
			pairs := s.scaled(200_000) / 2 / members
			err := s.each(func(i int) []string {
				return []string{"hold", fmt.Sprintf("127.0.1.%d:8000", i+1), fmt.Sprint(pairs)}
			})
			if err != nil {
				return err
			}
			return s.start("stir", "127.0.2.1:8000", "500")
		},
		commands: []command{{text: countEach}, {text: count}, {text: countSS}},
		rounds:   5, check: checkHeld,
	},
	{
		letter: "d", title: "100 sockets",
		stage: func(s *stage) error { return s.start("hold", "127.0.1.1:8000", "50") },
		commands: []command{
			{text: count}, {text: listSS}, {text: list},
		},
		rounds: 41, check: checkStates,
	},
	{
		letter: "e", title: "300,000 TIME-WAIT to as many destinations, and one tuple of 1,000 ports that is full",
		stage: func(s *stage) error {
			if err := s.set(ranges, fmt.Sprintf("%d %d", lowPort, lowPort+fullPorts-1)); err != nil {
				return err
			}
			each := s.scaled(300_000) / members
			err := s.each(func(i int) []string {
				return []string{"close", fmt.Sprintf("127.%d.0.0:%d", i+16, 8001+i), fmt.Sprint(each), fmt.Sprint(each)}
			})
			if err != nil {
				return err
			}
			return s.start("hold", fullTuple, fmt.Sprint(fullPorts))
		},
		commands: []command{{text: diagnose}, {text: countEach}, {text: count}, {text: countSS}},
		rounds:   3, check: checkFull,
	},
	{
		letter: "p", title: "a recording of 850,000 packets in 100,000 conversations, closed in four ways",
		stage:    stageTraffic,
		commands: []command{{text: pcap}, {text: pcapDump}, {text: pcapShark, once: true}},
		rounds:   5, check: checkTraffic,
	},
	{
		letter: "t", title: "nginx and wrk, a connection for each request",
		stage:  func(*stage) error { return nil },
		rounds: 5, follow: true,
	},
	requestPopulation,
}

// checkStates compares both ways of counting with ss, state by state. The
// kernel's counters would be no witness: tcpvet may have read them itself.
// TIME-WAITs end meanwhile, so a number may lie between that before and that
// after.
func checkStates(ctx context.Context, s *stage) (checks []check) {
	for _, line := range []string{countEach, count} {
		before, err1 := s.ssStates(ctx)
		mine, err2 := s.tcpvetStates(ctx, line+" -o json")
		after, err3 := s.ssStates(ctx)
		c := check{What: "`" + line + "` against ss, by state", Got: fmt.Sprint(mine), Want: between(after, before)}
		if err := errors.Join(err1, err2, err3); err != nil {
			c.Got = err.Error()
		} else {
			c.OK = len(mine) > 0
			for state := range allOf(mine, before) {
				c.OK = c.OK && after[state] <= mine[state] && mine[state] <= before[state]
			}
		}
		checks = append(checks, c)
	}
	return checks
}

// checkHolders wants each process that holds a part of the population with exactly
// that part, by every source.
func checkHolders(ctx context.Context, s *stage, processes, each int) (checks []check) {
	for _, line := range []string{byHolder, byBPF, byNetlink, byProcfs} {
		c := check{What: "ESTAB by `" + line + "`", Want: fmt.Sprintf("%d processes with %d", processes, each)}
		held, err := s.heldBy(ctx, line+" -o json")
		counts := map[int]int{}
		for _, n := range held {
			counts[n]++
		}
		switch {
		case err != nil:
			c.Got = err.Error()
		case len(counts) == 1:
			c.Got = fmt.Sprintf("%d processes with %d", len(held), slices.Collect(maps.Keys(counts))[0])
		default:
			c.Got = fmt.Sprintf("%d processes with %v", len(held), slices.Sorted(maps.Keys(counts)))
		}
		c.OK = c.Got == c.Want
		checks = append(checks, c)
	}
	return checks
}

// heldBy gives the sockets in ESTAB by the process that holds them, 0 for none.
func (s *stage) heldBy(ctx context.Context, line string) (map[int]int, error) {
	out, err := s.answer(ctx, line)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Groups []struct {
			State   string
			Process *struct{ PID int }
			Count   int
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", line, err)
	}
	held := map[int]int{}
	for _, g := range doc.Groups {
		if g.State != "ESTAB" {
			continue
		}
		pid := 0
		if g.Process != nil {
			pid = g.Process.PID
		}
		held[pid] += g.Count
	}
	return held, nil
}

// checkHeld wants every held socket counted, and of those that come and go no
// more than can be there at one moment: a pair of the one that stirs.
func checkHeld(ctx context.Context, s *stage) []check {
	held := s.scaled(200_000) / 2 / members * members * 2
	mine, err := s.tcpvetStates(ctx, count+" -o json")
	c := check{What: "ESTAB by `" + count + "`", Got: fmt.Sprint(mine["ESTAB"]), Want: fmt.Sprintf("%d to %d", held, held+2)}
	if err != nil {
		c.Got = err.Error()
	}
	c.OK = held <= mine["ESTAB"] && mine["ESTAB"] <= held+2
	return []check{c}
}

func between(low, high map[string]int) string {
	if maps.Equal(low, high) {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%v to %v", low, high)
}

// allOf gives the keys of both.
func allOf(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// ssStates counts the lines of ss by their first word.
func (s *stage) ssStates(ctx context.Context) (map[string]int, error) {
	out, err := s.answer(ctx, "ss -tanH")
	n := map[string]int{}
	for line := range bytes.Lines(out) {
		if f := bytes.Fields(line); len(f) > 0 {
			n[string(f[0])]++
		}
	}
	return n, err
}

// tcpvetStates reads the states that are there from count's document.
func (s *stage) tcpvetStates(ctx context.Context, line string) (map[string]int, error) {
	out, err := s.answer(ctx, line)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Groups []struct {
			State string
			Count int
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", line, err)
	}
	n := map[string]int{}
	for _, g := range doc.Groups {
		if g.Count > 0 {
			n[g.State] += g.Count
		}
	}
	return n, nil
}

// checkFull wants the full tuple found among all those that have one port each,
// and nothing else called exhausted.
func checkFull(ctx context.Context, s *stage) []check {
	c := check{What: "port-exhaustion found for", Want: fullTuple}
	out, err := s.answer(ctx, diagnose)
	if err != nil {
		c.Got = err.Error()
		return []check{c}
	}
	var doc struct {
		Findings []struct {
			Rule, Severity string
			Subject        struct{ Service string }
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		c.Got = err.Error()
		return []check{c}
	}
	var found []string
	for _, f := range doc.Findings {
		if f.Rule == "port-exhaustion" {
			found = append(found, f.Subject.Service)
		}
	}
	c.Got = strings.Join(found, " ")
	c.OK = c.Got == c.Want
	return []check{c}
}

// bar is a figure to reach: the cost of one command as a share of another's.
type bar struct {
	letter, of, to string
	wall           bool // wall time, else CPU time
	most           float64
}

// (s) has none: what it costs to read every socket is mostly the kernel's work,
// the same for all that ask it.
var bars = []bar{
	{"a", byNetlink, bySS, false, 1.0 / 10},
	{"a", byBPF, bySS, false, 1.0 / 30},
	{"a", byBPF, byNetlink, false, 1.0 / 3},
	{"a", byHolder, byNetlink, false, 1.0 / 3},
	{"c", byBPF, byNetlink, false, 1.0 / 4},
	{"a", count, countSS, false, 1.0 / 2},
	{"b", count, countSS, false, 1.0 / 2},
	{"d", count, listSS, true, 2},
	{"d", list, listSS, true, 2},
	{"p", pcap, pcapShark, false, 1.0 / 20},
}

// limit is a figure that stands by itself.
type limit struct {
	letter, of, what string
	cost             func(cost) int64
	most             int64 // in the unit of cost
	text             string
}

var limits = []limit{
	{"c", byBPF, "CPU", cpuOf, int64(2 * time.Second), "2 s"},
	{"c", byBPF, "memory", rssOf, 64_000_000, "64 MB"},
	{"c", listBPF, "memory", rssOf, 64_000_000, "64 MB"},
	{"p", pcap, "CPU", cpuOf, int64(850 * time.Millisecond), "850 ms: 1 M packets a second"},
	{"p", pcap, "memory", rssOf, 200_000_000, "200 MB"},
}

// timeLimit ends a command that does not come back: ss -tanp grows with the
// square of the sockets.
const timeLimit = 15 * time.Minute
