package capture

import (
	"cmp"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// maxServices is how many servers are kept apart: as many as groups of a
// census. With the RTTs of each they take about 65 MB.
const maxServices = 1 << 16

// Services sums conversations up by their server. Its zero value is ready.
type Services struct {
	of    map[netip.AddrPort]*service
	other *service // those that came when there were maxServices
	limit int      // for tests; 0 means maxServices
}

type service struct {
	row     ServiceRow
	rtts    rtts
	traffic tcpvet.ServiceTraffic
}

// ServiceRow is what the conversations with one server came to. Each
// conversation is in exactly one of Open to Unanswered.
type ServiceRow struct {
	Server        netip.AddrPort // the zero value for the others, which were too many to keep apart
	Conversations uint64

	Open         uint64 // neither closed, nor refused or unanswered
	FourWay      uint64
	ThreeWay     uint64
	Simultaneous uint64
	HalfClosed   uint64
	Reset        uint64
	Refused      uint64
	Unanswered   uint64

	Stuck       uint64 // of those half-closed, with an end that stays in CLOSE-WAIT
	Retransmits uint64 // segments, of both ends
	Bytes       uint64 // of payload, of both ends

	// RTT is the median of the conversations of which it is known, within
	// 10 %; nil where none is.
	RTT *time.Duration
}

// Add counts one conversation.
func (s *Services) Add(c *tcpvet.Conversation) {
	row := s.service(c.Server)
	r := &row.row
	r.Conversations++
	switch {
	case c.Open.Kind == tcpvet.Refused:
		r.Refused++
	case c.Open.Kind == tcpvet.Unanswered && c.Close.Kind == tcpvet.NoClose:
		r.Unanswered++
	default:
		*r.closed(c.Close.Kind)++
	}
	r.Retransmits += c.FromClient.Retransmits + c.FromServer.Retransmits
	r.Bytes += c.FromClient.Bytes + c.FromServer.Bytes
	if slices.ContainsFunc(c.Notes, func(n tcpvet.Note) bool { return n.Kind == tcpvet.CloseWaitStuck }) {
		r.Stuck++
	}
	if c.Open.RTT != nil {
		row.rtts.add(*c.Open.RTT)
	}
	row.traffic.Add(c)
}

// Traffic gives what rules judge: the same conversations, by service.
func (s *Services) Traffic() map[netip.AddrPort]*tcpvet.ServiceTraffic {
	all := make(map[netip.AddrPort]*tcpvet.ServiceTraffic, len(s.of)+1)
	for at, one := range s.of {
		all[at] = &one.traffic
	}
	if s.other != nil {
		all[netip.AddrPort{}] = &s.other.traffic
	}
	return all
}

// closed gives the counter of a kind of close.
func (r *ServiceRow) closed(kind tcpvet.CloseKind) *uint64 {
	switch kind {
	case tcpvet.FourWay:
		return &r.FourWay
	case tcpvet.ThreeWay:
		return &r.ThreeWay
	case tcpvet.SimultaneousClose:
		return &r.Simultaneous
	case tcpvet.HalfClosed:
		return &r.HalfClosed
	case tcpvet.Reset:
		return &r.Reset
	}
	return &r.Open
}

func (s *Services) service(server netip.AddrPort) *service {
	if found := s.of[server]; found != nil {
		return found
	}
	limit := s.limit
	if limit == 0 {
		limit = maxServices
	}
	if len(s.of) >= limit {
		if s.other == nil {
			s.other = &service{}
		}
		return s.other
	}
	if s.of == nil {
		s.of = map[netip.AddrPort]*service{}
	}
	made := &service{row: ServiceRow{Server: server}}
	s.of[server] = made
	return made
}

// Rows gives the sums, those of most conversations first, the others last.
func (s *Services) Rows() []ServiceRow {
	rows := make([]ServiceRow, 0, len(s.of)+1)
	for _, one := range s.of {
		rows = append(rows, one.told())
	}
	slices.SortFunc(rows, func(a, b ServiceRow) int {
		return cmp.Or(cmp.Compare(b.Conversations, a.Conversations), a.Server.Compare(b.Server))
	})
	if s.other != nil {
		rows = append(rows, s.other.told())
	}
	return rows
}

func (s *service) told() ServiceRow {
	r := s.row
	if m, ok := s.rtts.median(); ok {
		r.RTT = &m
	}
	return r
}

// rtts counts round-trip times. Each power of two of nanoseconds is divided
// into eight steps, from 2^firstOctave on: a step is at most an eighth wide,
// and its middle at most a sixteenth away from what fell into it.
type rtts struct {
	n           uint64
	least, most time.Duration
	steps       [octaves << stepBits]uint32
}

const (
	stepBits    = 3
	firstOctave = 10 // about 1 us: less is not told apart
	octaves     = 26 // to 2^36 ns, 69 s: no SYN waits longer for its answer
)

func (r *rtts) add(d time.Duration) {
	d = max(d, 0)
	if r.n == 0 || d < r.least {
		r.least = d
	}
	r.most = max(r.most, d)
	r.n++
	if at := &r.steps[stepOf(d)]; *at < math.MaxUint32 {
		*at++
	}
}

// stepOf gives the step that d falls into: the exponent, and the three bits
// behind the first.
func stepOf(d time.Duration) int {
	octave := bits.Len64(uint64(d)) - 1
	if octave < firstOctave {
		return 0
	}
	part := int(d>>(octave-stepBits)) & (1<<stepBits - 1)
	return min((octave-firstOctave)<<stepBits|part, octaves<<stepBits-1)
}

// median is the middle of the step in which the middle one is, and never out
// of what was counted.
func (r *rtts) median() (time.Duration, bool) {
	if r.n == 0 {
		return 0, false
	}
	var total, seen uint64
	for _, n := range r.steps {
		total += uint64(n)
	}
	for i, n := range r.steps {
		if seen += uint64(n); 2*seen >= total {
			unit := time.Duration(1) << (firstOctave + i>>stepBits - stepBits)
			low := unit * time.Duration(1<<stepBits+i&(1<<stepBits-1))
			return min(max(low+unit/2, r.least), r.most), true
		}
	}
	return r.most, true
}
