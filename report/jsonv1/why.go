package jsonv1

import (
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/vet"
)

// WhySchema is the schema of Why.
const WhySchema = "tcpvet/why/v1"

// Why is the document of tcpvet/why/v1.
type Why struct {
	Schema      string     `json:"schema"`
	Target      string     `json:"target"`
	Netns       Netns      `json:"netns"`
	Process     *Process   `json:"process"`
	Family      *string    `json:"family"` // ipv4 or ipv6
	Bind        *string    `json:"bind"`
	Errno       *int       `json:"errno"`
	Cause       *string    `json:"cause"`
	Certainty   string     `json:"certainty"`
	ConnectUS   *int64     `json:"connect_us"`
	SlowHalf    *bool      `json:"slow_half"`
	Explanation string     `json:"explanation"`
	Headroom    *Tuple     `json:"headroom"`
	WillHave    *WillHave  `json:"will_have"`
	Attempts    []Attempt  `json:"attempts"`
	Evidence    []Evidence `json:"evidence"`
	Remedies    []Remedy   `json:"remedies"`
	Gaps        []Gap      `json:"gaps"`
}

// WillHave is what a connection has that nothing more is set on.
type WillHave struct {
	Keepalive  bool `json:"keepalive"`
	Timestamps bool `json:"timestamps"`
}

// Attempt is one try to connect.
type Attempt struct {
	Address   string  `json:"address"`
	From      *string `json:"from"` // where the address came from
	Errno     *int    `json:"errno"`
	Cause     *string `json:"cause"`
	ConnectUS *int64  `json:"connect_us"`
}

// WhyOf gives the document of an answer.
func WhyOf(a *probe.Answer) Why {
	l := InCensus(a.Census)
	w := Why{
		Schema: WhySchema, Target: a.Target, Netns: l.NetnsOf(a.Netns), Process: l.ProcessOf(a.Process),
		Cause: text(a.Cause.String()), Certainty: a.Certainty.String(), Explanation: strings.Join(a.Text, " "),
		Attempts: make([]Attempt, 0, len(a.Tries)), Evidence: make([]Evidence, 0, len(a.Evidence)), Remedies: remediesOf(a.Remedies),
		Gaps: Gaps(a.Census.Gaps),
	}
	if a.Bind.IsValid() {
		w.Bind = text(a.Bind.String())
	}
	for i := range a.Tries {
		w.Attempts = append(w.Attempts, attemptOf(a, &a.Tries[i]))
	}
	for _, e := range a.Evidence {
		w.Evidence = append(w.Evidence, Evidence(e))
	}
	if len(a.Tries) == 0 {
		return w
	}
	main := &a.Tries[a.Main]
	family := "ipv4"
	if main.Remote.Addr().Unmap().Is6() {
		family = "ipv6"
	}
	w.Family = &family
	w.Errno, w.ConnectUS = w.Attempts[a.Main].Errno, w.Attempts[a.Main].ConnectUS
	if a.Cause == tcpvet.CauseDescriptorLimit && w.Errno == nil {
		limit := int(probe.EMFILE) // of a socket() in that process
		w.Errno = &limit
	}
	if slow, ok := probe.SlowHalf(a.Use); ok {
		w.SlowHalf = &slow
	}
	if a.Use != nil {
		t := l.TupleOf(a.Census, a.Use)
		w.Headroom = &t
	}
	if main.Connected() {
		w.WillHave = &WillHave{main.Keepalive, main.Timestamps}
	}
	return w
}

func attemptOf(a *probe.Answer, t *probe.Try) Attempt {
	out := Attempt{Address: Endpoint(t.Remote), Cause: text(t.Cause.String())}
	for _, o := range a.Origins {
		if o.Addr == t.Remote.Addr() {
			out.From = text(vet.Plain(o.From))
		}
	}
	if t.Errno != 0 {
		n := int(t.Errno)
		out.Errno = &n
	}
	if t.Connected() {
		us := t.Took.Microseconds()
		out.ConnectUS = &us
	}
	return out
}
