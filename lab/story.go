package lab

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Story is what a play did and measured.
type Story struct {
	Scenario, Title string
	Steps           []Step
	Took            time.Duration

	expects []string // Scenario.Expects
}

// Step is one thing that was done on the stage: what, what the kernel showed,
// and what that means. Every figure in its sentences was measured in this play
// and stands in Numbers, or is a constant of TCP or of Linux.
type Step struct {
	Name  string // a word that stays the same from play to play
	Title string

	Done, Shown, Means []string // paragraphs; Shown comes before the table

	// Said are the commands of tcpvet that were run for it, with what they
	// printed: no figures of the play.
	Said []*Said

	// Failed says what tcpvet was to do here and did not. The play goes on.
	Failed []string

	Segments []Crossing // as they crossed, none for nothing to show
	Ends     *Ends      // both ends' states, nil for none
	Judged   []*Judged  // see Stage.Judge

	Numbers []tcpvet.Number // as in a Finding: the name ends in the unit
}

func (s *Step) number(name string, v float64) {
	s.Numbers = append(s.Numbers, tcpvet.Number{Name: name, Value: v})
}

// Count notes a number of things and gives it as text: "28,232".
func (s *Step) Count(name string, n int) string {
	s.number(name, float64(n))
	return grouped(n)
}

// ID notes a number that names something, as a port or a PID, and gives it as
// text: "28232".
func (s *Step) ID(name string, n int) string {
	s.number(name, float64(n))
	return strconv.Itoa(n)
}

// Seconds notes a duration and gives it as text, to the hundredth: "1.25 s".
func (s *Step) Seconds(name string, d time.Duration) string {
	s.number(name, d.Seconds())
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
}

// Millis notes a duration and gives it as text, to the tenth of a millisecond:
// "44.2 ms".
func (s *Step) Millis(name string, d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	s.number(name, ms)
	return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
}

// Rate notes a number of events per second and gives it as text: "470.5/s".
func (s *Step) Rate(name string, perSecond float64) string {
	s.number(name, perSecond)
	return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
}

// Percent notes a ratio and gives it as text, to the tenth: "96.9 %".
func (s *Step) Percent(name string, ratio float64) string {
	s.number(name, 100*ratio)
	return strconv.FormatFloat(100*ratio, 'f', 1, 64) + " %"
}

// Micros notes a duration and gives it as text in whole microseconds: "1,250 µs".
func (s *Step) Micros(name string, d time.Duration) string {
	us := int(d.Microseconds())
	s.number(name, float64(us))
	return grouped(us) + " µs"
}

// Fails notes that tcpvet did not do what it was to.
func (s *Step) Fails(format string, args ...any) {
	s.Failed = append(s.Failed, fmt.Sprintf(format, args...))
}

// Number gives a number of the step by its name; ok is false for none.
func (s *Step) Number(name string) (v float64, ok bool) {
	for _, n := range s.Numbers {
		if n.Name == name {
			return n.Value, true
		}
	}
	return 0, false
}

// grouped writes n with a comma between thousands.
func grouped(n int) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
