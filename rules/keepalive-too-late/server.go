package keepalivetoolate

import (
	"fmt"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// outlived is the connections of one process that it kept for longer than the server
// keeps idle ones.
type outlived struct {
	vet.PerHolder
	limit  tcpvet.PathLimit // the server's, the shortest where there are several
	missed uint64           // in ESTAB, though the server should have closed them
}

// judgeServer finds clients that keep idle connections for longer than the server.
// Their sign is the server's FIN, which they have not read: a pool that drops its
// connections earlier never sees one.
func judgeServer(c tcpvet.Case) []tcpvet.Finding {
	if !slices.ContainsFunc(c.Limits, func(l tcpvet.PathLimit) bool { return l.Kind == tcpvet.OfServer }) {
		return nil
	}
	unread := func(t *tcpvet.Tally) uint64 {
		if t.CloseWaitAge != nil {
			return t.CloseWaitAge[tcpvet.NeverRead].AtLeast(c.Patience)
		}
		return uint64(t.CloseWait[tcpvet.NeverRead])
	}
	held := vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		if g.Role != tcpvet.Client || !g.Service.IsValid() {
			return false
		}
		_, known := c.LimitTo(g.Service, tcpvet.OfServer)
		return known && unread(t) > 0
	})
	var findings []tcpvet.Finding
	for _, p := range vet.ByHolder(held, func(h *vet.Holding) uint64 { return unread(h.Tally) }) {
		o := outlived{PerHolder: p}
		for _, s := range p.Services {
			if limit, _ := c.LimitTo(s.Service, tcpvet.OfServer); o.limit.Idle == 0 || limit.Idle < o.limit.Idle {
				o.limit = limit
			}
		}
		if i := p.Idle; i != nil && len(p.Services) == 1 {
			o.missed = i.KeepaliveOn.AtLeast(o.limit.Idle) + i.KeepaliveOff.AtLeast(o.limit.Idle) + i.Unknown.AtLeast(o.limit.Idle)
		}
		findings = append(findings, o.finding(&c.Now))
	}
	return findings
}

func (o *outlived) finding(c *tcpvet.Census) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Kind: "http-idle",
		Subject: o.Subject(c),
		Title:   vet.Heading(c, o.Netns, c.Processes[o.Holder].Container, vet.OwnerText(c, o.Holder), o.About()),
		Detail:  o.detail(c),
		Numbers: []tcpvet.Number{
			{Name: "outlived_sockets", Value: float64(o.Count)},
			{Name: "server_limit_s", Value: o.limit.Idle.Seconds()},
			{Name: "server_keeps_s", Value: o.limit.Survived().Seconds()},
		},
		Remedies: []tcpvet.Remedy{
			tcpvet.Advise{Code: true, Text: "let the client drop a connection that was idle for " + vet.Duration(sooner(o.limit.Survived())) + ", before the server does, or raise the server's limit above the client's", Run: "tcpvet explain keepalive"},
			tcpvet.Advise{Code: true, Text: "repeat a request that changes nothing when its connection turns out to be closed"},
		},
	}
	if o.Count >= some {
		f.Severity = tcpvet.Warning
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if f.Severity == tcpvet.Info && o.Count+c.GroupError >= some {
		f.Certainty = tcpvet.Likely
	}
	if enter, ok := vet.Enter(c, o.Netns, o.Holder); ok && len(o.Services) == 1 {
		f.Evidence = []tcpvet.Evidence{{
			What: "connections in CLOSE-WAIT with nothing but the FIN unread (Recv-Q 1)" + vet.OfEveryProcess(c), Got: vet.Count(o.everybody(c)),
			Check: enter + vet.Selection{State: tcpvet.CloseWait, Remote: o.Service}.List() + " | grep -c '^1 '",
		}}
	}
	return f
}

// everybody counts what ss does: also those that are not old enough, and other
// processes'.
func (o *outlived) everybody(c *tcpvet.Census) (n uint64) {
	for g, t := range c.Groups {
		if g.Netns == o.Netns && g.Service == o.Service && g.Role == tcpvet.Client {
			n += uint64(t.CloseWait[tcpvet.NeverRead])
		}
	}
	return n
}

func (o *outlived) detail(c *tcpvet.Census) []string {
	have := "were kept until the server closed them, and are"
	if o.Count == 1 {
		have = "was kept until the server closed it, and is"
	}
	d := []string{fmt.Sprintf("%s %s still here, unread (CLOSE-WAIT, Recv-Q 1). The server keeps an idle connection for %s.",
		vet.AtLeastCounted(c.GroupError, o.Count, "connection"), have, vet.LimitText(&o.limit, c.Taken))}
	if most := o.Most(c); most != "" {
		d = append(d, most)
	}
	d = append(d, "So the client keeps idle connections for longer than the server, and a request that it sends at the moment of the FIN gets an RST in place of a response.")
	if o.missed > 0 {
		is := "are"
		if o.missed == 1 {
			is = "is"
		}
		d = append(d, fmt.Sprintf("Another %s %s in ESTAB, though idle for longer than that: the server's FIN was lost on the way, or its limit is another one by now.", vet.Counted(o.missed, "connection"), is))
	}
	return d
}

// sooner leaves room for a request that is under way when the server's limit ends.
func sooner(limit time.Duration) time.Duration {
	d := limit * 9 / 10
	if d >= 2*time.Second {
		d = d.Truncate(time.Second)
	}
	return d
}
