package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// TestMain lets the stage and its members be this test binary.
func TestMain(m *testing.M) {
	if !inside() {
		os.Exit(m.Run())
	}
}

// Small populations are what their title says, by the kernel's count and by
// ss, state by state.
func TestRootStage(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Tool(t, "ip")
	kerneltest.Tool(t, "ss")
	const estab, timeWait = "ESTAB", "TIME-WAIT"
	for letter, want := range map[string]map[string]int{
		"a": {estab: 200_000 / 1000 / 2 / members * members * 2},
		"c": {estab: 1_000_000 / 1000 / 2 / crowd * crowd * 2},
		"b": {timeWait: 200_000 / 1000 / members * members},
		"d": {estab: 100},
		"e": {timeWait: 300_000 / 1000 / members * members, estab: 2 * fullPorts},
	} {
		r, err := stageAndMeasure(context.Background(), order{Letter: letter, Scale: 0.001, StageOnly: true})
		if err != nil {
			t.Errorf("(%s): %v", letter, err)
			continue
		}
		if !maps.Equal(r.States, want) {
			t.Errorf("(%s): %v, want %v", letter, r.States, want)
		}
		if r.Began != want[estab]+want[timeWait] {
			t.Errorf("(%s): the kernel counts %d sockets, want %v", letter, r.Began, want)
		}
	}
	if _, err := stageAndMeasure(context.Background(), order{Letter: "none", StageOnly: true}); err == nil {
		t.Error("an unknown population passes")
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		walls []time.Duration
		want  int64
	}{{nil, 0}, {[]time.Duration{5}, 5}, {[]time.Duration{9, 1, 5}, 5}, {[]time.Duration{1, 100, 3, 5}, 4}} {
		var costs []cost
		for _, w := range test.walls {
			costs = append(costs, cost{Wall: w})
		}
		if got := medianOf(costs, wallOf); got != test.want {
			t.Errorf("median of %v: %d, want %d", test.walls, got, test.want)
		}
	}
}

// A missed bar, a wrong answer and a figure that was not measured each fail.
func TestMissed(t *testing.T) {
	good := result{Letter: "d", Costs: map[string][]cost{
		count: {{Wall: 20}}, list: {{Wall: 20}}, listSS: {{Wall: 10}},
	}}
	if _, missed := page(time.Now(), []result{good}); len(missed) != 0 {
		t.Errorf("twice the wall time is within the bar: %q", missed)
	}
	slow := result{Letter: "d", Costs: map[string][]cost{
		count: {{Wall: 21}}, list: {{Wall: 20}}, listSS: {{Wall: 10}},
	}}
	wrong := good
	wrong.Checks = []check{{What: "sum", Got: "4", Want: "5"}}
	unmeasured := result{Letter: "d", Costs: map[string][]cost{count: {{Wall: 20}}, listSS: {{Wall: 10}}}}
	for want, r := range map[string]result{"2.10 times": slow, "sum: 4, want 5": wrong, "not measured": unmeasured} {
		if _, missed := page(time.Now(), []result{r}); len(missed) != 1 || !strings.Contains(missed[0], want) {
			t.Errorf("missed %q, want %q alone", missed, want)
		}
	}
}

// What following costs is judged as a share of the load, and each end of each
// connection has to be told.
func TestMissedTrace(t *testing.T) {
	run := func(load, kernel, reader, opened, lost int) []traced {
		us := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
		return []traced{{Connections: 1000, Wall: time.Second, Load: us(load), Kernel: us(kernel), Reader: us(reader), Opened: opened, Closed: 2000, Lost: lost}}
	}
	good := func() result {
		return result{Letter: "t", Traced: map[string][]traced{
			traceNone: run(80_000, 0, 0, 0, 0), traceEvents: run(90_000, 4000, 2400, 0, 0),
			traceJSON: run(90_000, 4000, 9000, 2000, 0), traceCount: run(81_000, 1000, 200, 0, 0),
		}}
	}
	for name, test := range map[string]struct {
		line string
		runs []traced
		want string // what is missed, "" for nothing
	}{
		"within the bars":         {traceEvents, run(90_000, 4000, 2400, 0, 0), ""},
		"the reader is too dear":  {traceEvents, run(90_000, 4000, 2480, 0, 0), "8.1 %"},
		"counting is too dear":    {traceCount, run(81_000, 1300, 0, 0, 0), "1.6 %"},
		"nothing was measured":    {traceCount, run(81_000, 0, 0, 0, 0), "0.0 %"},
		"an end was not told":     {traceJSON, run(90_000, 0, 0, 1999, 0), "1999 ends opened"},
		"events were lost":        {traceJSON, run(90_000, 0, 0, 2000, 1), "1 times"},
		"the load was not served": {traceNone, run(0, 0, 0, 0, 0), "0.0 %"},
	} {
		r := good()
		r.Traced[test.line] = test.runs
		_, missed := page(time.Now(), []result{r})
		if got := strings.Join(missed, "; "); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: missed %q, want %q", name, got, test.want)
		}
	}
}

// The recording holds what its title says, by tcpdump's reading.
func TestTraffic(t *testing.T) {
	const conversations = 1000
	path := filepath.Join(t.TempDir(), trafficFile)
	packets, err := writeTraffic(path, conversations)
	if err != nil || packets != conversations*85/10 {
		t.Fatalf("%d packets, %v", packets, err)
	}
	tcpdump := kerneltest.Tool(t, "tcpdump")
	for expr, want := range map[string]int{
		"":                             conversations * 85 / 10,
		"tcp[tcpflags] = tcp-syn":      conversations,
		"tcp[tcpflags] & tcp-rst != 0": conversations / 4,
		"tcp[tcpflags] & tcp-fin != 0": conversations / 4 * (2 + 2 + 1),
		"src port 80 and tcp[tcpflags] & tcp-fin != 0": conversations / 4 * 3,
	} {
		out, err := exec.Command(tcpdump, "-nr", path, expr).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(out, []byte{'\n'}); got != want {
			t.Errorf("%q: %d packets, want %d", expr, got, want)
		}
	}
}
