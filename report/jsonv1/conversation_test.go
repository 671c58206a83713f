package jsonv1_test

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// conversationShape is tcpvet/conversation/v1 as docs/json.md describes it,
// written down a second time: what a program would read a line into.
type conversationShape struct {
	Schema   string   `json:"schema"`
	File     *string  `json:"file"`
	N        int      `json:"n"`
	Client   *string  `json:"client"`
	Server   *string  `json:"server"`
	Start    *string  `json:"start"`
	Duration *float64 `json:"duration_ms"`
	Open     struct {
		Kind           *string       `json:"kind"`
		SYNRetransmits *uint64       `json:"syn_retransmits"`
		ConnectMS      *float64      `json:"connect_ms"`
		RTTMS          *float64      `json:"rtt_ms"`
		AcksOK         *bool         `json:"acks_ok"`
		ClientISN      *uint32       `json:"client_isn"`
		ServerISN      *uint32       `json:"server_isn"`
		ClientOptions  *optionsShape `json:"client_options"`
		ServerOptions  *optionsShape `json:"server_options"`
	} `json:"open"`
	Close struct {
		Kind          *string  `json:"kind"`
		First         *string  `json:"first"`
		ResetBy       *string  `json:"reset_by"`
		PassiveWaitMS *float64 `json:"passive_wait_ms"`
		FinWait2MS    *float64 `json:"fin_wait_2_ms"`
		TimeWait      *string  `json:"time_wait"`
	} `json:"close"`
	States struct {
		Client *string `json:"client"`
		Server *string `json:"server"`
	} `json:"states"`
	Packets     bothShape   `json:"packets"`
	Bytes       bothShape   `json:"bytes"`
	Retransmits bothShape   `json:"retransmits"`
	Probes      bothShape   `json:"keepalive_probes"`
	SYNs        bothShape   `json:"syns"`
	FINs        bothShape   `json:"fins"`
	RSTs        bothShape   `json:"rsts"`
	Notes       []noteShape `json:"notes"`
}

type bothShape struct {
	Client *uint64 `json:"client"`
	Server *uint64 `json:"server"`
}

type optionsShape struct {
	MSS        *uint16 `json:"mss"`
	WScale     *uint8  `json:"wscale"`
	SACK       *bool   `json:"sack"`
	Timestamps *bool   `json:"timestamps"`
	FastOpen   *bool   `json:"fastopen"`
}

type noteShape struct {
	Kind      *string  `json:"kind"`
	Certainty *string  `json:"certainty"`
	Or        []string `json:"or"`
	By        *string  `json:"by"`
	Count     *uint64  `json:"count"`
	TookMS    *float64 `json:"took_ms"`
	Text      *string  `json:"text"`
}

// shapeOf is what a line is to say of c.
func shapeOf(c *tcpvet.Conversation) *conversationShape {
	s := &conversationShape{Schema: "tcpvet/conversation/v1", File: word(c.File), N: c.Number, Client: place(c.Client), Server: place(c.Server), Duration: millis(&c.Duration)}
	if !c.Start.IsZero() {
		s.Start = new(c.Start.Format(time.RFC3339Nano))
	}
	o := &c.Open
	s.Open.Kind, s.Open.SYNRetransmits, s.Open.ConnectMS, s.Open.RTTMS, s.Open.AcksOK = word(string(o.Kind)), &o.SYNRetransmits, millis(o.Connect), millis(o.RTT), o.AcksOK
	s.Open.ClientISN, s.Open.ServerISN = o.ClientISN, o.ServerISN
	s.Open.ClientOptions, s.Open.ServerOptions = optionsOf(o.ClientOptions), optionsOf(o.ServerOptions)
	e := &c.Close
	s.Close.Kind, s.Close.First, s.Close.ResetBy, s.Close.TimeWait = word(string(e.Kind)), word(string(e.First)), word(string(e.ResetBy)), word(string(e.TimeWait))
	s.Close.PassiveWaitMS, s.Close.FinWait2MS = millis(e.PassiveWait), millis(e.FinWait2)
	s.States.Client, s.States.Server = stateWord(c.ClientState), stateWord(c.ServerState)
	a, z := &c.FromClient, &c.FromServer
	s.Packets, s.Bytes, s.Retransmits, s.Probes = bothShape{&a.Packets, &z.Packets}, bothShape{&a.Bytes, &z.Bytes}, bothShape{&a.Retransmits, &z.Retransmits}, bothShape{&a.Probes, &z.Probes}
	s.SYNs, s.FINs, s.RSTs = bothShape{&a.SYNs, &z.SYNs}, bothShape{&a.FINs, &z.FINs}, bothShape{&a.RSTs, &z.RSTs}
	s.Notes = []noteShape{}
	for i := range c.Notes {
		n := &c.Notes[i]
		shape := noteShape{Kind: new(valid(string(n.Kind))), Certainty: new("certain"), Or: []string{}, By: word(string(n.By)), Text: new(valid(n.Text))}
		if n.Certainty == tcpvet.Likely {
			shape.Certainty = new("likely")
		}
		for _, or := range n.Or {
			shape.Or = append(shape.Or, valid(string(or)))
		}
		if n.Count > 0 {
			shape.Count = &n.Count
		}
		if n.Took != 0 {
			shape.TookMS = millis(&n.Took)
		}
		s.Notes = append(s.Notes, shape)
	}
	return s
}

