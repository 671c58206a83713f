package jsonv1

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Budget is the document of tcpvet/budget/v1.
type Budget struct {
	Schema  string  `json:"schema"`
	Taken   *string `json:"taken"`
	Source  string  `json:"source"`
	Tuples  []Tuple `json:"tuples"`
	More    int     `json:"more_tuples"`    // that --top left out
	MayLack uint64  `json:"may_lack_ports"` // by how many each count may be too small
	Plan    *Plan   `json:"plan"`
	Gaps    []Gap   `json:"gaps"`
}

// Tuple is where the local ports of one tuple are.
type Tuple struct {
	Netns           Netns      `json:"netns"`
	Local           *string    `json:"local"`  // null, as is Remote, where it is about every tuple of the namespace
	Remote          *string    `json:"remote"` // an endpoint
	Range           PortRange  `json:"range"`
	Reserved        int        `json:"reserved"`
	BlockedByBind   int        `json:"blocked_by_bind"`
	Taken           TakenPorts `json:"taken"`
	TakenOnReserved uint32     `json:"taken_on_reserved"`
	Reusable        *uint32    `json:"reusable_time_wait"`
	Left            int        `json:"left"`
	LeftRatio       Float      `json:"headroom_ratio"`
	Rate            *Rate      `json:"rate_per_s"`
	Sustainable     Float      `json:"sustainable_per_s"`
	SustainableBy   string     `json:"sustainable_by"` // time-wait or reuse
	Rests           Float      `json:"port_rests_s"`
	ExhaustedIn     *Float     `json:"exhausted_in_s"`
	Holders         []Share    `json:"holders"`
}

// PortRange is the local port range.
type PortRange struct {
	Low  uint16 `json:"low"`
	High uint16 `json:"high"`
	Size int    `json:"size"`
}

// TakenPorts counts by state. Each state that a connection can be in is named.
type TakenPorts struct {
	Count    [tcpvet.NumStates]uint32
	TimeWait bool // the look could tell those
}

// Rate is how fast one state takes ports.
type Rate struct {
	Last10s Float   `json:"last_10s"`
	Last60s Float   `json:"last_60s"`
	By      *string `json:"by"` // close-wait or time-wait; null for none
}

// Share is how many connections of a tuple one process has.
type Share struct {
	Process *Process `json:"process"`
	Held    string   `json:"held"`            // as of Socket.Held
	Alike   int      `json:"alike,omitempty"` // so many more of that name, ended as it is
	Count   uint64   `json:"count"`
}

// Plan says what would carry a rate of new connections.
type Plan struct {
	Rate  Float    `json:"rate_per_s"`
	Hold  *Float   `json:"hold_s"`
	Netns Netns    `json:"netns"`
	Local *string  `json:"local"`
	To    *string  `json:"remote"`
	Held  int      `json:"stay_taken"`
	Free  int      `json:"free_ports"`
	Ways  []Way    `json:"ways"`
	Notes []string `json:"notes"`
}

// Way is one way to carry it.
type Way struct {
	Name       string   `json:"way"`
	Carries    *bool    `json:"carries"`
	Arithmetic []string `json:"arithmetic"`
	Numbers    Numbers  `json:"numbers"`
	Remedies   []Remedy `json:"remedies"`
}

// connected are the states in which a connection takes a port.
var connected = []tcpvet.State{
	tcpvet.Established, tcpvet.SynSent, tcpvet.SynRecv, tcpvet.FinWait1, tcpvet.FinWait2, tcpvet.TimeWait,
	tcpvet.CloseWait, tcpvet.LastAck, tcpvet.Closing,
}

// MarshalJSON prints an object, its members in the order of the states.
func (t TakenPorts) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, s := range connected {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, s.String()...)
		b = fact(b, `":`, t.TimeWait || s != tcpvet.TimeWait, uint64(t.Count[s]))
	}
	return append(b, '}'), nil
}

