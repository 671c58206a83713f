package capture_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// A script is one segment a line: the second it passes, > from the client or <
// from the server, its flags as tcpdump abbreviates them ("." is ACK), its
// sequence number, its acknowledgment number ("-" for none), then as needed
// len=, win=, ttl=, id=, if=, mss=, ws=, data=, noseq, from= and to= (ports; a
// port may also be a whole endpoint).
//
//	0.000 > S  100 -
//	0.030 < S. 300 101
//	0.030 > .  101 301
func script(t testing.TB, text string) (segments []capture.Segment) {
	t.Helper()
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		if len(w) < 5 {
			t.Fatalf("script: %q is too short", line)
		}
		s := capture.Segment{Frame: uint64(len(segments) + 1), Window: 500, TTL: 64}
		at, err := strconv.ParseFloat(w[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		s.At = int64(at*1e6+0.5) * 1000
		client, server := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:7001")
		for _, f := range w[2] {
			i := strings.IndexRune("FSRP.UEWA", f)
			if i < 0 {
				t.Fatalf("script: flag %c in %q", f, line)
			}
			s.Flags |= 1 << i
		}
		number := func(v string, bits int) uint64 {
			n, err := strconv.ParseUint(v, 10, bits)
			if err != nil {
				t.Fatalf("script: %q: %v", line, err)
			}
			return n
		}
		end := func(v string, d netip.AddrPort) netip.AddrPort {
			if p, err := strconv.ParseUint(v, 10, 16); err == nil {
				return netip.AddrPortFrom(d.Addr(), uint16(p))
			}
			return netip.MustParseAddrPort(v)
		}
		s.Seq = uint32(number(w[3], 32))
		if w[4] != "-" {
			s.Ack = uint32(number(w[4], 32))
		}
		for _, o := range w[5:] {
			name, v, _ := strings.Cut(o, "=")
			switch name {
			case "len":
				s.Len = int(number(v, 31))
			case "win":
				s.Window = uint16(number(v, 16))
			case "ttl":
				s.TTL = uint8(number(v, 8))
			case "id":
				s.IPID = uint16(number(v, 16))
			case "if":
				s.Interface = int(number(v, 16))
			case "mss":
				s.Options.Has |= capture.HasMSS
				s.Options.MSS = uint16(number(v, 16))
			case "ws":
				s.Options.Has |= capture.HasWScale
				s.Options.WScale = uint8(number(v, 8))
			case "data":
				text, err := strconv.Unquote(`"` + v + `"`) // \x20 is a blank
				if err != nil {
					t.Fatalf("script: %q: %v", line, err)
				}
				s.Payload = []byte(text)
				s.Len = len(text)
			case "noseq":
				s.NoSeq = true
			case "from":
				client = end(v, client)
			case "to":
				server = end(v, server)
			default:
				t.Fatalf("script: %q in %q", o, line)
			}
		}
		switch w[1] {
		case ">":
			s.Src, s.Dst = client, server
		case "<":
			s.Src, s.Dst = server, client
		default:
			t.Fatalf("script: direction %q", w[1])
		}
		segments = append(segments, s)
	}
	return segments
}

// play runs a script and gives what was told, what each segment was, and the
// counts.
func play(t testing.TB, o capture.TrackerOptions, text string) (told []*tcpvet.Conversation, steps []capture.Step, stats capture.Stats) {
	t.Helper()
	tr := capture.NewTracker(o, func(c *tcpvet.Conversation) error {
		told = append(told, c)
		return nil
	})
	for _, s := range script(t, text) {
		step, err := tr.Add(&s)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := tr.Finish(); err != nil {
		t.Fatal(err)
	}
	return told, steps, tr.Stats()
}

// summary is a conversation in one line: how it opened and closed, who first,
// who reset it, both states, and its notes, ~ where only likely, | before what
// else they could be.
func summary(c *tcpvet.Conversation) string {
	b := fmt.Sprintf("%s %s %s %s %v %v", c.Open.Kind, c.Close.Kind, c.Close.First, c.Close.ResetBy, c.ClientState, c.ServerState)
	for _, n := range c.Notes {
		b += " " + string(n.Kind)
		if n.Certainty == tcpvet.Likely {
			b += "~"
		}
		for _, or := range n.Or {
			b += "|" + string(or)
		}
	}
	return b
}

// opened is a handshake of sequence numbers 100 and 300, with an RTT of 10 ms.
const opened = `
	0.000 > S  100 - mss=1460 ws=7
	0.010 < S. 300 101 mss=1460 ws=7
	0.010 > .  101 301
`

type scene struct {
	name   string
	script string
	want   []string // summaries, in the order of telling
}

func playScenes(t *testing.T, scenes []scene) {
	for _, test := range scenes {
		t.Run(test.name, func(t *testing.T) {
			told, steps, _ := play(t, capture.TrackerOptions{}, test.script)
			var got []string
			for _, c := range told {
				got = append(got, summary(c))
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
				for i, s := range steps {
					t.Logf("%d: %+v", i+1, s)
				}
				for _, c := range told {
					t.Logf("%d: %+v", c.Number, c.Notes)
				}
			}
		})
	}
}
