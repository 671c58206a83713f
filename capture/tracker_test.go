package capture_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

func TestBytes(t *testing.T) {
	for _, test := range []struct {
		name, script           string
		bytes, resent, reorder uint64
	}{
		{"in order", `
			1.0 > P. 101 301 len=10
			1.1 > P. 111 301 len=10`, 20, 0, 0},
		{"again", `
			1.0 > P. 101 301 len=10
			1.3 > P. 101 301 len=10`, 10, 1, 0},
		{"a part again", `
			1.0 > P. 101 301 len=10
			1.3 > P. 106 301 len=10`, 15, 1, 0},
		{"more than before", `
			1.0 > P. 106 301 len=10
			1.3 > P. 101 301 len=20`, 20, 1, 0},
		{"overtaken by 1 ms", `
			1.000 > P. 111 301 len=10
			1.001 > P. 101 301 len=10`, 20, 0, 1},
		// Whoever fills a gap after more than 3 ms sends again what was lost
		// before it passed here.
		{"lost on the way here", `
			1.000 > P. 111 301 len=10
			1.200 > P. 101 301 len=10`, 20, 1, 0},
		{"never captured", `
			1.000 > P. 111 301 len=10
			1.200 < .  301 121`, 10, 0, 0},
		{"captured after its ACK", `
			1.000 < .  301 121
			1.001 > P. 101 301 len=20`, 20, 0, 1},
		{"the middle of a gap, then its sides", `
			1.0000 > P. 131 301 len=10
			1.0001 > P. 111 301 len=10
			1.0002 > P. 101 301 len=10
			1.0003 > P. 121 301 len=10
			1.0004 > P. 101 301 len=40`, 40, 1, 3},
		{"over two gaps", `
			1.0000 > P. 111 301 len=10
			1.0001 > P. 131 301 len=10
			1.0002 > P. 101 301 len=40`, 40, 1, 0},
		{"more gaps than are remembered: the first is forgotten", `
			1.0000 > P. 111 301 len=10
			1.0001 > P. 131 301 len=10
			1.0002 > P. 151 301 len=10
			1.0003 > P. 171 301 len=10
			1.0003 > P. 191 301 len=10
			1.0003 > P. 211 301 len=10
			1.0003 > P. 231 301 len=10
			1.0004 > P. 121 301 len=10
			1.0005 > P. 101 301 len=10`, 80, 1, 1},
		{"from the middle, before the first", `
			1.0 > P. 101 301 len=10 from=50000
			1.0 > P. 91  301 len=10 from=50000`, 10, 1, 0},
		{"no sequence numbers printed", `
			1.0 > P. 101 301 len=10
			1.1 > .  0 301 noseq
			1.2 > P. 111 301 len=10`, 20, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			told, steps, _ := play(t, capture.TrackerOptions{}, opened+test.script)
			f := told[len(told)-1].FromClient
			var reorder uint64
			for _, s := range steps {
				if s.What.Has(capture.OutOfOrder) {
					reorder++
				}
			}
			if f.Bytes != test.bytes || f.Retransmits != test.resent || reorder != test.reorder {
				t.Errorf("%d bytes, %d resent, %d out of order; want %d, %d, %d", f.Bytes, f.Retransmits, reorder, test.bytes, test.resent, test.reorder)
			}
		})
	}
}

// Sequence numbers pass 2^32 (RFC 9293 section 3.4).
func TestWrap(t *testing.T) {
	told, steps, _ := play(t, capture.TrackerOptions{}, `
		0.00 > S  4294967289 -
		0.01 < S. 4294967295 4294967290
		0.01 > .  4294967290 0
		0.10 > P. 4294967290 0 len=4
		0.20 > P. 8 0 len=5
		0.20 > P. 4294967294 0 len=10
		0.30 > P. 4294967292 0 len=10
		0.31 < .  0 13
		0.40 > .  12 0
		0.41 < R  4294967290 -`)
	c := told[0]
	if c.FromClient.Bytes != 4+5+10 || c.FromClient.Retransmits != 1 || c.FromClient.Probes != 1 || c.ClientState != tcpvet.Established {
		t.Errorf("%+v %v", c.FromClient, c.ClientState)
	}
	if !steps[5].What.Has(capture.OutOfOrder) || !steps[6].What.Has(capture.Retransmission) || !steps[9].What.Has(capture.Ignored) {
		t.Errorf("%v", steps)
	}
}

