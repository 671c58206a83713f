package sysctlantipattern

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// space is a namespace whose settings are judged.
type space struct {
	tcpvet.Netns
	c      *tcpvet.Census
	before map[string]uint64 // counters of the earlier look, nil for none
	enter  string            // the words that enter it
	way    bool              // whether they are known
}

// judge looks at each namespace, then at the files.
func judge(c tcpvet.Case) []tcpvet.Finding {
	byKind := make(map[string][]tcpvet.Finding)
	for _, id := range slices.Sorted(maps.Keys(c.Now.Netns)) {
		s := space{Netns: c.Now.Netns[id], c: &c.Now}
		s.ID = id
		if c.Before != nil {
			s.before = c.Before.Netns[id].Counters
		}
		s.enter, s.way = vet.Enter(s.c, id, tcpvet.Nobody)
		for _, check := range []func(*space) *tcpvet.Finding{
			(*space).reuse, (*space).ports, (*space).buckets, (*space).abort, (*space).retries, (*space).keepalive, (*space).connect, (*space).recycle,
		} {
			if f := check(&s); f != nil {
				byKind[f.Kind] = append(byKind[f.Kind], *f)
			}
		}
	}
	var findings []tcpvet.Finding
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		all := byKind[kind]
		slices.SortStableFunc(all, func(a, b tcpvet.Finding) int { return int(b.Severity) - int(a.Severity) })
		first, rest := vet.Cut(all, named)
		findings = append(findings, first...)
		if len(rest) > 0 {
			findings = append(findings, more(&c.Now, rest))
		}
	}
	return append(findings, inFiles(&c.Now)...)
}

// more is the finding of the namespaces that are not named, the worst first.
func more(c *tcpvet.Census, all []tcpvet.Finding) tcpvet.Finding {
	kind := all[0].Kind
	return tcpvet.Finding{
		Rule: name, Severity: all[0].Severity, Certainty: all[0].Certainty, Kind: kind,
		Subject: tcpvet.Subject{Netns: all[0].Subject.Netns},
		Title:   vet.Heading(c, c.Self, nil, "", vet.Count(len(all))+" more namespaces with "+kind),
		Detail: []string{fmt.Sprintf("Besides the %d that are named, %s network namespaces have a fault of this kind. The first of them is %s.",
			named, vet.Count(len(all)), vet.NetnsText(c, all[0].Subject.Netns))},
		Numbers:  []tcpvet.Number{{Name: "settings", Value: 1}, {Name: "namespaces", Value: float64(len(all))}}, // behind those that are named
		Remedies: []tcpvet.Remedy{tcpvet.Advise{Text: "put the setting right where these namespaces are made: in the image, or in what starts the containers", Run: "tcpvet explain sysctl-antipattern"}},
	}
}

// finding begins a finding about settings of the namespace, which are its
// evidence.
func (s *space) finding(kind string, severity tcpvet.Severity, about string, settings ...string) *tcpvet.Finding {
	f := &tcpvet.Finding{
		Rule: name, Severity: severity, Kind: kind,
		Subject: tcpvet.Subject{Netns: s.ID},
		Title:   vet.Heading(s.c, s.ID, nil, "", about),
		Numbers: []tcpvet.Number{{Name: "settings", Value: float64(len(settings))}},
	}
	for _, setting := range settings {
		if value, ok := s.Sysctls[setting]; ok && s.way {
			f.Evidence = append(f.Evidence, tcpvet.Evidence{What: setting, Got: value, Check: s.enter + "sysctl -n " + setting})
		}
	}
	return f
}

// set gives the command that sets a setting, none where no way in is known.
func (s *space) set(setting, value, why string) []tcpvet.Remedy {
	if !s.way {
		return nil
	}
	return []tcpvet.Remedy{tcpvet.SetSysctl{Netns: s.ID, Where: vet.NetnsFlag(s.enter), Name: setting, Value: value, Why: why}}
}

// rose tells by how much a counter rose between the looks.
func (s *space) rose(counter string) uint64 {
	now, ok1 := s.Counters[counter]
	before, ok2 := s.before[counter]
	if !ok1 || !ok2 || now <= before {
		return 0
	}
	return now - before
}

// counterEvidence shows a counter.
func (s *space) counterEvidence(what, counter string) []tcpvet.Evidence {
	if !s.way {
		return nil
	}
	return []tcpvet.Evidence{{
		What: what + " since the namespace began", Got: vet.Count(s.Counters[counter]),
		Check: s.enter + "nstat -asz " + counter + " | awk 'NR == 2 {print $2}'",
	}}
}
