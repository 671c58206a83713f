package descriptorlimit

import (
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func (o *crowd) finding(c *tcpvet.Census) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: o.severity(), Kind: "load",
		Subject: tcpvet.Subject{Netns: o.Netns, Processes: []tcpvet.Process{o.Process}, Container: o.Container},
		Title:   vet.Heading(c, o.Netns, o.Container, vet.ProgramText(c, o.Process), fmt.Sprintf("%s of %s", vet.Count(o.Descriptors), vet.Counted(o.DescriptorLimit, "descriptor"))),
		Detail:  o.detail(c),
		Numbers: []tcpvet.Number{
			{Name: "open_descriptors", Value: float64(o.Descriptors)},
			{Name: "limit_descriptors", Value: float64(o.DescriptorLimit)},
			{Name: "socket_descriptors", Value: float64(o.Sockets)},
			{Name: "tcp_sockets", Value: float64(o.tcp)},
			{Name: "close_wait_sockets", Value: float64(o.closed())},
		},
	}
	if o.leaks() {
		f.Kind = "leak"
	}
	if o.Tableless != nil {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "tableless_sockets", Value: float64(o.tableless())})
	}
	// /proc/PID/fd is empty once the main thread has exited.
	if !o.LeaderExited {
		f.Evidence = append(f.Evidence,
			tcpvet.Evidence{What: "open descriptors", Got: vet.Count(o.Descriptors), Check: fmt.Sprintf("ls /proc/%d/fd | wc -l", o.PID)},
			tcpvet.Evidence{What: "of them sockets", Got: vet.Count(o.Sockets), Check: fmt.Sprintf("ls -l /proc/%d/fd | grep -c socket:", o.PID)},
		)
	}
	f.Evidence = append(f.Evidence, tcpvet.Evidence{
		What: "soft limit of open files", Got: vet.Count(o.DescriptorLimit), Check: fmt.Sprintf("awk '/^Max open files/ {print $4}' /proc/%d/limits", o.PID),
	})
	f.Remedies = o.remedies()
	return f
}

func (o *crowd) detail(c *tcpvet.Census) []string {
	d := []string{fmt.Sprintf("%s of its descriptors are in use, and %s of those are sockets.", vet.Percent(o.ratio()), vet.Count(o.Sockets))}
	if left := o.DescriptorLimit - min(o.Descriptors, o.DescriptorLimit); left > 0 {
		d[0] += fmt.Sprintf(" %s left: then socket(), accept() and open() fail with EMFILE (24).", are(left))
	} else {
		d[0] += " None is left: socket(), accept() and open() fail with EMFILE (24) now."
	}
	if len(o.groups) > 0 {
		var names []string
		for _, g := range o.groups[:min(len(o.groups), groups)] {
			names = append(names, fmt.Sprintf("%s (%s)", g.text(), vet.AtLeast(c.GroupError, g.count)))
		}
		if rest := len(o.groups) - groups; rest > 0 {
			names = append(names, fmt.Sprintf("%s more in %s", vet.Count(o.tcp-sum(o.groups[:groups])), vet.Counted(rest, "group")))
		}
		d = append(d, "Its TCP sockets are "+strings.Join(names, ", ")+".")
	}
	if o.shared > 0 {
		d = append(d, "It shares "+vet.AtLeastCounted(c.GroupError, o.shared, "TCP socket")+" with processes that started earlier, under which they count.")
	}
	if n := o.tableless(); n > 0 {
		d = append(d, vet.Counted(n, "descriptor")+" of TCP sockets are in no table of the kernel: ss does not show them, and tableless-sockets tells more.")
	}
	// A few come and go while one looks.
	if known := o.tcp + o.shared + o.tableless(); 10*known < 9*o.Sockets {
		d = append(d, "The other "+vet.Counted(o.Sockets-known, "socket")+" are of other families, are not connected, or were not selected.")
	}
	if o.leaks() {
		d = append(d, "Most of its sockets have been closed by the other end or ended by the kernel, and not by this process: a higher limit only delays the end.")
	}
	return d
}

func are(n uint64) string {
	if n == 1 {
		return "1 is"
	}
	return vet.Count(n) + " are"
}

func sum(all []group) uint64 {
	var n uint64
	for _, g := range all {
		n += g.count
	}
	return n
}

func (g group) text() string {
	at := "other services"
	if g.service.IsValid() {
		at = g.service.String()
	}
	if g.role == tcpvet.Client {
		return g.state.String() + " to " + at
	}
	return g.state.String() + " on " + at
}

func (o *crowd) remedies() []tcpvet.Remedy {
	if o.leaks() {
		text := "close each connection that the peer has closed, in every path"
		topic := vet.FixTopic(o.ProcessInfo)
		if o.closed() < o.tableless() {
			text = "close each descriptor after an error: the kernel has ended these connections, and the program keeps them"
		}
		restart := "restart " + vet.Plain(o.Comm) + fmt.Sprintf("[%d]", o.PID)
		if o.Unit != "" {
			restart += " (" + vet.Plain(o.Unit) + ")"
		}
		return []tcpvet.Remedy{
			tcpvet.Advise{Code: true, Text: text, Run: topic},
			tcpvet.Advise{Text: restart + ": that gives back its descriptors, until it leaks again", May: tcpvet.DropsConnections},
		}
	}
	bound := tcpvet.Advise{Code: true, Text: "bound what it opens: a pool of a fixed size in a client, an idle limit in a server", Run: vet.FixTopic(o.ProcessInfo)}
	if o.mayLeak() {
		return []tcpvet.Remedy{bound}
	}
	where := "where it is started"
	if o.Unit != "" {
		where = "with LimitNOFILE= in " + vet.Plain(o.Unit)
	}
	return []tcpvet.Remedy{
		bound,
		tcpvet.Advise{
			Text: "if it is meant to hold so many, raise its limit " + where + "; this shows what it may have without root",
			Run:  fmt.Sprintf("prlimit --pid %d --nofile", o.PID), May: tcpvet.ChangesProcess,
		},
	}
}

// more is the finding of the processes that are not named. They are of one
// namespace, the worst first.
func more(c *tcpvet.Census, rest []crowd) tcpvet.Finding {
	var open, limit uint64
	leaks := 0
	for i := range rest {
		open += rest[i].Descriptors
		limit += rest[i].DescriptorLimit
		if rest[i].leaks() {
			leaks++
		}
	}
	f := tcpvet.Finding{
		Rule: name, Severity: rest[0].severity(), Kind: "more-processes",
		Subject: tcpvet.Subject{Netns: rest[0].Netns},
		Title:   vet.Heading(c, rest[0].Netns, nil, "", vet.Count(len(rest))+" more processes are near their limit of descriptors"),
		Detail: []string{fmt.Sprintf("Besides the fullest, which are named: together they have %s of %s, and the fullest of them %s of its own.",
			vet.Count(open), vet.Counted(limit, "descriptor"), vet.Percent(rest[0].ratio()))},
		Numbers: []tcpvet.Number{
			{Name: "open_descriptors", Value: float64(open)},
			{Name: "limit_descriptors", Value: float64(limit)},
			{Name: "more_processes", Value: float64(len(rest))},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{Text: "see what each of them holds", Run: "tcpvet count --by process,state,service"}},
	}
	if leaks > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("In %d of them most sockets have been closed by the other end or ended by the kernel, and not by the process.", leaks))
	}
	return f
}
