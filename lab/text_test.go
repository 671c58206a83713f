package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
)

func TestText(t *testing.T) {
	var ends Ends
	ends.Client[tcpvet.CloseWait] = 28232
	ends.Server[tcpvet.FinWait2] = 999
	var out strings.Builder
	text := Text{W: &out, Diagnose: func(w io.Writer, v *View) error {
		_, err := fmt.Fprintf(w, "judged with %v by %s\n", v.Case.Patience, v.Source)
		return err
	}}
	text.Begin(&Scenario{Name: "close-wait-leak", Title: "what goes wrong"})
	text.Tell(Step{
		Title: "The first step",
		Done:  []string{"One sentence that is long enough to need a second line, which begins where it began.", "Another."},
		Shown: []string{"The table:"},
		Ends:  &ends,
	})
	text.Tell(Step{Title: "The second step", Judged: []*Judged{moment(time.Second)}, Means: []string{"The end."}})
	const want = `close-wait-leak: what goes wrong

1. The first step
   done   One sentence that is long enough to need a second line, which begins
          where it began.
          Another.
   seen   The table:
          STATE         client's ends  server's ends
          FIN-WAIT-2                0            999
          CLOSE-WAIT           28,232              0

2. The second step

judged with 1s by eyes

   means  The end.
`
	if out.String() != want || text.Err != nil {
		t.Errorf("got (%v):\n%s\nwant:\n%s", text.Err, out.String(), want)
	}
}

// moment is one that two sources saw. The text has the first one's view.
func moment(patience time.Duration) *Judged {
	return &Judged{Views: []View{{Source: "eyes", Case: &tcpvet.Case{Patience: patience}}, {Source: "ears"}}}
}

func TestTextKeepsTheFirstError(t *testing.T) {
	first := errors.New("the first")
	var out strings.Builder
	text := Text{W: &out, Diagnose: func(io.Writer, *View) error { return first }}
	text.Tell(Step{Title: "one", Judged: []*Judged{moment(0)}})
	length := out.Len()
	text.Tell(Step{Title: "two"})
	if !errors.Is(text.Err, first) || out.Len() != length {
		t.Errorf("got error %v, and %q", text.Err, out.String())
	}
	text = Text{W: failingWriter{first}}
	text.Tell(Step{Title: "one"})
	if !errors.Is(text.Err, first) {
		t.Errorf("got error %v, want the writer's", text.Err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWrapped(t *testing.T) {
	for _, text := range []string{
		"", " ", "a", "a b c d e f", "aaaaaaaaaaaaaaaa b", "b aaaaaaaaaaaaaaaa", "µµµµ µµµµ µ", "12345 7890 1", "1234567890 1",
	} {
		const width = 10
		lines := wrapped(text, width)
		if got, want := strings.Join(lines, " "), strings.Join(strings.Fields(text), " "); got != want {
			t.Errorf("%q: the lines hold %q", text, got)
		}
		for i, line := range lines {
			if utf8.RuneCountInString(line) > width && strings.Contains(line, " ") {
				t.Errorf("%q: line %q is too long and could be broken", text, line)
			}
			if i > 0 {
				first, _, _ := strings.Cut(line, " ")
				if utf8.RuneCountInString(lines[i-1])+1+utf8.RuneCountInString(first) <= width {
					t.Errorf("%q: %q would fit after %q", text, first, lines[i-1])
				}
			}
		}
	}
}

func TestStepNotesWhatItSays(t *testing.T) {
	var s Step
	for _, c := range []struct {
		got, want string
	}{
		{s.Count("a_count", 0), "0"},
		{s.Count("b_count", 999), "999"},
		{s.Count("c_count", 1000), "1,000"},
		{s.Count("d_count", 1234567), "1,234,567"},
		{s.ID("e_pid", 4194304), "4194304"},
		{s.Seconds("f_seconds", 1255*time.Millisecond), "1.25 s"}, // the float64 below 1.255
		{s.Seconds("g_seconds", 0), "0.00 s"},
		{s.Micros("h_micros", 1250999*time.Nanosecond), "1,250 µs"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for name, want := range map[string]float64{"c_count": 1000, "e_pid": 4194304, "f_seconds": 1.255, "h_micros": 1250} {
		if got, ok := s.Number(name); !ok || got != want {
			t.Errorf("%s is noted as %v (%v), want %v", name, got, ok, want)
		}
	}
	if _, ok := s.Number("none"); ok {
		t.Error("a number was noted that nobody said")
	}
}

func TestEndsOf(t *testing.T) {
	service := netip.MustParseAddrPort("10.0.3.7:8080")
	other := netip.MustParseAddrPort("10.0.3.7:8081")
	tally := func(counts map[tcpvet.State]uint32) *tcpvet.Tally {
		var y tcpvet.Tally
		for s, n := range counts {
			y.States[s] = n
		}
		return &y
	}
	c := tcpvet.Census{Groups: map[tcpvet.Group]*tcpvet.Tally{
		{Role: tcpvet.Client, Service: service, Holder: tcpvet.Process{PID: 7}}: tally(map[tcpvet.State]uint32{tcpvet.CloseWait: 5, tcpvet.Established: 1}),
		{Role: tcpvet.Client, Service: service, Holder: tcpvet.Process{PID: 8}}: tally(map[tcpvet.State]uint32{tcpvet.CloseWait: 3}),
		{Role: tcpvet.Server, Service: service}:                                 tally(map[tcpvet.State]uint32{tcpvet.FinWait2: 8, tcpvet.Listen: 1}),
		{Role: tcpvet.Client, Service: other}:                                   tally(map[tcpvet.State]uint32{tcpvet.CloseWait: 100}),
		{Role: tcpvet.Server, Service: other}:                                   tally(map[tcpvet.State]uint32{tcpvet.FinWait2: 100}),
	}}
	want := Ends{Service: service}
	want.Client[tcpvet.CloseWait], want.Client[tcpvet.Established] = 8, 1
	want.Server[tcpvet.FinWait2] = 8
	if got := EndsOf(&c, service); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
