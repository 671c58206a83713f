package tcpvet

import (
	"net/netip"
	"time"
)

// Traffic is what recordings of packets told, folded: its size grows with the
// number of services, not of conversations, and is bounded.
type Traffic struct {
	Files    []string // what was read, in order
	From, To time.Time

	Source        string // "pcap, microseconds, little-endian", or what each file was
	Packets       uint64
	Segments      uint64 // of them, TCP segments that the filter selects
	Conversations uint64
	Gaps          []Gap // what could not be read

	// Check is the one file that tcpdump can be asked about, "" for none: it
	// reads the same from it.
	Check string

	// Services holds the conversations by their server's endpoint. Those
	// beyond the bound are summed under the zero AddrPort.
	Services map[netip.AddrPort]*ServiceTraffic
}

// ServiceTraffic sums the conversations with one service.
type ServiceTraffic struct {
	Conversations uint64
	FromClients   Flow
	FromServer    Flow
	Notes         map[NoteOf]*NoteTally
}

// NoteOf is a kind of note, and the end whose doing it is.
type NoteOf struct {
	Kind NoteKind
	By   End
}

// NoteTally sums the notes of one kind.
type NoteTally struct {
	Conversations uint64
	Likely        uint64 // of them, those that are not certain
	Or            []NoteKind
	Count         uint64 // see Note.Count
	Took          time.Duration
	Longest       time.Duration // the greatest Took of one
	Examples      []Example     // the first ones, at most MaxExamples
	Clients       []netip.Addr  // their clients, at most MaxExamples
	MoreClients   bool          // there are others
}

// Example is a conversation that shows what a tally counts.
type Example struct {
	File   string
	Number int
	Client netip.AddrPort
}

// MaxExamples bounds the examples of one tally.
const MaxExamples = 5

// Add counts a conversation with the service.
func (s *ServiceTraffic) Add(c *Conversation) {
	s.Conversations++
	s.FromClients.add(c.FromClient)
	s.FromServer.add(c.FromServer)
	for i := range c.Notes {
		n := &c.Notes[i]
		of := NoteOf{n.Kind, n.By}
		t := s.Notes[of]
		if t == nil {
			if s.Notes == nil {
				s.Notes = make(map[NoteOf]*NoteTally)
			}
			t = new(NoteTally)
			s.Notes[of] = t
		}
		t.add(n, c)
	}
}

func (t *NoteTally) add(n *Note, c *Conversation) {
	t.Conversations++
	if n.Certainty == Likely {
		t.Likely++
	}
	for _, k := range n.Or {
		t.or(k)
	}
	t.Count += n.Count
	t.Took += n.Took
	t.Longest = max(t.Longest, n.Took)
	if len(t.Examples) < MaxExamples {
		t.Examples = append(t.Examples, Example{c.File, c.Number, c.Client})
	}
	t.client(c.Client.Addr())
}

func (t *NoteTally) or(k NoteKind) {
	for _, known := range t.Or {
		if known == k {
			return
		}
	}
	t.Or = append(t.Or, k)
}

func (t *NoteTally) client(a netip.Addr) {
	for _, known := range t.Clients {
		if known == a {
			return
		}
	}
	if len(t.Clients) == MaxExamples {
		t.MoreClients = true
		return
	}
	t.Clients = append(t.Clients, a)
}

func (f *Flow) add(g Flow) {
	f.Packets += g.Packets
	f.Bytes += g.Bytes
	f.Retransmits += g.Retransmits
	f.Probes += g.Probes
	f.SYNs += g.SYNs
	f.FINs += g.FINs
	f.RSTs += g.RSTs
}
