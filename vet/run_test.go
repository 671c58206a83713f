package vet_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// finds gives a rule that finds these, whatever the case.
func finds(name string, needs tcpvet.Facts, found ...tcpvet.Finding) *vet.Rule {
	return &vet.Rule{Name: name, Needs: needs, Judge: func(tcpvet.Case) []tcpvet.Finding {
		for i := range found {
			found[i].Rule = name
		}
		return slices.Clone(found)
	}}
}

func TestRunSkipsWhatItCannotJudge(t *testing.T) {
	c := tcpvet.Case{Now: tcpvet.Census{Facts: tcpvet.FactTimer | tcpvet.FactHolders}}
	r := vet.Run(c, []*vet.Rule{
		finds("a", tcpvet.FactTimer, tcpvet.Finding{}),
		finds("b", tcpvet.FactTimer|tcpvet.FactInfo|tcpvet.FactLimits, tcpvet.Finding{}),
		finds("c", 0),
	})
	if len(r.Findings) != 1 || r.Findings[0].Rule != "a" {
		t.Errorf("findings %v: want that of a", r.Findings)
	}
	want := []vet.Skipped{{Rule: "b", Missing: tcpvet.FactInfo | tcpvet.FactLimits}}
	if !slices.Equal(r.Skipped, want) {
		t.Errorf("skipped %v, want %v", r.Skipped, want)
	}
}

// TestRunCompares asks a rule of what changed only where something could have: it
// is not skipped either, whatever it needs.
func TestRunCompares(t *testing.T) {
	a := finds("a", tcpvet.FactTimer, tcpvet.Finding{})
	a.Compares = true
	now := tcpvet.Census{Facts: tcpvet.FactTimer}
	for _, tt := range []struct {
		c              tcpvet.Case
		found, skipped int
	}{
		{tcpvet.Case{Now: now}, 0, 0},
		{tcpvet.Case{}, 0, 0},
		{tcpvet.Case{Now: now, Before: &now}, 1, 0},
		{tcpvet.Case{Before: &now}, 0, 1},
	} {
		if r := vet.Run(tt.c, []*vet.Rule{a}); len(r.Findings) != tt.found || len(r.Skipped) != tt.skipped {
			t.Errorf("before: %v, facts %v: %d found, %d skipped; want %d and %d", tt.c.Before != nil, tt.c.Now.Facts, len(r.Findings), len(r.Skipped), tt.found, tt.skipped)
		}
	}
}

func TestRunOrdersFindings(t *testing.T) {
	at := func(size float64, s tcpvet.Severity, ns tcpvet.NetnsID, pid int32, service string) tcpvet.Finding {
		f := tcpvet.Finding{Severity: s, Numbers: []tcpvet.Number{{Name: "sockets", Value: size}}}
		f.Subject.Netns, f.Subject.Service = ns, netip.MustParseAddrPort(service)
		f.Subject.Processes = []tcpvet.Process{{PID: pid}}
		return f
	}
	// In the order wanted: severity, rule, size, namespace, process, service.
	want := []tcpvet.Finding{
		at(1, tcpvet.Critical, 9, 9, "10.0.0.9:9"),
		at(500, tcpvet.Warning, 9, 9, "10.0.0.9:9"),
		at(20, tcpvet.Warning, 1, 9, "10.0.0.9:9"),
		at(20, tcpvet.Warning, 2, 3, "10.0.0.9:9"),
		at(20, tcpvet.Warning, 2, 4, "10.0.0.1:9"),
		at(20, tcpvet.Warning, 2, 4, "10.0.0.9:9"),
		at(900, tcpvet.Info, 1, 1, "10.0.0.1:1"),
	}
	for i := range want {
		want[i].Rule = "m"
	}
	mixed := slices.Clone(want)
	slices.Reverse(mixed)
	mixed[0], mixed[3] = mixed[3], mixed[0]
	other := at(5000, tcpvet.Warning, 0, 0, "10.0.0.1:1") // of a later rule, though larger
	r := vet.Run(tcpvet.Case{}, []*vet.Rule{finds("m", 0, mixed...), finds("a", 0, other)})
	if len(r.Findings) != len(want)+1 {
		t.Fatalf("%d findings, want %d", len(r.Findings), len(want)+1)
	}
	if r.Findings[6].Rule != "a" {
		t.Errorf("the finding of rule a is not seventh: %v", r.Findings[6])
	}
	got := slices.Delete(slices.Clone(r.Findings), 6, 7)
	for i := range want {
		g, w := got[i], want[i]
		if g.Severity != w.Severity || g.Numbers[0] != w.Numbers[0] || g.Subject.Netns != w.Subject.Netns ||
			g.Subject.Processes[0] != w.Subject.Processes[0] || g.Subject.Service != w.Subject.Service {
			t.Errorf("place %d: got %+v, want %+v", i, g, w)
		}
	}
}

func TestRunGivesPatience(t *testing.T) {
	var got []time.Duration
	rule := &vet.Rule{Name: "p", Judge: func(c tcpvet.Case) []tcpvet.Finding {
		got = append(got, c.Patience)
		return nil
	}}
	vet.Run(tcpvet.Case{}, []*vet.Rule{rule})
	vet.Run(tcpvet.Case{Patience: 2 * time.Second}, []*vet.Rule{rule})
	if want := []time.Duration{time.Minute, 2 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("rules saw a patience of %v, want %v", got, want)
	}
}

func TestCoverage(t *testing.T) {
	holders := func(ns tcpvet.NetnsID, needs string) tcpvet.Gap {
		return tcpvet.Gap{What: "holders", Netns: ns, Needs: needs}
	}
	for _, tt := range []struct {
		name  string
		whole bool
		gaps  []tcpvet.Gap
		want  tcpvet.Coverage
	}{
		{"whole", true, nil, tcpvet.Whole},
		{"one namespace", false, nil, tcpvet.OneNamespace},
		{"not root", false, []tcpvet.Gap{holders(0, "root")}, tcpvet.OwnProcesses},
		{"not root, here", true, []tcpvet.Gap{holders(7, "root")}, tcpvet.OwnProcesses},
		{"root, and a process that not even root may read", true, []tcpvet.Gap{holders(0, "CAP_SYS_PTRACE")}, tcpvet.Whole},
		{"not root, elsewhere", true, []tcpvet.Gap{holders(8, "root")}, tcpvet.Whole},
		{"a process that ended", true, []tcpvet.Gap{holders(0, "")}, tcpvet.Whole},
		{"another gap", true, []tcpvet.Gap{{What: "container name", Needs: "root"}}, tcpvet.Whole},
	} {
		c := tcpvet.Case{Now: tcpvet.Census{Whole: tt.whole, Gaps: tt.gaps}}
		r := vet.Run(c, []*vet.Rule{finds("a", 0, tcpvet.Finding{Subject: tcpvet.Subject{Netns: 7}})})
		if got := r.Findings[0].Coverage; got != tt.want {
			t.Errorf("%s: coverage %v, want %v", tt.name, got, tt.want)
		}
	}
}
