package scenarios

import (
	"errors"
	"fmt"
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
			figures, _ := unmeasured(t, sc, &p)
			for _, fault := range append(viewFaults(&p, sources()), figures...) {
				t.Error(fault)
			}
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

// blind names the rules that a source cannot judge on a stage, some of them only
// where sockets are such that it matters.
var blind = map[string][]string{
	// tcp_max_orphans is shown in the first network namespace only, and
	// nf_conntrack need not be there.
	"netlink": {"conntrack-pressure", "orphan-pressure"},
	"bpf":     {"conntrack-pressure", "orphan-pressure"},
	// /proc/net/tcp shows no tcp_info (how long a socket is idle, what is
	// not acknowledged), no limit of an accept queue, and no socket that is merely bound.
	"procfs": {"accept-queue-full", "bound-ports", "close-wait-leak", "conntrack-pressure", "established-growth", "keepalive-too-late",
		"no-keepalive", "orphan-pressure", "syn-recv-pileup", "unread-data"},
}

// viewFaults makes sure that there are moments, that each was judged by each
// source, and that these skipped only what they are known to be blind to.
func viewFaults(p *played, sources []string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if !slices.ContainsFunc(p.Steps, func(s plainStep) bool { return len(s.Judged) > 0 }) {
		fault("the story has no moment that was judged: that nothing is wrong is to be shown too")
	}
	for _, s := range p.Steps {
		for _, j := range s.Judged {
			if !slices.EqualFunc(j.Views, sources, func(v plainView, source string) bool { return v.Source == source }) {
				fault("step %s was judged by %+v, want %s", s.Name, j.Views, strings.Join(sources, " and "))
				continue
			}
			for _, v := range j.Views {
				for _, rule := range v.Skipped {
					if !slices.Contains(blind[v.Source], rule) {
						fault("step %s, by %s: %s was skipped, which that source can judge", s.Name, v.Source, rule)
					}
				}
				for _, rule := range j.Expected {
					if !slices.Contains(v.Found, rule) && !slices.Contains(v.Skipped, rule) {
						fault("step %s, by %s: %s was neither found nor skipped", s.Name, v.Source, rule)
					}
				}
				for _, rule := range v.Found {
					if !slices.Contains(j.Expected, rule) {
						fault("step %s, by %s: %s was found, expected were %v", s.Name, v.Source, rule, j.Expected)
					}
				}
			}
		}
	}
	return faults
}

// The check of the views finds what is wrong with them.
func TestViewFaults(t *testing.T) {
	found := func(source string, rules ...string) plainView { return plainView{Source: source, Found: rules} }
	skipped := func(source, rule string) plainView { return plainView{Source: source, Skipped: []string{rule}} }
	for _, c := range []struct {
		name     string
		expected []string
		views    []plainView
		want     string
	}{
		{"as it should be", []string{"bound-ports"}, []plainView{found("netlink", "bound-ports"), skipped("procfs", "bound-ports")}, ""},
		{"quiet", nil, []plainView{found("netlink"), found("procfs")}, ""},
		{"one source", nil, []plainView{found("netlink")}, "want netlink and procfs"},
		{"one source twice", nil, []plainView{found("netlink"), found("netlink")}, "want netlink and procfs"},
		{"missing", []string{"bound-ports"}, []plainView{found("netlink"), skipped("procfs", "bound-ports")}, "by netlink: bound-ports was neither"},
		{"too much", nil, []plainView{found("netlink"), found("procfs", "half-open")}, "by procfs: half-open was found"},
		{"skipped by who can judge", []string{"bound-ports"}, []plainView{skipped("netlink", "bound-ports"), skipped("procfs", "bound-ports")}, "by netlink: bound-ports was skipped"},
	} {
		got := strings.Join(viewFaults(&played{Steps: []plainStep{{Judged: []plainJudged{{c.expected, c.views}}}}}, []string{"netlink", "procfs"}), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := viewFaults(&played{Steps: make([]plainStep, 1)}, nil); len(got) != 1 {
		t.Errorf("a story without a judgement: got %q", got)
	}
}
