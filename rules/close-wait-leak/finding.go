package closewaitleak

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// neverAccepted is the kind of what waits in an accept queue; the other kinds
// are those of tcpvet.CloseWaitKind.
const neverAccepted = "never-accepted"

func (j *judgement) finding(l *leak) tcpvet.Finding {
	info := j.Now.Processes[l.owner]
	f := tcpvet.Finding{
		Rule: name, Severity: l.severity, Certainty: tcpvet.Certain, Kind: l.kind().String(),
		Subject: tcpvet.Subject{
			Netns: l.Netns, Container: info.Container, Service: l.Service, Services: l.services, Local: l.Local(),
		},
		Numbers:  j.numbers(l),
		Evidence: j.evidence(l),
		Remedies: j.remedies(l, info),
	}
	if l.unaccepted {
		f.Kind = neverAccepted
	}
	if !l.aged() || l.hidden || l.undecided {
		f.Certainty = tcpvet.Likely
	}
	if l.owner.Known() {
		f.Subject.Processes = append([]tcpvet.Process{l.owner}, l.SharedWith()...)
	}
	if !l.Service.IsValid() {
		f.Subject.Services = max(l.services, 2)
	}
	if l.Oldest != nil && !l.hidden && !j.Now.Taken.IsZero() {
		since := j.Now.Taken.Add(-l.Oldest.Age.Low)
		f.Since = &since
	}
	f.Title = vet.Heading(&j.Now, l.Netns, info.Container, j.who(l), about(l))
	f.Detail = j.detail(l)
	return f
}

// kind is the kind of most of them.
func (l *leak) kind() tcpvet.CloseWaitKind {
	most := tcpvet.NoCloseWaitKind
	for k, n := range l.CloseWait {
		if n > l.CloseWait[most] {
			most = tcpvet.CloseWaitKind(k)
		}
	}
	return most
}

func (j *judgement) who(l *leak) string {
	if l.owner == tcpvet.Nobody {
		return "a process that is not known" // nobody listens any more, or the input is silent
	}
	if l.Role == tcpvet.Client {
		return vet.OwnerText(&j.Now, l.owner) // only close() gives up its descriptor, and ends the state
	}
	return vet.ProgramText(&j.Now, l.owner)
}

func about(l *leak) string {
	toward := "on "
	if l.Role == tcpvet.Client {
		toward = "to "
	}
	switch {
	case l.Service.IsValid():
		return toward + l.Service.String()
	case l.services > 1 && !l.folded:
		return toward + vet.Counted(l.services, "service")
	}
	return toward + "many services"
}

func (j *judgement) numbers(l *leak) []tcpvet.Number {
	n := []tcpvet.Number{{Name: "close_wait_sockets", Value: float64(l.count())}}
	add := func(name string, v float64) { n = append(n, tcpvet.Number{Name: name, Value: v}) }
	if l.aged() {
		add("older_sockets", float64(l.older))
		if l.maybe > l.older {
			add("perhaps_older_sockets", float64(l.maybe))
		}
		add("patience_s", j.Patience.Seconds())
	}
	if l.CloseWait[tcpvet.NoCloseWaitKind] == 0 {
		add("never_read_sockets", float64(l.CloseWait[tcpvet.NeverRead]))
		add("read_not_closed_sockets", float64(l.CloseWait[tcpvet.ReadNotClosed]))
		add("undrained_sockets", float64(l.CloseWait[tcpvet.Undrained]))
	}
	if l.Oldest != nil {
		add("oldest_low_s", l.Oldest.Age.Low.Seconds())
		add("oldest_high_s", l.Oldest.Age.High.Seconds())
	}
	if l.growth.over > 0 {
		add("growth_sockets", float64(l.growth.count))
		add("growth_interval_s", l.growth.over.Seconds())
		add("growth_per_s", l.growth.perSecond())
	}
	if p := l.ports; p != nil {
		add("taken_by_leak_ports", float64(p.mine))
		add("usable_ports", float64(p.Usable()))
		add("left_ports", float64(p.Left))
		if p.last > 0 {
			add("ports_exhausted_in_s", p.last.Round(time.Second).Seconds())
		}
	}
	if f := l.files; f != nil {
		add("open_descriptors", float64(f.open))
		add("limit_descriptors", float64(f.limit))
		if f.last > 0 {
			add("descriptors_exhausted_in_s", f.last.Round(time.Second).Seconds())
		}
	}
	return append(n, vet.MayLack(j.Now.GroupError, "sockets")...)
}