func valid(s string) string {
	var b strings.Builder
	for _, r := range s { // each byte that is no UTF-8 becomes U+FFFD, as encoding/json does it
		b.WriteRune(r)
	}
	return b.String()
}

func word(s string) *string {
	if s == "" {
		return nil
	}
	return new(valid(s))
}

func place(ap netip.AddrPort) *string {
	if !ap.IsValid() {
		return nil
	}
	if name, ok := tcpvet.HostName(ap.Addr()); ok {
		_, port, _ := strings.Cut(netip.AddrPortFrom(netip.IPv4Unspecified(), ap.Port()).String(), ":")
		return new(valid(name + ":" + port))
	}
	return new(valid(ap.String()))
}

func millis(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	// The nearest number to the quotient, as reading all decimals gives.
	f, _ := big.NewRat(int64(*d), int64(time.Millisecond)).Float64()
	return &f
}

func stateWord(s tcpvet.State) *string {
	switch s {
	case 0:
		return nil
	case tcpvet.Unconn:
		return new("CLOSED")
	}
	return new(s.String())
}

func optionsOf(o *tcpvet.SYNOptions) *optionsShape {
	if o == nil {
		return nil
	}
	return &optionsShape{o.MSS, o.WScale, &o.SACK, &o.Timestamps, &o.FastOpen}
}

// drawConversation gives any conversation, sound or not.
func drawConversation(t *rapid.T) *tcpvet.Conversation {
	endpoint := rapid.Custom(func(t *rapid.T) netip.AddrPort {
		port := rapid.Uint16().Draw(t, "port")
		switch rapid.IntRange(0, 5).Draw(t, "address") {
		case 0:
			return netip.AddrPort{}
		case 1:
			return netip.AddrPortFrom(tcpvet.NamedHost(drawText(t)), port)
		case 2:
			a := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "IPv6"))).WithZone(drawText(t))
			return netip.AddrPortFrom(a, port)
		case 3:
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "IPv6"))), port)
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "IPv4"))), port)
	})
	ends := rapid.SampledFrom([]tcpvet.End{"", tcpvet.ClientEnd, tcpvet.ServerEnd, tcpvet.BothEnds, tcpvet.NoEnd})
	span := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1e10), rapid.SampledFrom([]int64{0, 1, 999_999, 1_000_000, 63_000, 2_578_000, math.MaxInt64, math.MinInt64}))
	duration := rapid.Map(span, func(n int64) time.Duration { return time.Duration(n) })
	maybe := rapid.Ptr(duration, true)
	states := rapid.SampledFrom(append([]tcpvet.State{0}, tcpvet.States[:]...))
	flow := rapid.Custom(func(t *rapid.T) tcpvet.Flow {
		n := rapid.Uint64()
		return tcpvet.Flow{Packets: n.Draw(t, "1"), Bytes: n.Draw(t, "2"), Retransmits: n.Draw(t, "3"), Probes: n.Draw(t, "4"), SYNs: n.Draw(t, "5"), FINs: n.Draw(t, "6"), RSTs: n.Draw(t, "7")}
	})
	options := rapid.Ptr(rapid.Custom(func(t *rapid.T) tcpvet.SYNOptions {
		return tcpvet.SYNOptions{
			MSS: rapid.Ptr(rapid.Uint16(), true).Draw(t, "mss"), WScale: rapid.Ptr(rapid.Uint8(), true).Draw(t, "wscale"),
			SACK: rapid.Bool().Draw(t, "sack"), Timestamps: rapid.Bool().Draw(t, "ts"), FastOpen: rapid.Bool().Draw(t, "tfo"),
		}
	}), true)
	kinds := rapid.SampledFrom([]tcpvet.NoteKind{tcpvet.CloseWaitStuck, tcpvet.AbortUnreadData, tcpvet.HTTPIdleClose, `a "new" one`})
	c := &tcpvet.Conversation{
		File: drawText(t), Number: rapid.IntRange(1, math.MaxInt).Draw(t, "n"), Client: endpoint.Draw(t, "client"), Server: endpoint.Draw(t, "server"),
		Duration: duration.Draw(t, "duration"),
		Open: tcpvet.Opening{
			Kind:           rapid.SampledFrom([]tcpvet.OpenKind{"", tcpvet.Handshake, tcpvet.Refused, tcpvet.Unanswered, tcpvet.Midstream, tcpvet.SimultaneousOpen}).Draw(t, "open"),
			SYNRetransmits: rapid.Uint64().Draw(t, "syns"), Connect: maybe.Draw(t, "connect"), RTT: maybe.Draw(t, "rtt"), AcksOK: rapid.Ptr(rapid.Bool(), true).Draw(t, "acks"),
			ClientISN: rapid.Ptr(rapid.Uint32(), true).Draw(t, "isn"), ServerISN: rapid.Ptr(rapid.Uint32(), true).Draw(t, "isn"),
			ClientOptions: options.Draw(t, "options"), ServerOptions: options.Draw(t, "options"),
		},
		Close: tcpvet.Ending{
			Kind:  rapid.SampledFrom([]tcpvet.CloseKind{"", tcpvet.FourWay, tcpvet.ThreeWay, tcpvet.SimultaneousClose, tcpvet.Reset, tcpvet.HalfClosed, tcpvet.NoClose}).Draw(t, "close"),
			First: ends.Draw(t, "first"), ResetBy: ends.Draw(t, "reset by"), PassiveWait: maybe.Draw(t, "wait"), FinWait2: maybe.Draw(t, "fin wait"), TimeWait: ends.Draw(t, "time wait"),
		},
		ClientState: states.Draw(t, "state"), ServerState: states.Draw(t, "state"), FromClient: flow.Draw(t, "flow"), FromServer: flow.Draw(t, "flow"),
	}
	if rapid.Bool().Draw(t, "dated") {
		zone := time.FixedZone("", 900*rapid.IntRange(-48, 48).Draw(t, "zone"))
		c.Start = time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(zone)
	}
	for range rapid.IntRange(0, 3).Draw(t, "notes") {
		c.Notes = append(c.Notes, tcpvet.Note{
			Kind: kinds.Draw(t, "kind"), Certainty: rapid.SampledFrom([]tcpvet.Certainty{tcpvet.Certain, tcpvet.Likely}).Draw(t, "certainty"),
			Or: rapid.SliceOfN(kinds, 0, 2).Draw(t, "or"), By: ends.Draw(t, "by"), Text: drawText(t),
			Count: rapid.Uint64Range(0, 3).Draw(t, "count"), Took: duration.Draw(t, "took"),
		})
	}
	return c
}

