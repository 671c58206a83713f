package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// The worst of what the scenarios came to decides: a mismatch, then what could
// not be staged; a skipped one is no fault unless nothing else was asked for.
func TestLabStatus(t *testing.T) {
	text := func(s string) *string { return &s }
	var (
		fine    = jsonv1.LabScenario{Found: []string{"close-wait-leak"}}
		skipped = jsonv1.LabScenario{Skipped: text("needs nginx")}
		broken  = jsonv1.LabScenario{Error: text("the stage is gone")}
		wrong   = jsonv1.LabScenario{Mismatches: []string{"step a, by netlink: one", "step b, by netlink: two"}}
	)
	for _, c := range []struct {
		name    string
		results []jsonv1.LabScenario
		want    int
	}{
		{"fine", []jsonv1.LabScenario{fine}, 0},
		{"a mismatch", []jsonv1.LabScenario{fine, wrong}, 1},
		{"a mismatch after what was not staged", []jsonv1.LabScenario{broken, skipped, wrong}, 1},
		{"a mismatch before what was not staged", []jsonv1.LabScenario{wrong, broken}, 1},
		{"not staged", []jsonv1.LabScenario{broken, fine}, 3},
		{"one skipped", []jsonv1.LabScenario{skipped, fine}, 0},
		{"all skipped", []jsonv1.LabScenario{skipped, skipped}, 3},
	} {
		got := 0
		var e *exit
		if err := labStatus(c.results); errors.As(err, &e) {
			got = e.status
		} else if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got != c.want {
			t.Errorf("%s: exit status %d, want %d", c.name, got, c.want)
		}
	}

	var out strings.Builder
	if err := labResults(&out, []jsonv1.LabScenario{fine, skipped, broken, wrong}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"as expected: found close-wait-leak\n", "skipped: needs nginx\n", "not staged: the stage is gone\n", "not as expected: step a, by netlink: one\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if text := labResult(&wrong); !strings.Contains(text, "by netlink: two") {
		t.Errorf("the second mismatch is not told: %q", text)
	}
}
