package probe

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Judge says why the attempt ended as it did. It rests on the answer of the kernel
// and on the scene alone, and changes nothing in it.
func Judge(s *Scene, a *Attempt) Verdict {
	j := &judgement{Scene: s, Attempt: a}
	j.enter, j.entered = vet.Enter(s.Census, s.Netns, s.Process)
	switch {
	case j.atLimit():
		return j.descriptors()
	case a.Connected():
		return j.connected()
	case a.Errno == EMFILE || a.Errno == ENFILE:
		return j.ownDescriptors()
	case a.Step == StepSocket && a.Errno == EAFNOSUPPORT:
		return j.noIPv6()
	case a.Step == StepBind:
		return j.bind()
	case a.Errno == EADDRNOTAVAIL:
		return j.notAvailable()
	case a.Errno == ENETUNREACH, a.Errno == EACCES, a.Errno == EHOSTUNREACH, a.Errno == EINVAL:
		return j.noWay()
	case a.Errno == ECONNREFUSED:
		return j.refused()
	case a.Errno == ECONNRESET:
		return j.reset()
	case a.Errno == ETIMEDOUT, a.GaveUp:
		return j.silence()
	}
	return j.unknown()
}

// judgement is one attempt being judged.
type judgement struct {
	*Scene
	*Attempt
	enter   string // the words that enter the namespace
	entered bool   // whether they are known
}

func (j *judgement) netns() tcpvet.Netns { return j.Census.Netns[j.Netns] }

// verdict begins with the sentence that says what the kernel answered and why.
func (j *judgement) verdict(cause tcpvet.Cause, format string, args ...any) Verdict {
	return Verdict{Cause: cause, Text: []string{fmt.Sprintf("%s gave %s: %s", j.Step, j.Errno, fmt.Sprintf(format, args...))}}
}

// see adds evidence, where the way into the namespace is known.
func (j *judgement) see(v *Verdict, what, got, check string) {
	if j.entered {
		v.Evidence = append(v.Evidence, tcpvet.Evidence{What: what, Got: got, Check: j.enter + check})
	}
}

func advise(text, run string) tcpvet.Remedy { return tcpvet.Advise{Text: text, Run: run} }
func code(text, run string) tcpvet.Remedy   { return tcpvet.Advise{Code: true, Text: text, Run: run} }

// run puts a command into the namespace, "" where the way in is not known.
func (j *judgement) run(command string) string {
	if !j.entered {
		return ""
	}
	return j.enter + command
}

// set gives a setting, none where the way into the namespace is not known.
func (j *judgement) set(name, value, why string) []tcpvet.Remedy {
	if !j.entered {
		return nil
	}
	return []tcpvet.Remedy{tcpvet.SetSysctl{Netns: j.Netns, Prefix: j.enter, Name: name, Value: value, Why: why}}
}

// has gives the address of the namespace that is addr, nil for none.
func (j *judgement) has(addr netip.Addr) *tcpvet.Address {
	addresses := j.netns().Addresses
	i := slices.IndexFunc(addresses, func(a tcpvet.Address) bool { return a.Prefix.Addr() == addr.Unmap().WithZone("") })
	if i < 0 {
		return nil
	}
	return &addresses[i]
}

// here tells whether the remote address belongs to this namespace.
func (j *judgement) here() bool {
	addr := j.Remote.Addr()
	return j.Route.Local || addr.IsLoopback() || addr.IsUnspecified() || j.has(addr) != nil
}

// place is the namespace of the host that the remote address is in.
type place struct {
	census  *tcpvet.Census
	netns   tcpvet.NetnsID
	enter   string
	entered bool
	sure    bool // it is where the attempt was made; two others can have one address
}

// place gives where the remote address is on this host; ok is false where nothing
// here has it, or several namespaces do: which of them is meant nothing tells.
func (j *judgement) place() (p place, ok bool) {
	if j.here() {
		return place{j.Census, j.Netns, j.enter, j.entered, true}, true
	}
	if j.Others == nil {
		return place{}, false
	}
	remote := j.Remote.Addr().Unmap().WithZone("")
	for id, n := range j.Others.Netns {
		has := slices.ContainsFunc(n.Addresses, func(a tcpvet.Address) bool { return a.Prefix.Addr() == remote && a.Up })
		if id == j.Netns || !has {
			continue
		}
		if ok {
			return place{}, false
		}
		p, ok = place{census: j.Others, netns: id}, true
	}
	if ok {
		p.enter, p.entered = vet.Enter(p.census, p.netns, tcpvet.Process{})
	}
	return p, ok
}