// checkConversation tells what is wrong with the line of c.
func checkConversation(t rapid.TB, c *tcpvet.Conversation) {
	t.Helper()
	line := jsonv1.AppendConversation([]byte("before"), c)[len("before"):]
	if !utf8.Valid(line) || strings.ContainsAny(string(line), "\n\r") {
		t.Fatalf("it is not one line of UTF-8: %q", line)
	}
	dec := json.NewDecoder(strings.NewReader(string(line)))
	dec.DisallowUnknownFields()
	got := new(conversationShape)
	if err := dec.Decode(got); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if dec.More() {
		t.Fatalf("more than one value: %s", line)
	}
	if diff := cmp.Diff(shapeOf(c), got); diff != "" {
		t.Fatalf("told (-) and read (+):\n%s\n%s", diff, line)
	}
}

// encoding/json reads from a line what the conversation was.
func TestConversationLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkConversation(t, drawConversation(t)) })
}

// Whatever the texts and numbers are that come from a capture.
func FuzzConversationLine(f *testing.F) {
	f.Add("teardown_4pkt.pcap", "", "The client closed.", []byte{10, 8, 0, 1}, int64(491_790_000), uint64(3393657429), uint16(0x3ff))
	f.Fuzz(func(t *testing.T, file, host, text string, address []byte, ns int64, n uint64, has uint16) {
		d := time.Duration(ns)
		c := &tcpvet.Conversation{File: file, Number: int(n >> 1), Duration: d, ClientState: tcpvet.State(has % 12), ServerState: tcpvet.Unconn}
		if a, ok := netip.AddrFromSlice(address); ok {
			c.Client = netip.AddrPortFrom(a.WithZone(host), uint16(n))
		}
		c.Server = netip.AddrPortFrom(tcpvet.NamedHost(host), uint16(n))
		set := func(bit int) bool { return has>>bit&1 != 0 }
		if set(0) {
			c.Start = time.Unix(int64(n%(1<<32)), ns&0x1fffffff)
		}
		if set(1) {
			c.Open = tcpvet.Opening{Kind: tcpvet.OpenKind(text), SYNRetransmits: n, Connect: &d, ClientISN: new(uint32(n)), AcksOK: new(set(2))}
		}
		if set(3) {
			c.Open.ServerOptions = &tcpvet.SYNOptions{SACK: set(4)}
		}
		if set(5) {
			c.Open.ClientOptions = &tcpvet.SYNOptions{MSS: new(uint16(n)), WScale: new(uint8(n))}
		}
		if set(6) {
			c.Close = tcpvet.Ending{Kind: tcpvet.CloseKind(file), First: tcpvet.ClientEnd, PassiveWait: &d}
		}
		if set(7) {
			c.Notes = []tcpvet.Note{{Kind: tcpvet.CloseWaitStuck, Certainty: tcpvet.Certainty(has % 2), Text: text, Count: n, Took: d}}
		}
		if set(8) {
			c.Notes = append(c.Notes, tcpvet.Note{Kind: tcpvet.NoteKind(text), Or: []tcpvet.NoteKind{tcpvet.NoteKind(file), tcpvet.UserTimeout}, By: tcpvet.End(host)})
		}
		checkConversation(t, c)
	})
}

