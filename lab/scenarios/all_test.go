package scenarios

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/rules"
)

func TestAll(t *testing.T) {
	acts := make(map[string]uintptr)
	var names []string
	for _, sc := range All {
		names = append(names, sc.Name)
		if _, err := os.Stat(sc.Name + ".go"); err != nil {
			t.Errorf("scenario %s has no file of its name: %v", sc.Name, err)
		}
		if sc.Title == "" || sc.Source == "" || sc.Play == nil || strings.ContainsAny(sc.Title+sc.Source, "\n") {
			t.Errorf("scenario %s is incomplete: title and source are a line each", sc.Name)
		}
		for _, act := range sc.Acts {
			learn := reflect.ValueOf(act.Learn).Pointer()
			if other, ok := acts[act.Name]; ok && other != learn {
				t.Errorf("scenario %s: another act has the name %s, by which processes find theirs", sc.Name, act.Name)
			}
			acts[act.Name] = learn
		}
		if err := sc.Check(lab.Options{Ports: lab.MinPorts}); err != nil {
			t.Errorf("scenario %s in its smallest size: %v", sc.Name, err)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(names)) != len(All) {
		t.Errorf("the scenarios are not in order, or one is there twice: %v", names)
	}
	if len(acts) == 0 {
		t.Error("no scenario has an act")
	}
}

// Every rule is proved on a kernel, or stands in the list of those that cannot
// be.
func TestRulesAreStaged(t *testing.T) {
	staged := make(map[string]string) // rule to scenario
	for _, sc := range All {
		for _, rule := range sc.Expects {
			staged[rule] = sc.Name
			if rules.Find(rule) == nil {
				t.Errorf("scenario %s expects %s, which is no rule", sc.Name, rule)
			}
		}
	}
	unstaged := make(map[string]bool)
	for _, u := range Unstaged {
		unstaged[u.Rule] = true
		if u.Reason == "" || rules.Find(u.Rule) == nil {
			t.Errorf("%s in the list of the unstaged has no reason, or is no rule", u.Rule)
		}
		if by := staged[u.Rule]; by != "" {
			t.Errorf("%s is in the list of the unstaged, and %s stages it", u.Rule, by)
		}
	}
	for _, r := range rules.All {
		if staged[r.Name] == "" && !unstaged[r.Name] {
			t.Errorf("no scenario stages %s, and it is not in the list of the unstaged", r.Name)
		}
	}
}

// patience is that of the command.
const patience = 2 * time.Second

// TestScenarios plays every scenario, looks with every source, and compares what
// was found and skipped with what the scenario expects.
func TestScenarios(t *testing.T) {
	for _, sc := range All {
		t.Run(sc.Name, func(t *testing.T) {
			met(t, sc)
			t.Parallel()
			p := play(t, command(t, testOrder{Scenario: sc.Name, Ports: soundRange, Patience: patience}))
			if p.Unmet != "" {
				t.Fatalf("a need shows only on the stage: put it into the scenario's Needs: %s", p.Unmet)
			}
			for _, m := range p.Outcome.Mismatches {
				t.Error(m)
			}
			if want := sortedOnce(sc.Expects); !slices.Equal(p.Outcome.Expected, want) {
				t.Errorf("the scenario expects %v, and its moments together %v", want, p.Outcome.Expected)
			}
			for _, s := range p.Outcome.Skipped {
				t.Logf("%s does not judge %s: it lacks %s", s.Source, s.Rule, s.Missing)
			}
			checkViews(t, &p)
			checkFigures(t, sc, &p)
			if t.Failed() {
				t.Logf("the story:\n%s", p.Text)
			}
		})
	}
}

func sortedOnce(names []string) []string {
	names = slices.Sorted(slices.Values(names))
	return slices.Compact(names)
}

// met skips a test where this machine lacks what the scenario needs. What root
// can install, root has to.
func met(t *testing.T, sc *lab.Scenario) {
	t.Helper()
	err := sc.Unmet()
	if err == nil {
		return
	}
	var missing *lab.MissingError
	switch {
	case errors.As(err, &missing):
		kerneltest.Tool(t, missing.Program)
		t.Fatalf("%s is installed, and the scenario %v", missing.Program, err)
	case os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission):
		kerneltest.Root(t)
	case strings.Contains(err.Error(), "install Debian package"):
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("%s: %v", kerneltest.NeedsProgram, err)
	}
	t.Skipf("%s: %v", kerneltest.LacksFeature, err)
}

// checkViews makes sure that each moment was judged by each source, and that the
// one which can tell most has judged all that is expected.
func checkViews(t *testing.T, p *played) {
	t.Helper()
	if len(p.Steps) == 0 {
		t.Error("the story has no step")
	}
	for _, s := range p.Steps {
		for _, j := range s.Judged {
			if len(j.Views) != 2 || j.Views[0].Source != "netlink" || j.Views[1].Source != "procfs" {
				t.Errorf("step %s was judged by %+v, want netlink and procfs", s.Name, j.Views)
				continue
			}
			for _, v := range j.Views {
				for _, rule := range j.Expected {
					if !slices.Contains(v.Found, rule) && !slices.Contains(v.Skipped, rule) {
						t.Errorf("step %s, by %s: %s was neither found nor skipped", s.Name, v.Source, rule)
					}
					if v.Source == "netlink" && slices.Contains(v.Skipped, rule) {
						t.Errorf("step %s: %s is expected, and netlink lacks what it needs", s.Name, rule)
					}
				}
				for _, rule := range v.Found {
					if !slices.Contains(j.Expected, rule) {
						t.Errorf("step %s, by %s: %s was found, expected were %v", s.Name, v.Source, rule, j.Expected)
					}
				}
			}
		}
	}
}
