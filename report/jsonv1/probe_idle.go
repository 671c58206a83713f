package jsonv1

import (
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

// Trial is one connection that was left idle.
type Trial struct {
	Local    string `json:"local"`
	Fate     string `json:"fate"`
	SilenceS Span   `json:"silence_s"` // no segment had crossed for so long
	QuietS   Span   `json:"quiet_s"`   // no data had
	Broken   int    `json:"broken"`    // segments of the peer in between
	Probes   int    `json:"probes"`
	Errno    *int   `json:"errno"`
	AtS      Float  `json:"at_s"` // since taken
}

// Span encloses a time.
type Span struct {
	Low  Float `json:"low"`
	High Float `json:"high"`
}

// Probes are the keepalive probes that a peer was sent.
type Probes struct {
	Sent      int    `json:"sent"`
	Answered  int    `json:"answered"`
	SlowestMS *Float `json:"slowest_ms"`
}

// ProbeIdleOf gives the document of what was measured of a way.
func ProbeIdleOf(i *probe.Idle) Probe {
	r := i.Read()
	p := Probe{
		Schema: ProbeSchema, Kind: "idle", Taken: Time(i.Taken), TookS: seconds(i.Took), Target: i.Target, Remote: remoteOf(i.Remote),
		Interrupted: i.Interrupted, WroteBytes: &i.Wrote, Trials: make([]Trial, 0, len(i.Trials)),
	}
	p.MostS = floor(i.Most)
	p.read(&r)
	if server, ok := i.Server(); ok {
		how := "server"
		p.KeepAliveLimit = &KeepAliveLimit{Survived: *floor(server.Survived), Closed: ceil(server.Ended)}
		p.EndedBy = text(probe.ByFIN.Word())
		p.IdleLimit, p.LostHow = &IdleLimit{Survived: *floor(server.Survived), Lost: ceil(server.Ended)}, &how
	}
	if path, how, ok := i.Path(); ok && (path.Ended > 0 || p.IdleLimit == nil) {
		p.IdleLimit, p.LostHow = &IdleLimit{Survived: *floor(path.Survived)}, nil
		if path.Ended > 0 {
			word := "rst"
			if how == probe.Silent {
				word = "silent"
			}
			p.IdleLimit.Lost, p.LostHow = ceil(path.Ended), &word
		}
	}
	for _, t := range i.Trials {
		p.Trials = append(p.Trials, trialOf(&t))
	}
	return p
}

// ProbeAnswersOf gives the document of what a peer answered to keepalive probes.
func ProbeAnswersOf(a *probe.Answers) Probe {
	r := a.Read()
	p := Probe{
		Schema: ProbeSchema, Kind: "keepalive", Taken: Time(a.Taken), TookS: seconds(a.Took), Target: a.Target, Remote: remoteOf(a.Remote),
		Interrupted: a.Interrupted, Answers: text(a.Fate.String()), Probes: &Probes{Sent: a.Probes, Answered: a.Answered},
	}
	if a.Answered > 0 {
		slowest := Float(float64(a.Slowest.Microseconds()) / 1000)
		p.Probes.SlowestMS = &slowest
	}
	p.read(&r)
	return p
}

// read puts in what follows.
func (p *Probe) read(r *probe.Reading) {
	p.Text, p.Unknown, p.Remedies = append([]string{}, r.Text...), append([]string{}, r.Unknown...), remediesOf(r.Remedies)
	if t := r.Keepalive; t != nil {
		p.Recommend = &Recommend{Keepalive: &RecommendKeepalive{IdleS: seconds(t.Idle), IntervalS: seconds(t.Interval), Count: t.Count}}
	}
}

func remoteOf(at netip.AddrPort) *string {
	if !at.IsValid() {
		return nil
	}
	return text(tcpvet.EndpointText(at))
}

func trialOf(t *probe.Trial) Trial {
	span := func(b probe.Between) Span { return Span{seconds(b.Low), seconds(b.High)} }
	out := Trial{
		Local: Endpoint(t.Local), Fate: t.Fate.String(), SilenceS: span(t.Silence), QuietS: span(t.Quiet),
		Broken: t.Broken, Probes: t.Probes, AtS: seconds(t.At.Round(time.Millisecond)),
	}
	if t.Errno != 0 {
		errno := int(t.Errno)
		out.Errno = &errno
	}
	return out
}