// text names the place.
func (p place) text(addr netip.Addr) string {
	if p.sure {
		return "this host itself"
	}
	return fmt.Sprintf("%s, which is in the namespace %s of this host,", addr, vet.NetnsText(p.census, p.netns))
}

// listener gives a listener of the place that serves the remote endpoint. others are
// the addresses on which only something else listens on that port.
func (p place) listener(endpoint netip.AddrPort) (q *tcpvet.Queue, at netip.AddrPort, others []netip.Addr) {
	remote := endpoint.Addr().Unmap().WithZone("")
	for l, queue := range p.census.Listeners {
		if l.Netns != p.netns || l.Local.Port() != endpoint.Port() {
			continue
		}
		addr := l.Local.Addr().Unmap().WithZone("")
		any := addr.IsUnspecified() && (addr.Is6() || remote.Is4()) // [::] may serve IPv4 too
		switch {
		case addr == remote || any && q == nil:
			q, at = queue, l.Local
		case !any:
			others = append(others, addr)
		}
	}
	slices.SortFunc(others, netip.Addr.Compare)
	return q, at, others
}

func (j *judgement) info() tcpvet.ProcessInfo { return j.Census.Processes[j.Process] }

// atLimit tells that the process in whose place this was tried has no descriptor
// left, whatever became of the attempt.
func (j *judgement) atLimit() bool {
	i := j.info()
	return j.Process.Known() && i.DescriptorLimit > 0 && i.Descriptors >= i.DescriptorLimit
}

func (j *judgement) descriptors() Verdict {
	i := j.info()
	v := Verdict{Cause: tcpvet.CauseDescriptorLimit, Text: []string{
		fmt.Sprintf("A socket() of %s would fail with %s: it has %s, and its limit is %s.",
			vet.ProgramText(j.Census, j.Process), EMFILE, vet.Counted(i.Descriptors, "descriptor"), vet.Count(i.DescriptorLimit)),
		fmt.Sprintf("%s of them are sockets.", vet.Count(i.Sockets)),
	}}
	if j.Connected() {
		v.Text = append(v.Text, "The path is not at fault: tcpvet, which has descriptors, did connect from there.")
	}
	v.Evidence = []tcpvet.Evidence{
		{What: "descriptors in use", Got: vet.Count(i.Descriptors), Check: fmt.Sprintf("ls /proc/%d/fd | wc -l", j.Process.PID)},
		{What: "the limit", Got: vet.Count(i.DescriptorLimit), Check: fmt.Sprintf("awk '/open files/ {print $4}' /proc/%d/limits", j.Process.PID)},
	}
	v.Remedies = []tcpvet.Remedy{
		advise("see what the sockets among them are: CLOSE-WAIT is a leak in the program, which a higher limit only delays",
			fmt.Sprintf("tcpvet count --pid %d --by state", j.Process.PID)),
		code("close what the peer has closed", vet.FixTopic(i)),
	}
	return v
}

// ownDescriptors is about the limit of the one who tried.
func (j *judgement) ownDescriptors() Verdict {
	whose := "tcpvet itself"
	if j.Errno == ENFILE {
		whose = "the whole machine"
	}
	v := j.verdict(tcpvet.CauseDescriptorLimit, "%s has no descriptor left, so nothing was sent.", whose)
	v.Remedies = []tcpvet.Remedy{advise("a program with the same limit fails likewise: see who holds descriptors", "tcpvet explain EMFILE")}
	return v
}

func (j *judgement) unknown() Verdict {
	v := j.verdict(tcpvet.CauseUnknown, "%s.", j.Errno.Message())
	v.Text = append(v.Text, "What was read does not tell why.")
	v.Remedies = []tcpvet.Remedy{advise("what each error can mean", "tcpvet explain errnos")}
	return v
}

func (j *judgement) reset() Verdict {
	v := j.verdict(tcpvet.CauseReset, "an RST came where the handshake was to go on.")
	v.Certainty = tcpvet.Likely
	v.Text = append(v.Text, "The host, or something on the way, ended it; an RST does not say which, nor why.")
	v.Remedies = []tcpvet.Remedy{advise("what an RST can mean", "tcpvet explain ECONNRESET")}
	return v
}