// A packet that was captured twice is one packet.
func TestDuplicates(t *testing.T) {
	for _, test := range []struct {
		name, script string
		copies       uint64
	}{
		{"the same IP identification", "1.0000 > P. 101 301 len=10 id=7\n1.0001 > P. 101 301 len=10 id=7", 1},
		{"behind a router", "1.0000 > P. 101 301 len=10 id=7\n1.0001 > P. 101 301 len=10 id=7 ttl=63 if=2", 1},
		{"none, behind a router, interfaces not told", "1.0000 > P. 101 301 len=10\n1.0001 > P. 101 301 len=10 ttl=63", 1},
		{"none, another interface", "1.0000 > P. 101 301 len=10\n1.0001 > P. 101 301 len=10 if=2", 1},
		{"none, the same interface", "1.0000 > P. 101 301 len=10\n1.0001 > P. 101 301 len=10", 0},
		{"another IP identification", "1.0000 > P. 101 301 len=10 id=7\n1.0001 > P. 101 301 len=10 id=8", 0},
		{"too late", "1.0000 > P. 101 301 len=10 id=7\n1.0011 > P. 101 301 len=10 id=7", 0},
		{"the clock was set back by a little", "1.0000 > P. 101 301 len=10 id=7\n0.9995 > P. 101 301 len=10 id=7", 1},
		{"another acknowledgment", "1.0000 > P. 101 301 len=10 id=7\n1.0001 > P. 101 302 len=10 id=7", 0},
		{"a burst of six", `
			1.0000 > . 101 301 len=10 id=1
			1.0001 > . 111 301 len=10 id=2
			1.0001 > . 121 301 len=10 id=3
			1.0001 > . 131 301 len=10 id=4
			1.0001 > . 141 301 len=10 id=5
			1.0001 > . 151 301 len=10 id=6
			1.0002 > . 101 301 len=10 id=1
			1.0002 > . 111 301 len=10 id=2
			1.0002 > . 121 301 len=10 id=3
			1.0002 > . 131 301 len=10 id=4
			1.0002 > . 141 301 len=10 id=5
			1.0002 > . 151 301 len=10 id=6`, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			told, steps, stats := play(t, capture.TrackerOptions{}, opened+test.script)
			if stats.Duplicates != test.copies {
				t.Errorf("%d duplicates, want %d", stats.Duplicates, test.copies)
			}
			if f := told[0].FromClient; f.Packets+test.copies+1 != stats.Segments || f.Retransmits != uint64(strings.Count(test.script, ">"))-test.copies-uint64(f.Bytes/10) {
				t.Errorf("%+v of %d segments", f, stats.Segments)
			}
			if last := steps[len(steps)-1]; (last.What == capture.Duplicate) != (test.copies > 0) {
				t.Errorf("the last is %v", last.What)
			}
		})
	}
}

// closes opens at a time and closes at another.
func closes(port int, open, end float64) string {
	return fmt.Sprintf(`
		%f > S  100 - from=%d
		%f < S. 300 101 from=%d
		%f > .  101 301 from=%d
		%f > R. 101 301 from=%d`, open, port, open, port, open, port, end, port)
}

// sorted merges scripts by time.
func sorted(t *testing.T, scripts ...string) (merged []capture.Segment) {
	merged = script(t, strings.Join(scripts, "\n"))
	for i := range merged { // insertion: stable
		for j := i; j > 0 && merged[j].At < merged[j-1].At; j-- {
			merged[j], merged[j-1] = merged[j-1], merged[j]
		}
	}
	return merged
}

func TestOrder(t *testing.T) {
	segments := sorted(t, closes(41000, 1, 9), closes(42000, 2, 5), closes(43000, 3, 7), "4 > S 1 - from=44000", "4.5 > S 1 - from=45000", "6 > S 1 - from=44000")
	var order []uint16
	tr := capture.NewTracker(capture.TrackerOptions{}, func(c *tcpvet.Conversation) error {
		order = append(order, c.Client.Port())
		return nil
	})
	for _, s := range segments {
		if _, err := tr.Add(&s); err != nil {
			t.Fatal(err)
		}
	}
	if len(order) != 0 {
		t.Errorf("%v told before the end", order)
	}
	if err := tr.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(order), "[42000 43000 41000 44000 45000]"; got != want {
		t.Errorf("told %v, want %v", got, want)
	}
	if s := tr.Stats(); s.Conversations != 5 || s.Open != 2 || s.GivenUp != 0 || s.Segments != uint64(len(segments)) {
		t.Errorf("%+v", s)
	}
}

