package remedy

import (
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// leakRule is the rule that finds leaks, with its numbers about the ports of the tuple.
const (
	leakRule  = "close-wait-leak"
	leakTakes = "taken_by_leak_ports"
	leakOf    = "usable_ports"
)

// feeds gives the finding of a leak that more ports would only feed: it takes a part of
// those of a tuple that runs short of them. nil where there is none, and where another
// tuple runs short for another reason, which more ports would help.
func (s *space) feeds() *tcpvet.Finding {
	var leak *tcpvet.Finding
	for i := range s.findings {
		f := &s.findings[i]
		switch {
		case leak == nil && s.fed(f):
			leak = f
		case isShortage(f) && !slices.ContainsFunc(s.findings, func(l tcpvet.Finding) bool { return s.fed(&l) && sameTuple(&l.Subject, &f.Subject) }):
			return nil
		}
	}
	return leak
}

// fed tells whether a finding is a leak that more ports would feed.
func (s *space) fed(f *tcpvet.Finding) bool {
	if !takesPorts(f) || number(f, leakTakes) < vet.LeakPart*number(f, leakOf) {
		return false
	}
	return f.Severity == tcpvet.Critical || slices.ContainsFunc(s.findings, func(o tcpvet.Finding) bool {
		return isShortage(&o) && sameTuple(&o.Subject, &f.Subject)
	})
}

// isShortage tells whether a rule has found that a tuple runs short of ports. Where
// several are summed up it does not say which.
func isShortage(f *tcpvet.Finding) bool {
	return (f.Rule == "port-exhaustion" || f.Rule == "time-wait-pressure") && f.Severity >= tcpvet.Warning && f.Subject.Service.IsValid()
}

// takesPorts tells whether a finding is a leak of connections that were opened here: one
// of a server takes no port. One of severity Info is a single socket, which may be
// nothing.
func takesPorts(f *tcpvet.Finding) bool {
	return f.Rule == leakRule && f.Severity >= tcpvet.Warning && number(f, leakTakes) > 0
}

// sameTuple tells whether two findings may be about one tuple: a leak from several local
// addresses names none.
func sameTuple(a, b *tcpvet.Subject) bool {
	return a.Service == b.Service && (a.Local == b.Local || !a.Local.IsValid() || !b.Local.IsValid())
}

// number gives a number of a finding, 0 where it has none of the name.
func number(f *tcpvet.Finding, name string) float64 {
	for _, n := range f.Numbers {
		if n.Name == name {
			return n.Value
		}
	}
	return 0
}

// morePorts tells whether the plan gives more ports to choose from.
func (s *space) morePorts() bool {
	before, after, err := s.room()
	return err == nil && before >= 0 && after > before
}
