package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// labResult says in a few lines what came of a scenario.
func labResult(s *jsonv1.LabScenario) string {
	switch {
	case s.Skipped != nil:
		return "skipped: " + *s.Skipped
	case s.Error != nil:
		return "not staged: " + *s.Error
	case len(s.Mismatches) > 0:
		return "not as expected: " + strings.Join(s.Mismatches, "\n                 ")
	}
	list := func(rules []string) string {
		if len(rules) == 0 {
			return "nothing"
		}
		return strings.Join(rules, ", ")
	}
	line := fmt.Sprintf("as expected: found %s", list(s.Found))
	if len(s.RulesSkipped) > 0 {
		line += "\nnot judged by this source: " + list(s.RulesSkipped)
	}
	return line
}

func labResults(out io.Writer, results []jsonv1.LabScenario) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tSECONDS\tRESULT")
	for i := range results {
		s := &results[i]
		seconds := "-"
		if s.Seconds != nil {
			seconds = fmt.Sprintf("%.1f", *s.Seconds)
		}
		line, _, _ := strings.Cut(labResult(s), "\n")
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Scenario, seconds, line)
	}
	return w.Flush()
}

// labStatus gives the exit status as an error: a mismatch goes before what could
// not be staged.
func labStatus(results []jsonv1.LabScenario) error {
	status, skipped := statusOK, 0
	for i := range results {
		switch s := &results[i]; {
		case len(s.Mismatches) > 0:
			return &exit{status: statusFindings}
		case s.Error != nil:
			status = statusBlind
		case s.Skipped != nil:
			skipped++
		}
	}
	if skipped == len(results) {
		status = statusBlind
	}
	if status == statusOK {
		return nil
	}
	return &exit{status: status}
}
