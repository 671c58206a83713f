package report

import (
	"bytes"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// ladderOf gives the first conversation of a recording and its lines.
func ladderOf(t testing.TB, name string) (*tcpvet.Conversation, []LadderLine) {
	t.Helper()
	var lines []LadderLine
	all := follow(t, recorded(t, name), name, func(_ *recording.Reader, s *capture.Segment, step capture.Step) {
		if step.Number == 1 {
			lines = append(lines, LadderLineOf(s, step))
		}
	})
	return all[0], lines
}

func ladderText(t *testing.T, c *tcpvet.Conversation, lines []LadderLine, o LadderOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteLadder(&b, c, lines, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// drawn gives the rows that have something between the rails, without what
// they are drawn with: an arrow is < or >.
func drawn(text string) []string {
	var rows []string
	for line := range strings.Lines(text) {
		if strings.ContainsAny(line, "│┊") {
			line = strings.NewReplacer("│", "", "┊", "", "├", "", "┤", "", "─", "", "▶", " > ", "◀", " < ").Replace(line)
			rows = append(rows, strings.Join(strings.Fields(line), " "))
		}
	}
	return rows
}

// The article's pictures of a connection's states. Who is in which state when
// is RFC 9293's figure 5; the times are differences of those in the captures.
func TestLadderTeaches(t *testing.T) {
	for name, want := range map[string][]string{
		"article-handshake.txt": {
			"0.000000 SYN-SENT SYN seq 0 >",
			"0.000063 < SYN,ACK seq 0 ack 1 SYN-RECV",
			"0.001292 ESTAB ACK ack 1 > ESTAB",
		},
		"article-close-4.txt": {
			"0.000000 FIN-WAIT-1 FIN,ACK seq 0 ack 0 > ESTAB",
			"0.000108 FIN-WAIT-2 < ACK ack 1 CLOSE-WAIT",
			"0.002686 < FIN,ACK seq 0 ack 1 LAST-ACK",
			"0.002698 TIME-WAIT ACK ack 1 > CLOSED",
		},
		"teardown_4pkt.pcap": {
			"0.000000 SYN-SENT SYN seq 0 >",
			"0.060720 < SYN,ACK seq 0 ack 1 SYN-RECV",
			"0.060766 ESTAB ACK ack 1 > ESTAB",
			"0.091290 PSH,ACK seq 1:3 ack 1, 2 bytes >",
			"0.151784 < ACK ack 3",
			"0.221760 FIN-WAIT-1 FIN,ACK seq 3 ack 1 >",
			"0.328132 FIN-WAIT-2 < ACK ack 4 CLOSE-WAIT",
			"FIN-WAIT-2 492.5 ms of silence CLOSE-WAIT",
			"0.820656 < FIN,ACK seq 1 ack 4 LAST-ACK",
			"0.820691 TIME-WAIT ACK ack 2 > CLOSED",
		},
		"syn_refused.pcap": {
			"0.000000 SYN-SENT SYN seq 0 >",
			"0.063062 CLOSED < RST,ACK seq 0 ack 1 CLOSED",
		},
	} {
		c, lines := ladderOf(t, name)
		if got := drawn(ladderText(t, c, lines, LadderOptions{})); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s is drawn as\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

var foldedSegments = regexp.MustCompile(`([\d,]+) segments?\b.* in `)

// Each segment has a row or is counted in one, each state of either end is
// shown once and in order, and nothing is wider than the terminal.
func TestLadderIsWhole(t *testing.T) {
	for _, name := range append(recordings(t, ".pcap", 18), "article-close-3.txt") {
		c, lines := ladderOf(t, name)
		for _, width := range []int{70, 100, 200} {
			for _, all := range []bool{false, true} {
				text := ladderText(t, c, lines, LadderOptions{Style: Style{Width: width}, All: all})
				shown := 0
				for line := range strings.Lines(text) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width && strings.ContainsAny(line, "│┊") {
						t.Errorf("%s: %d columns of %d: %q", name, n, width, line)
					}
					if strings.ContainsAny(line, "▶◀") {
						shown++
					} else if m := foldedSegments.FindStringSubmatch(line); m != nil && strings.Contains(line, "┊") {
						n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
						if err != nil || all {
							t.Errorf("%s: %v, folded: %q", name, err, line)
						}
						shown += n
					}
				}
				if shown != len(lines) {
					t.Errorf("%s, width %d: %d segments of %d:\n%s", name, width, shown, len(lines), text)
				}
				for _, n := range c.Notes {
					if !strings.Contains(strings.Join(strings.Fields(text), " "), string(n.Kind)+map[bool]string{true: " (likely): ", false: ": "}[n.Certainty == tcpvet.Likely]+n.Text) {
						t.Errorf("%s: the note %s is not told whole:\n%s", name, n.Kind, text)
					}
				}
			}
		}
	}
}

// The bytes of a fold are those of the segments in it: 25 times 10 and 100
// bytes were written here, and answered by 20.
func TestLadderFolds(t *testing.T) {
	c, lines := ladderOf(t, "nagle_delayed_ack.pcap")
	rows := drawn(ladderText(t, c, lines, LadderOptions{Style: Style{Width: 130}}))
	if len(rows) != 4 || !strings.Contains(rows[3], "… 127 segments, 2,750 bytes to the server, 500 bytes to the client in 1.106 s …") {
		t.Errorf("drawn as %q", rows)
	}
	// What is lost and repeated for hours folds too, once it is too much.
	lines = lines[:3]
	for i := range 1000 {
		l := LadderLine{At: lines[2].At + int64(i+1)*int64(2*time.Second), Flags: capture.ACK, Step: lines[2].Step}
		l.Step.What = capture.KeepaliveProbe
		l.Step.ClientBefore, l.Step.ServerBefore = l.Step.ClientAfter, l.Step.ServerAfter
		lines = append(lines, l)
	}
	rows = drawn(ladderText(t, c, lines, LadderOptions{Style: Style{Width: 130}}))
	if len(rows) != 5 || !strings.Contains(rows[3], "ESTAB 2 s of silence ESTAB") || !strings.Contains(rows[4], "1,000 segments, 1,000 probes in 33 min 18 s") {
		t.Errorf("drawn as %q", rows)
	}
	if all := drawn(ladderText(t, c, lines, LadderOptions{All: true})); len(all) != 3+2*1000 {
		t.Errorf("%d rows where nothing was to be folded", len(all))
	}
}

// Without Unicode, without colour, from hostile text, and of nothing.
func TestLadderIsSafe(t *testing.T) {
	c, lines := ladderOf(t, "middlebox_idle_drop.pcap")
	plainText := ladderText(t, c, lines, LadderOptions{})
	ascii := ladderText(t, c, lines, LadderOptions{ASCII: true})
	if i := strings.IndexFunc(ascii, func(r rune) bool { return r > '~' }); i >= 0 || strings.Count(ascii, "-->|") != 12 || strings.Count(ascii, "|<--") != 3 {
		t.Errorf("drawn in ASCII as\n%s", ascii)
	}
	colored := ladderText(t, c, lines, LadderOptions{Style: Style{Color: true}})
	if got := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colored, ""); got != plainText || colored == plainText {
		t.Errorf("colours move what is drawn:\n%s", got)
	}
	evil := *c
	evil.File, evil.Client = "a\x1b[2J\n.pcap", netip.AddrPortFrom(tcpvet.NamedHost("b\x1b[2J\n\xff"+strings.Repeat("x", 300)), 1)
	if text := ladderText(t, &evil, lines, LadderOptions{}); strings.Contains(text, "\x1b") || strings.Count(text, "\n") != strings.Count(plainText, "\n") {
		t.Errorf("drawn as %q", text)
	}
	if text := ladderText(t, c, nil, LadderOptions{}); !strings.Contains(text, "middlebox-drop (likely): ") {
		t.Errorf("without segments %q", text)
	}
}

func TestLadderLabel(t *testing.T) {
	l := LadderLine{Seq: 5000, Ack: 7001, Len: 1448, Flags: capture.PSH | capture.ACK, Step: capture.Step{SeqBase: 4000, AckBase: 7000, What: capture.IsData | capture.Retransmission}}
	for width, want := range map[int]string{
		80: "PSH,ACK seq 1000:2448 ack 1, 1,448 bytes (retransmission)", 50: "PSH,ACK seq 1000:2448 ack 1 (retransmission)",
		40: "PSH,ACK seq 1000:2448 (retransmission)", 30: "PSH,ACK (retransmission)", 10: "PSH,ACK",
	} {
		if got := l.label(false, width); got != want {
			t.Errorf("in %d columns it is %q, want %q", width, got, want)
		}
	}
	if got, want := l.label(true, 80), "PSH,ACK seq 5000:6448 ack 7001, 1,448 bytes (retransmission)"; got != want {
		t.Errorf("absolute it is %q, want %q", got, want)
	}
	l = LadderLine{Seq: 5, NoSeq: true, Flags: capture.FIN}
	if got := l.label(false, 80); got != "FIN" {
		t.Errorf("a number that was not printed: %q", got)
	}
	if got := (&LadderLine{}).label(false, 80); got != "no flag" {
		t.Errorf("without flags %q", got)
	}
}