func TestLinger(t *testing.T) {
	var told []*tcpvet.Conversation
	tr := capture.NewTracker(capture.TrackerOptions{Linger: 10 * time.Second, File: "f.pcap", Dated: true}, func(c *tcpvet.Conversation) error {
		told = append(told, c)
		return nil
	})
	for i, s := range script(t, closes(41000, 1, 2)+`
		11.9 < R 301 - from=41000
		12.0 > S 1 - from=42000
		12.1 > S 1 - from=43000
		12.2 < R 301 - from=41000`) {
		step, err := tr.Add(&s)
		if err != nil {
			t.Fatal(err)
		}
		if want := i > 5; (len(told) == 1) != want {
			t.Errorf("after segment %d: %d told", i+1, len(told))
		}
		if i == 7 && step.Number != 4 {
			t.Errorf("a late segment belongs to %d", step.Number)
		}
	}
	if c := told[0]; c.FromServer.RSTs != 1 || c.File != "f.pcap" || !c.Start.Equal(time.Unix(1, 0)) || c.Duration != 10900*time.Millisecond {
		t.Errorf("%+v", c)
	}
}

func TestMaxOpen(t *testing.T) {
	var told []string
	tr := capture.NewTracker(capture.TrackerOptions{MaxOpen: 3}, func(c *tcpvet.Conversation) error {
		told = append(told, fmt.Sprint(c.Client.Port(), " ", c.Close.Kind))
		return nil
	})
	for _, s := range sorted(t, closes(41000, 1, 4), closes(42000, 2, 90), closes(43000, 3, 90),
		"5 > . 101 301 from=42000", "6 > S 1 - from=44000", "7 > S 1 - from=45000", "8 > S 1 - from=46000") {
		if s.At > 8e9 {
			break
		}
		if _, err := tr.Add(&s); err != nil {
			t.Fatal(err)
		}
	}
	// First the one that was over, then those that were silent longest.
	if got, want := strings.Join(told, ", "), "41000 reset, 43000 none, 42000 none"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if s := tr.Stats(); s.GivenUp != 2 || s.Open != 3 {
		t.Errorf("%+v", s)
	}
}

// With room for one, a SYN on a live conversation gives that one up.
func TestMaxOpenOne(t *testing.T) {
	told, steps, stats := play(t, capture.TrackerOptions{MaxOpen: 1}, opened+`
		9.00 > S  9000 -
		9.01 < .  301 101
		9.50 > S  9500 -
		9.60 < S. 8000 9501
		9.70 > .  9501 8001
		9.80 > P. 9501 8001 len=10`)
	if len(told) != 3 || stats.Conversations != 3 || stats.GivenUp != 2 || stats.Open != 1 || told[2].Open.Kind != tcpvet.Handshake {
		t.Errorf("%d told: %+v", len(told), stats)
	}
	if last := steps[len(steps)-1]; last.Number != 3 || last.What != capture.IsData {
		t.Errorf("%+v", last)
	}
}

// Of two conversations with the same endpoints, one is given up: the other
// goes on by itself.
func TestMaxOpenBeside(t *testing.T) {
	_, steps, _ := play(t, capture.TrackerOptions{MaxOpen: 2}, opened+`
		9.0 > S  9000 -
		9.1 < .  301 101
		9.2 > S  1 - from=42000
		9.3 > P. 101 301 len=10`)
	if last := steps[len(steps)-1]; last.Number != 1 {
		t.Errorf("the new one was given up: %+v", last)
	}
	told, steps, stats := play(t, capture.TrackerOptions{MaxOpen: 2}, opened+`
		9.0 > S  9000 -
		9.1 > S  1 - from=42000
		9.2 < S. 8000 9001
		9.3 > .  9001 8001`)
	if last := steps[len(steps)-1]; last.Number != 2 || stats.Open != 2 || len(told) != 3 || told[0].Number != 1 {
		t.Errorf("the old one was given up: %+v, %+v", last, stats)
	}
}

func TestYieldError(t *testing.T) {
	stop := errors.New("stop")
	tr := capture.NewTracker(capture.TrackerOptions{Linger: time.Second}, func(*tcpvet.Conversation) error { return stop })
	var got error
	for _, s := range script(t, closes(41000, 1, 2)+"\n1.5 > S 1 - from=43000\n9 > S 1 - from=42000") {
		if _, err := tr.Add(&s); err != nil {
			got = err
		}
	}
	if got != stop || tr.Finish() != stop {
		t.Errorf("got %v", got)
	}
}

// Endpoints are told apart by their zones: names of hosts, where a capture has
// no addresses.
func TestZones(t *testing.T) {
	told, _, _ := play(t, capture.TrackerOptions{}, `
		0 > . 1 1 from=[::%a]:40000 to=[::%c]:80
		0 > . 1 1 from=[::%b]:40000 to=[::%c]:80
		1 < . 1 1 from=[::%a]:40000 to=[::%c]:80`)
	if len(told) != 2 || told[0].FromServer.Packets != 1 || told[1].FromServer.Packets != 0 {
		t.Errorf("%d conversations", len(told))
	}
}
