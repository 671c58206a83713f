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
	case a.Seen == nil && j.atLimit():
		return j.descriptors()
	case a.Connected():
		return j.connected()
	case a.Errno == EMFILE || a.Errno == ENFILE:
		return j.noDescriptor()
	case a.Step == StepSocket && a.Errno == EAFNOSUPPORT:
		return j.noFamily()
	case a.Step == StepSocket, a.Step == StepAccept:
		return j.unknown()
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
	return []tcpvet.Remedy{tcpvet.SetSysctl{Netns: j.Netns, Where: vet.NetnsFlag(j.enter), Name: name, Value: value, Why: why}}
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

func (j *judgement) unknown() Verdict {
	v := j.verdict(tcpvet.CauseUnknown, "%s.", j.Errno.Message())
	text := "What was read does not tell why."
	switch {
	case j.Errno == EAFNOSUPPORT:
		text = "The address is of another family than the socket, or names none."
	case j.Errno == ECONNABORTED && j.Seen != nil:
		text = "The socket was destroyed from outside, as ss -K does it, or as the kernel does when its source address goes."
	case j.Errno == EPERM:
		text = "A BPF program of its cgroup, a seccomp filter or a security module forbids it."
	}
	v.Text = append(v.Text, text)
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
