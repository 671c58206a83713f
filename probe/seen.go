package probe

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Sight is what was seen of an attempt that another program made. The scene of such
// an attempt is read after it, or some seconds before, so that what it shows may
// have changed between: then the attempt itself is right.
//
// What it proves by itself, whatever the scene shows:
//
//	connect() 99, searched      no port could be had (ports-exhausted, reserved-ports or bound-ports)
//	connect() 99, searched, with a source port of its own    tuple-exists
//	connect() 111               refused
//	connect() 110               timed-out (of whose making, is likely at most)
//	connect() 101, not searched no-route (or loopback-down, for an address of lo)
//	connect() 22 from a loopback address to another host     source-scope
//	bind() 98 of one port       bound-ports
//	socket(), accept() 23, 24   descriptor-limit
//
// Which one of several it is needs the scene, and so do 99 before a port was
// searched for (ipv6-disabled, loopback-down, no-source-address), bind() 99 and
// bind() 98 of any port. Without one these are likely.
type Sight struct {
	At time.Time // when it failed

	// Searched tells that it came as far as SYN-SENT: the routing table had a way
	// and there was a source address. A port is looked for only then
	// (tcp_v4_connect in net/ipv4/tcp_ipv4.c).
	Searched bool
}

// Seen gives the attempt that an event of the kind EventFail is about.
func Seen(e *tcpvet.Event) Attempt {
	a := Attempt{
		Remote: unmap(e.Remote), Step: stepOf(e.Call), Errno: Errno(e.Errno), GaveUp: e.Errno == 0, Took: e.Took, SYNs: int(e.SYNs),
		Seen: &Sight{At: e.At, Searched: e.From == tcpvet.SynSent},
	}
	local := unmap(e.Local)
	chosen := local.IsValid() && (local.Port() != 0 || !local.Addr().IsUnspecified())
	switch {
	case !chosen && e.Call == tcpvet.CallConnect:
	case a.Step == StepConnect && a.Seen.Searched:
		// The source of the route, or the one that the program bound: nothing
		// tells which, but that a search for a port leaves none where it failed.
		a.Local = local
		if local.Port() != 0 && a.Errno == EADDRNOTAVAIL {
			a.Bind = local
		}
	default:
		a.Bind = local
	}
	return a
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func stepOf(c tcpvet.Call) Step {
	switch c {
	case tcpvet.CallBind:
		return StepBind
	case tcpvet.CallSocket:
		return StepSocket
	case tcpvet.CallAccept:
		return StepAccept
	}
	return StepConnect
}

// Explanation is why an attempt that was seen failed.
type Explanation struct {
	Verdict
	Use    *vet.TupleUse  // where the ports are, at an attempt that found none; nil where not known
	Census *tcpvet.Census // what was read, nil for nothing

	// Looked tells that the verdict rests on what was read around the attempt, after
	// it or a short time before. Repeated, that it is the one of an attempt alike a short time before: cause,
	// certainty and text only.
	Looked, Repeated bool

	Gaps []tcpvet.Gap // what could not be read for it
}

// searched tells of an attempt that was seen that it looked for a port, before that
// it failed before; neither is known of one's own.
func (j *judgement) searched() bool { return j.Seen != nil && j.Seen.Searched }
func (j *judgement) before() bool   { return j.Seen != nil && !j.Seen.Searched }

// blind tells that nothing was read around an attempt that was seen.
func (j *judgement) blind() bool {
	_, read := j.Census.Netns[j.Netns]
	return j.Seen != nil && !read
}

// unread goes on after a verdict that rests on the attempt alone.
func (j *judgement) unread(v *Verdict, text string) {
	v.Certainty = tcpvet.Likely
	v.Text = append(v.Text, "Its namespace was not looked into: "+text+".")
}

// later says when the scene was read.
func (j *judgement) later() string {
	d := j.Census.Taken.Sub(j.Seen.At)
	if d < 0 {
		return "A look " + vet.Duration(-d) + " before"
	}
	return "A look " + vet.Duration(d) + " later"
}

// target is the address that the attempt was about.
func (j *judgement) target() netip.Addr {
	if j.Remote.IsValid() {
		return j.Remote.Addr()
	}
	return j.Bind.Addr()
}

// freeAgain is about an attempt that found no port, and a look that found some. What
// most of the ports are taken by is why.
func (j *judgement) freeAgain(u *vet.TupleUse) Verdict {
	connections := u.Taken + int(u.Budget.ReusableTimeWait)
	var v Verdict
	if u.Blocked > connections {
		v = j.blocked(u)
	} else {
		v = j.exhausted(u)
	}
	if 2*max(u.Blocked, connections) < u.Usable() {
		v.Certainty = tcpvet.Likely
	}
	text := fmt.Sprintf("%s found %s of %s free: ports come and go", j.later(), vet.Counted(u.Left, "port"), vet.Count(u.Usable()))
	if u.Budget.ReusableTimeWait > 0 {
		text += fmt.Sprintf(" (%s in TIME-WAIT may be used again by now)", vet.Count(uint64(u.Budget.ReusableTimeWait)))
	}
	v.Text = append(v.Text, text+", or the socket has a range of its own (IP_LOCAL_PORT_RANGE).")
	return v
}

// noPort is about an attempt that found no port, where the ports could not be counted.
func (j *judgement) noPort() Verdict {
	from := ""
	if j.Local.IsValid() {
		from = "from " + j.Local.Addr().String() + " "
	}
	v := j.verdict(tcpvet.CausePortsExhausted, "no local port is left %sto %s.", from, j.Remote)
	j.unread(&v, "reserved ports, or sockets that bind() put on them, can be why too")
	v.Remedies = []tcpvet.Remedy{advise("count the ports of each destination", "tcpvet diagnose --rule port-exhaustion")}
	return v
}

// noSourceThen is about IPv6 where nothing that was read keeps a source away.
func (j *judgement) noSourceThen() Verdict {
	v := j.verdict(tcpvet.CauseNoSourceAddress, "there was no address here that may be the source of what goes to %s.", j.Remote.Addr())
	v.Remedies = []tcpvet.Remedy{advise("what can be why", "tcpvet explain EADDRNOTAVAIL")}
	if !j.blind() {
		v.Certainty = tcpvet.Likely
		v.Text = append(v.Text, j.later()+" found a source: an address may have been tentative, or was set only then.")
		return v
	}
	if j.Remote.Addr().IsLoopback() {
		v.Cause = tcpvet.CauseIPv6Disabled
		v.Text[0] = fmt.Sprintf("%s gave %s: %s could not be reached from itself, as where IPv6 is off.", j.Step, j.Errno, j.Remote.Addr())
	}
	j.unread(&v, "IPv6 that is off, lo that is down, no route and no address all end so")
	return v
}

// noRouteThen is about a way that the routing table did not have.
func (j *judgement) noRouteThen() Verdict {
	remote := j.Remote.Addr()
	v := j.verdict(tcpvet.CauseNoRoute, "the routing table of this namespace gave no way to %s.", remote)
	v.Remedies = []tcpvet.Remedy{advise("see the routes, and what changes them", j.run("ip "+family(remote)+" route show"))}
	switch {
	case j.Errno == EACCES:
		v.Cause, v.Certainty = tcpvet.CauseUnknown, tcpvet.Likely
		v.Text = []string{fmt.Sprintf("%s gave %s: a route of the type prohibit was there, or a security module or a BPF program forbids it.", j.Step, j.Errno)}
	case j.Errno == EINVAL:
		v.Cause, v.Certainty = tcpvet.CauseUnknown, tcpvet.Likely
		v.Text = []string{fmt.Sprintf("%s gave %s: the address is not one to connect to from that source, or a route of the type blackhole was there.", j.Step, j.Errno)}
	case j.blind() && remote.IsLoopback():
		v.Cause = tcpvet.CauseLoopbackDown
		v.Text[0] = fmt.Sprintf("%s gave %s: there was no way to %s, as where lo is down.", j.Step, j.Errno, remote)
		v.Certainty = tcpvet.Likely
	case j.blind():
	case remote.IsLoopback() && j.LinksKnown && j.LoopbackUp:
		v.Cause, v.Certainty = tcpvet.CauseLoopbackDown, tcpvet.Likely
		v.Text = append(v.Text, j.later()+" found lo up: it was down until then.")
	default:
		v.Text = append(v.Text, j.later()+" found one: it was set only then, or comes and goes.")
	}
	return v
}

// closedPending is about a socket that its program closed before an answer came.
func (j *judgement) closedPending(v Verdict) Verdict {
	const remedy = "give connect() the time that the path needs: an answer to a SYN that is lost once comes after 1 s at the earliest"
	v.Text = []string{"The program closed the socket before an answer came."}
	if j.Took >= 0 {
		v.Text = []string{fmt.Sprintf("The program closed the socket after %s, before an answer came.", vet.Duration(j.Took))}
	}
	switch {
	case j.SYNs > 1 || j.Took >= firstWait:
		if j.SYNs > 0 {
			v.Text = append(v.Text, fmt.Sprintf("It had sent %s; the kernel itself would have gone on for %s.", vet.Counted(j.SYNs, "SYN"), j.synText()))
		}
		return j.unanswered(v)
	case j.Took >= 0:
		v.Cause = tcpvet.CauseUnknown
		v.Text = append(v.Text, "That is too short to tell a slow answer from none: its own time limit was up, it stopped, or it took another address whose answer was there first.")
	default:
		v.Cause, v.Certainty = tcpvet.CauseUnknown, tcpvet.Likely
		v.Text = append(v.Text, "How long it waited is not known.")
	}
	v.Remedies = []tcpvet.Remedy{code(remedy, "tcpvet explain ETIMEDOUT")}
	return v
}
