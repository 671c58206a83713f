package jsonv1

import (
	"math"
	"time"

	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/vet"
)

// ProbeHTTP is what only a probe of an HTTP server tells.
type ProbeHTTP struct {
	Method          string            `json:"method"`
	Protocol        string            `json:"protocol"`
	TLS             *string           `json:"tls"`
	Status          int               `json:"status"`
	Location        *string           `json:"location"`
	Server          *string           `json:"server"`
	ConnectionClose bool              `json:"connection_close"`
	KeepAlive       *string           `json:"keep_alive"` // the header
	AnnouncedIs     string            `json:"announced_is"`
	AnnouncedMax    *int              `json:"announced_max"`
	EndedStatus     *int              `json:"ended_status"`
	GoAway          *ProbeGoAway      `json:"goaway"`
	OnlyAsked       bool              `json:"only_asked"`
	AtOnce          bool              `json:"at_once"`
	FromOpening     bool              `json:"from_opening"`
	LongestS        *Float            `json:"longest_s"`
	ClientIdleS     *Float            `json:"client_idle_s"`
	ClientIdleIs    *string           `json:"client_idle_is"`
	Requests        *ProbeRequests    `json:"requests"`
	Connections     []ProbeConnection `json:"connections"`
	Failed          int               `json:"connections_failed"`
	FailedError     *string           `json:"connections_error"`
	Clients         []ProbeClient     `json:"clients"`
}

// ProbeGoAway is the GOAWAY of HTTP/2 that ended a connection.
type ProbeGoAway struct {
	LastStream uint32 `json:"last_stream"`
	Code       string `json:"code"`
}

// ProbeRequests is how many requests one connection was given.
type ProbeRequests struct {
	Answered    int     `json:"answered"`
	Most        int     `json:"most"`
	Announced   bool    `json:"announced"`
	EndedBy     *string `json:"ended_by"`
	Again       *int    `json:"again"`
	OtherStatus int     `json:"other_status"`
	Error       *string `json:"error"`
}

// ProbeConnection is a connection that was left idle.
type ProbeConnection struct {
	AskedAfterS  *Float  `json:"asked_after_s"`
	Answered     *bool   `json:"answered"`
	EndedWithinS *Float  `json:"ended_within_s"`
	EndedBy      *string `json:"ended_by"`
}

// ProbeClient is a usual client, and how its own idle limit fits.
type ProbeClient struct {
	Client string `json:"client"`
	IdleS  *Float `json:"idle_s"`
	Is     string `json:"is"`
	Source string `json:"source"`
}

// ProbeHTTPOf gives the document of what was measured of a server.
func ProbeHTTPOf(h *probe.HTTP) Probe {
	k, ok := h.Keeping()
	remote := Endpoint(h.Remote)
	p := Probe{
		Schema: ProbeSchema, Kind: "http", Taken: Time(h.Taken), TookS: seconds(h.Took), Target: h.Target, Remote: &remote, MostS: floor(h.Most),
		Interrupted: h.Stopped, Text: h.Text(), Remedies: remediesOf(h.Remedies()), Unknown: list(h.Unknown()), HTTP: probeHTTPOf(h, &k),
	}
	switch {
	case h.Answer.Close:
		p.KeepAliveLimit, p.EndedBy = &KeepAliveLimit{}, text(probe.StillOpen.Word())
		if ok {
			p.KeepAliveLimit.Closed, p.EndedBy = ceil(k.Ended), text(k.How.Word())
		}
	case ok:
		p.KeepAliveLimit = &KeepAliveLimit{Survived: *floor(k.Survived)}
		if k.Found() {
			p.KeepAliveLimit.Closed, p.EndedBy = ceil(k.Ended), text(k.How.Word())
		}
	}
	if h.Answer.Hint.HasTimeout {
		p.AnnouncedS = floor(h.Answer.Hint.Timeout)
	}
	if n, limited := h.Requests.Limit(); limited {
		p.RequestsLimit = &n
	} else if h.Answer.Close {
		one := 1
		p.RequestsLimit = &one
	}
	if most := h.ClientAtMost(); most > 0 {
		p.Recommend = &Recommend{ClientIdleS: floor(most)}
	}
	return p
}

func probeHTTPOf(h *probe.HTTP, k *probe.Keeping) *ProbeHTTP {
	a := &h.Answer
	out := &ProbeHTTP{
		Method: h.Method, Protocol: a.Protocol, TLS: text(a.TLS), Status: a.Status, Location: text(vet.Plain(a.Location)), Server: text(vet.Plain(a.Server)),
		ConnectionClose: a.Close, KeepAlive: text(vet.Plain(a.Hint.Text)), AnnouncedIs: h.Honest(k).String(),
		OnlyAsked: k.OnlyAsked, AtOnce: k.AtOnce, FromOpening: k.FromOpening, Failed: h.Failed, FailedError: text(h.Why),
		Connections: make([]ProbeConnection, 0, len(h.Kept)), Clients: make([]ProbeClient, 0, len(probe.Clients)),
	}
	if a.Hint.HasMax {
		out.AnnouncedMax = &a.Hint.Max
	}
	if k.Status != 0 {
		out.EndedStatus = &k.Status
	}
	if k.How == probe.ByGoAway {
		out.GoAway = &ProbeGoAway{k.LastID, k.Code}
	}
	if k.Longest > 0 {
		out.LongestS = floor(k.Longest)
	}
	if h.ClientIdle > 0 {
		out.ClientIdleS, out.ClientIdleIs = floor(h.ClientIdle), text(h.Fits(h.ClientIdle).String())
	}
	if r := &h.Requests; r.Most > 0 {
		out.Requests = &ProbeRequests{Answered: r.Answered, Most: r.Most, Announced: r.Told, EndedBy: text(r.How.Word()), OtherStatus: r.Others, Error: text(r.Why)}
		if r.Again > 0 {
			out.Requests.Again = &r.Again
		}
	}
	for i := range h.Kept {
		out.Connections = append(out.Connections, probeConnectionOf(&h.Kept[i]))
	}
	for i := range probe.Clients {
		c := &probe.Clients[i]
		client := ProbeClient{Client: c.Name, Is: h.Fits(c.Of(h)).String(), Source: c.Source}
		if c.Idle > 0 {
			client.IdleS = floor(c.Of(h))
		}
		out.Clients = append(out.Clients, client)
	}
	return out
}

func probeConnectionOf(k *probe.Kept) (c ProbeConnection) {
	if len(k.Exchanges) > 1 {
		answered := k.Exchanges[1].Done > 0
		c.AskedAfterS, c.Answered = floor(k.Exchanges[1].Sent-k.Exchanges[0].Done), &answered
	}
	if within, _, gone := k.Closed(); gone {
		c.EndedWithinS = ceil(within)
	}
	c.EndedBy = text(k.How.Word())
	return c
}

// floor and ceil give a time in seconds to a millisecond: what was at least, and at
// most, stays so.
func floor(d time.Duration) *Float {
	f := Float(math.Floor(d.Seconds()*1000) / 1000)
	return &f
}

func ceil(d time.Duration) *Float {
	f := Float(math.Ceil(d.Seconds()*1000) / 1000)
	return &f
}

// list gives an empty list for none.
func list(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}