// The members stand in the order of the documents, and what no segment told is
// null. The values are those of the article's four-segment close: from
// .956738 to .959316 are 2.578 ms, from .956630 to .959328 are 2.698 ms.
func TestConversationLineExactly(t *testing.T) {
	wait := 2578 * time.Microsecond
	c := tcpvet.Conversation{
		File: "article-close-4.txt", Number: 1, Duration: 2698 * time.Microsecond,
		Client: netip.AddrPortFrom(tcpvet.NamedHost("localhost"), 45788), Server: netip.AddrPortFrom(tcpvet.NamedHost("localhost"), 22),
		Open:        tcpvet.Opening{Kind: tcpvet.Midstream},
		Close:       tcpvet.Ending{Kind: tcpvet.FourWay, First: tcpvet.ClientEnd, ResetBy: tcpvet.NoEnd, PassiveWait: &wait, FinWait2: &wait, TimeWait: tcpvet.ClientEnd},
		ClientState: tcpvet.TimeWait, ServerState: tcpvet.Unconn,
		FromClient: tcpvet.Flow{Packets: 2, FINs: 1}, FromServer: tcpvet.Flow{Packets: 2, FINs: 1},
	}
	const want = `{"schema":"tcpvet/conversation/v1","file":"article-close-4.txt","n":1,"client":"localhost:45788","server":"localhost:22","start":null,"duration_ms":2.698,` +
		`"open":{"kind":"midstream","syn_retransmits":0,"connect_ms":null,"rtt_ms":null,"acks_ok":null,"client_isn":null,"server_isn":null,"client_options":null,"server_options":null},` +
		`"close":{"kind":"four-way","first":"client","reset_by":"none","passive_wait_ms":2.578,"fin_wait_2_ms":2.578,"time_wait":"client"},` +
		`"states":{"client":"TIME-WAIT","server":"CLOSED"},"packets":{"client":2,"server":2},"bytes":{"client":0,"server":0},"retransmits":{"client":0,"server":0},` +
		`"keepalive_probes":{"client":0,"server":0},"syns":{"client":0,"server":0},"fins":{"client":1,"server":1},"rsts":{"client":0,"server":0},"notes":[]}`
	if got := string(jsonv1.AppendConversation(nil, &c)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	buf := make([]byte, 0, 2*len(want))
	c.Client = netip.MustParseAddrPort("[2001:db8::1]:45788")
	c.Server = netip.MustParseAddrPort("10.0.0.1:22")
	c.Notes = []tcpvet.Note{{Kind: tcpvet.CloseWaitStuck, By: tcpvet.ServerEnd, Count: 1, Took: wait, Text: "It is stuck."}}
	if n := testing.AllocsPerRun(100, func() { jsonv1.AppendConversation(buf, &c) }); n != 0 {
		t.Errorf("a line allocates %v times", n)
	}
}

func BenchmarkConversationLine(b *testing.B) {
	wait := 2578 * time.Microsecond
	c := tcpvet.Conversation{
		File: "a.pcap", Number: 100000, Start: time.Unix(1700000000, 0).UTC(), Duration: time.Second,
		Client: netip.MustParseAddrPort("10.0.0.1:45788"), Server: netip.MustParseAddrPort("10.0.0.2:22"),
		Open:  tcpvet.Opening{Kind: tcpvet.Handshake, Connect: &wait, RTT: &wait, ClientISN: new(uint32(1 << 31)), ServerISN: new(uint32(1 << 30)), ClientOptions: &tcpvet.SYNOptions{SACK: true}},
		Close: tcpvet.Ending{Kind: tcpvet.FourWay, First: tcpvet.ClientEnd, ResetBy: tcpvet.NoEnd, PassiveWait: &wait, TimeWait: tcpvet.ClientEnd},
	}
	var buf []byte
	for b.Loop() {
		buf = jsonv1.AppendConversation(buf[:0], &c)
	}
}
