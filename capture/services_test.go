package capture

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func server(n uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), n)
}

func TestServices(t *testing.T) {
	var s Services
	add := func(port uint16, open tcpvet.OpenKind, kind tcpvet.CloseKind, notes ...tcpvet.NoteKind) {
		c := tcpvet.Conversation{Server: server(port), Open: tcpvet.Opening{Kind: open}, Close: tcpvet.Ending{Kind: kind}}
		c.FromClient = tcpvet.Flow{Retransmits: 1, Bytes: 10}
		c.FromServer = tcpvet.Flow{Retransmits: 2, Bytes: 100}
		for _, n := range notes {
			c.Notes = append(c.Notes, tcpvet.Note{Kind: n})
		}
		s.Add(&c)
	}
	add(81, tcpvet.Refused, tcpvet.NoClose, tcpvet.NoteRefused)
	for _, kind := range []tcpvet.CloseKind{tcpvet.FourWay, tcpvet.FourWay, tcpvet.ThreeWay, tcpvet.SimultaneousClose, tcpvet.Reset, tcpvet.HalfClosed, tcpvet.NoClose} {
		add(80, tcpvet.Handshake, kind)
	}
	add(80, tcpvet.Midstream, tcpvet.HalfClosed, tcpvet.ZeroWindow, tcpvet.CloseWaitStuck)
	add(80, tcpvet.Unanswered, tcpvet.NoClose, tcpvet.SYNUnanswered)
	add(80, tcpvet.Unanswered, tcpvet.Reset) // the client gave up by RST
	want := []ServiceRow{
		{Server: server(80), Conversations: 10, Open: 1, FourWay: 2, ThreeWay: 1, Simultaneous: 1, HalfClosed: 2, Reset: 2, Unanswered: 1, Stuck: 1, Retransmits: 30, Bytes: 1100},
		{Server: server(81), Conversations: 1, Refused: 1, Retransmits: 3, Bytes: 110},
	}
	rows := s.Rows()
	if !slices.Equal(rows, want) {
		t.Errorf("got %+v\nwant %+v", rows, want)
	}
	for _, r := range rows {
		if sum := r.Open + r.FourWay + r.ThreeWay + r.Simultaneous + r.HalfClosed + r.Reset + r.Refused + r.Unanswered; sum != r.Conversations {
			t.Errorf("%v: the kinds add up to %d of %d", r.Server, sum, r.Conversations)
		}
	}
}

// Once there are too many servers, those that are known go on being counted and
// the rest are counted together: none is lost.
func TestServicesAreBounded(t *testing.T) {
	s := Services{limit: 3}
	for n := range uint16(10) {
		for range n + 1 {
			s.Add(&tcpvet.Conversation{Server: server(n + 1)})
		}
	}
	s.Add(&tcpvet.Conversation{Server: server(1)})
	rows := s.Rows()
	var got []uint64
	for _, r := range rows {
		got = append(got, r.Conversations)
	}
	if want := []uint64{3, 2, 2, 4 + 5 + 6 + 7 + 8 + 9 + 10}; !slices.Equal(got, want) {
		t.Errorf("the rows hold %v conversations, want %v", got, want)
	}
	if rows[3].Server.IsValid() || rows[1].Server != server(1) || rows[2].Server != server(2) {
		t.Errorf("the rows are of %v", rows)
	}
}

// The median is within 10 % of the one that sorting gives, and never out of
// what there was.
func TestServicesMedian(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	check := func(times ...time.Duration) {
		t.Helper()
		var s Services
		for _, d := range times {
			s.Add(&tcpvet.Conversation{Open: tcpvet.Opening{RTT: &d}})
		}
		s.Add(&tcpvet.Conversation{}) // of one it is not known
		slices.Sort(times)
		want := times[(len(times)-1)/2]
		got := *s.Rows()[0].RTT
		if got < want-want/10-time.Microsecond || got > want+want/10+time.Microsecond || got < times[0] || got > times[len(times)-1] {
			t.Errorf("the median of %d times is %v, want about %v", len(times), got, want)
		}
	}
	check(0)
	check(63 * time.Microsecond)
	check(time.Hour)
	check(1, 2, 3)
	check(30*time.Millisecond, 31*time.Millisecond, 2*time.Second)
	for range 300 {
		times := make([]time.Duration, 1+random.IntN(200))
		scale := time.Duration(1000) << random.IntN(25)
		for i := range times {
			times[i] = time.Duration(random.Int64N(int64(scale)) + random.Int64N(int64(scale))/7)
		}
		check(times...)
	}
	var none Services
	none.Add(&tcpvet.Conversation{})
	if r := none.Rows()[0]; r.RTT != nil {
		t.Errorf("a median of nothing: %v", *r.RTT)
	}
}
