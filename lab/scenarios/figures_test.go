package scenarios

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// named are figures that belong to names, whatever the scenario.
var named = regexp.MustCompile(`RFC \d+(, sections? \d[\d.]*\d( and \d[\d.]*\d)*)?` +
	`|net\.[a-z0-9_.]*[a-z0-9_]` + // a setting
	`|(CLOSE|TIME|FIN|SYN|LAST)-(WAIT|SENT|RECV|ACK)(-[12])?` + // a state
	`|\b\d+\.\d+\.\d+\.\d+(:\d+|/\d+)?` + // IPv4
	`|\[?[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}(%[a-z0-9]+)?(\]:\d+)?(/\d+)?` + // IPv6
	`|IPv[46]|HTTP/\d\.\d|Linux \d+\.\d+`)

var figure = regexp.MustCompile(`\d+([.,]\d+)*`)

// unmeasured makes sure that every figure in the sentences was noted as
// measured, and gives how many there are.
func unmeasured(t *testing.T, sc *lab.Scenario, p *played) (faults []string, found int) {
	t.Helper()
	for _, s := range p.Steps {
		for _, text := range slices.Concat(s.Done, s.Shown, s.Means) {
			bare := text
			for _, c := range sc.Constants {
				bare = strings.ReplaceAll(bare, c, "")
			}
			for _, f := range figure.FindAllString(named.ReplaceAllString(bare, ""), -1) {
				found++
				if !noted(t, s.Numbers, f) {
					faults = append(faults, fmt.Sprintf("step %s says %s, which it did not measure, and which is no constant of the scenario: %q", s.Name, f, text))
				}
			}
		}
	}
	return faults, found
}

// noted tells whether a figure is one of the numbers, rounded to its last digit.
func noted(t *testing.T, numbers []tcpvet.Number, figure string) bool {
	t.Helper()
	v, err := strconv.ParseFloat(strings.ReplaceAll(figure, ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	_, decimals, _ := strings.Cut(figure, ".")
	half := 0.0
	if decimals != "" {
		half = 0.5000001 * math.Pow10(-len(decimals))
	}
	for _, n := range numbers {
		if math.Abs(n.Value-v) <= half {
			return true
		}
	}
	return false
}

// The check finds figures that were not measured, and only these.
func TestUnmeasuredNotices(t *testing.T) {
	numbers := []tcpvet.Number{{Name: "a_count", Value: 1234}, {Name: "a_seconds", Value: 2.0051}}
	for figure, want := range map[string]bool{
		"1,234": true, "1234": true, "1,235": false, "2.01": true, "2.0": true, "2.00": false, "2": false,
	} {
		if got := noted(t, numbers, figure); got != want {
			t.Errorf("%s: %v, want %v", figure, got, want)
		}
	}
	for _, text := range []string{
		"net.ipv4.tcp_fin_timeout (RFC 9293, section 3.6), FIN-WAIT-2 of 10.77.1.2:8080, since Linux 4.12",
		"to [fd77:1::2]:8080 and ::1, as RFC 1122, section 4.2.3.5 says; IPv6",
	} {
		if rest := figure.FindString(named.ReplaceAllString(text, "")); rest != "" {
			t.Errorf("%q: %s counts as a figure", text, rest)
		}
	}
	sc := &lab.Scenario{Constants: []string{"for 60 s"}}
	for where, step := range map[string]plainStep{
		"done":  {Done: []string{"1,234 for 60 s, and then 5"}},
		"shown": {Shown: []string{"5 of 1,234 for 60 s"}},
		"means": {Means: []string{"1,234 for 60 s", "2.01 s of 5"}},
	} {
		step.Numbers = numbers
		faults, found := unmeasured(t, sc, &played{Steps: []plainStep{step}})
		if len(faults) != 1 || !strings.Contains(faults[0], "says 5,") || found < 2 {
			t.Errorf("%s: got %q of %d figures, want that 5 is not measured", where, faults, found)
		}
	}
	for _, text := range []string{"after 60 s", "10:20", "port 8080"} {
		if figure.FindString(named.ReplaceAllString(text, "")) == "" {
			t.Errorf("%q: no figure was found", text)
		}
	}
}