// BudgetOf gives the document of tuples, of which more were left out. plan may be
// nil.
func BudgetOf(c *tcpvet.Census, uses []vet.TupleUse, more int, plan *vet.Plan) Budget {
	l := InCensus(c)
	d := Budget{
		Schema: BudgetSchema, Taken: Time(c.Taken), Source: c.Source, Tuples: make([]Tuple, 0, len(uses)),
		More: more, MayLack: c.TupleError, Gaps: Gaps(c.Gaps),
	}
	for i := range uses {
		d.Tuples = append(d.Tuples, l.TupleOf(c, &uses[i]))
	}
	if plan != nil {
		p := l.planOf(plan)
		d.Plan = &p
	}
	return d
}

// TupleOf gives the shape of one tuple's use.
func (l Lookup) TupleOf(c *tcpvet.Census, u *vet.TupleUse) Tuple {
	t := Tuple{
		Netns: l.NetnsOf(u.Netns),
		Range: PortRange{u.Ports.Low, u.Ports.High, u.Range}, Reserved: u.Reserved, BlockedByBind: u.Blocked,
		Taken:           TakenPorts{u.Budget.Taken, c.Facts.Has(tcpvet.FactTimeWait)},
		TakenOnReserved: u.Budget.Reserved, Left: u.Left, LeftRatio: Float(u.LeftRatio()),
		Sustainable: Float(u.Sustainable()), SustainableBy: "time-wait", Rests: seconds(u.Rest),
		Holders: make([]Share, 0, len(u.Holders)),
	}
	t.Local, t.Remote = ends(u)
	if vet.ReuseKnown(c, u.Netns) {
		t.Reusable = &u.Budget.ReusableTimeWait
	}
	if u.Reused {
		t.SustainableBy = "reuse"
	}
	if g, ok := u.Growth(); ok {
		t.Rate = &Rate{Last10s: Float(float64(g.Last10s) / 10), Last60s: Float(float64(g.Last60s) / 60)}
		if g.State != 0 {
			by := g.State.SS()
			t.Rate.By = &by
		}
	}
	if in, ok := u.ExhaustedIn(); ok {
		s := seconds(in.Round(time.Millisecond))
		t.ExhaustedIn = &s
	}
	for _, h := range u.Holders {
		t.Holders = append(t.Holders, Share{Process: l.ProcessOf(h.Process), Held: heldBy(c, &h), Alike: h.Alike, Count: h.Count})
	}
	return t
}

// ends gives the local address and the remote endpoint, nil where there is none.
func ends(u *vet.TupleUse) (local, remote *string) {
	if u.Local.IsValid() {
		local = text(u.Local.String())
	}
	if u.Remote.IsValid() {
		remote = text(Endpoint(u.Remote))
	}
	return local, remote
}

// heldBy gives the word of Socket.Held for a holder of the Census.
func heldBy(c *tcpvet.Census, s *vet.Share) string {
	p := s.Process
	switch {
	case s.Former:
		return heldBefore
	case p.Known():
		return heldByProcess
	case !c.Facts.Has(tcpvet.FactHolders) || vet.MaybeNobody(c, p):
		return heldUnknown
	case p == tcpvet.Nobody:
		return heldByNobody
	}
	return heldUnseen
}

func (l Lookup) planOf(p *vet.Plan) Plan {
	out := Plan{
		Rate: Float(p.Rate), Netns: l.NetnsOf(p.Use.Netns), Held: p.Held, Free: p.Free,
		Ways: make([]Way, 0, len(p.Ways)), Notes: vet.PlanNotes,
	}
	out.Local, out.To = ends(&p.Use)
	if p.Hold > 0 {
		s := seconds(p.Hold)
		out.Hold = &s
	}
	for _, w := range p.Ways {
		out.Ways = append(out.Ways, Way{
			Name: w.Name, Carries: w.Carries, Arithmetic: w.Arithmetic, Numbers: w.Numbers, Remedies: remediesOf(w.Remedies),
		})
	}
	return out
}

func seconds(d time.Duration) Float { return Float(d.Seconds()) }
