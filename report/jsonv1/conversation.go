package jsonv1

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
)

// ConversationSchema names the lines of pcap and capture.
const ConversationSchema = "tcpvet/conversation/v1"

// AppendConversation appends the line of c, without its end. It allocates
// nothing but what b has to grow by.
func AppendConversation(b []byte, c *tcpvet.Conversation) []byte {
	b = append(b, `{"schema":"`+ConversationSchema+`","file":`...)
	b = optional(b, c.File)
	b = strconv.AppendInt(append(b, `,"n":`...), int64(c.Number), 10)
	b = appendEndpoint(append(b, `,"client":`...), c.Client)
	b = appendEndpoint(append(b, `,"server":`...), c.Server)
	b = append(b, `,"start":`...)
	if c.Start.IsZero() {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		b = c.Start.AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	b = appendMS(append(b, `,"duration_ms":`...), c.Duration)
	b = appendOpening(append(b, `,"open":`...), &c.Open)
	b = appendEnding(append(b, `,"close":`...), &c.Close)
	b = appendState(append(b, `,"states":{"client":`...), c.ClientState)
	b = appendState(append(b, `,"server":`...), c.ServerState)
	b = append(b, '}')
	a, z := &c.FromClient, &c.FromServer
	b = appendBoth(append(b, `,"packets":`...), a.Packets, z.Packets)
	b = appendBoth(append(b, `,"bytes":`...), a.Bytes, z.Bytes)
	b = appendBoth(append(b, `,"retransmits":`...), a.Retransmits, z.Retransmits)
	b = appendBoth(append(b, `,"keepalive_probes":`...), a.Probes, z.Probes)
	b = appendBoth(append(b, `,"syns":`...), a.SYNs, z.SYNs)
	b = appendBoth(append(b, `,"fins":`...), a.FINs, z.FINs)
	b = appendBoth(append(b, `,"rsts":`...), a.RSTs, z.RSTs)
	b = append(b, `,"notes":[`...)
	for i := range c.Notes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNote(b, &c.Notes[i])
	}
	return append(b, "]}"...)
}

func appendOpening(b []byte, o *tcpvet.Opening) []byte {
	b = optional(append(b, `{"kind":`...), string(o.Kind))
	b = number(append(b, `,"syn_retransmits":`...), o.SYNRetransmits)
	b = appendMaybeMS(append(b, `,"connect_ms":`...), o.Connect)
	b = appendMaybeMS(append(b, `,"rtt_ms":`...), o.RTT)
	b = append(b, `,"acks_ok":`...)
	if o.AcksOK == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendBool(b, *o.AcksOK)
	}
	b = appendMaybe(append(b, `,"client_isn":`...), o.ClientISN)
	b = appendMaybe(append(b, `,"server_isn":`...), o.ServerISN)
	b = appendOptions(append(b, `,"client_options":`...), o.ClientOptions)
	b = appendOptions(append(b, `,"server_options":`...), o.ServerOptions)
	return append(b, '}')
}

func appendOptions(b []byte, o *tcpvet.SYNOptions) []byte {
	if o == nil {
		return append(b, "null"...)
	}
	b = appendMaybe(append(b, `{"mss":`...), o.MSS)
	b = appendMaybe(append(b, `,"wscale":`...), o.WScale)
	b = strconv.AppendBool(append(b, `,"sack":`...), o.SACK)
	b = strconv.AppendBool(append(b, `,"timestamps":`...), o.Timestamps)
	b = strconv.AppendBool(append(b, `,"fastopen":`...), o.FastOpen)
	return append(b, '}')
}

func appendEnding(b []byte, e *tcpvet.Ending) []byte {
	b = optional(append(b, `{"kind":`...), string(e.Kind))
	b = optional(append(b, `,"first":`...), string(e.First))
	b = optional(append(b, `,"reset_by":`...), string(e.ResetBy))
	b = appendMaybeMS(append(b, `,"passive_wait_ms":`...), e.PassiveWait)
	b = appendMaybeMS(append(b, `,"fin_wait_2_ms":`...), e.FinWait2)
	b = optional(append(b, `,"time_wait":`...), string(e.TimeWait))
	return append(b, '}')
}

func appendNote(b []byte, n *tcpvet.Note) []byte {
	b = appendText(append(b, `{"kind":`...), string(n.Kind))
	b = append(b, `,"certainty":"`...)
	b = append(b, n.Certainty.String()...)
	b = append(b, `","or":[`...)
	for i, kind := range n.Or {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, string(kind))
	}
	b = optional(append(b, `],"by":`...), string(n.By))
	b = fact(b, `,"count":`, n.Count != 0, n.Count)
	b = append(b, `,"took_ms":`...)
	if n.Took == 0 {
		b = append(b, "null"...)
	} else {
		b = appendMS(b, n.Took)
	}
	b = appendText(append(b, `,"text":`...), n.Text)
	return append(b, '}')
}

// ConversationState gives the word for an end's state in a conversation. It is
// ss's, but for an end that is done: a conversation's is CLOSED, where a socket
// that is not connected is UNCONN.
func ConversationState(s tcpvet.State) string {
	if s == tcpvet.Unconn {
		return "CLOSED"
	}
	return s.String()
}

// appendState appends an end's state, null for one that was never seen.
func appendState(b []byte, s tcpvet.State) []byte {
	if s == 0 {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = append(b, ConversationState(s)...)
	return append(b, '"')
}

// appendEndpoint appends "10.0.3.7:8080", "[::1]:80", or "localhost:45788" where
// only the host's name is known.
func appendEndpoint(b []byte, ap netip.AddrPort) []byte {
	switch {
	case !ap.IsValid():
		return append(b, "null"...)
	case ap.Addr().Zone() == "":
		b = append(b, '"')
		b = ap.AppendTo(b)
		return append(b, '"')
	}
	// Where there is a zone, it is text that came with the capture.
	text := ap.String()
	if name, ok := tcpvet.HostName(ap.Addr()); ok {
		text = name + ":" + strconv.Itoa(int(ap.Port()))
	}
	return appendText(b, text)
}

func appendBoth(b []byte, client, server uint64) []byte {
	b = number(append(b, `{"client":`...), client)
	b = number(append(b, `,"server":`...), server)
	return append(b, '}')
}

// appendMaybe appends a number, null for nil.
func appendMaybe[N uint8 | uint16 | uint32](b []byte, n *N) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	return strconv.AppendUint(b, uint64(*n), 10)
}

func appendMaybeMS(b []byte, d *time.Duration) []byte {
	if d == nil {
		return append(b, "null"...)
	}
	return appendMS(b, *d)
}

// appendMS appends milliseconds with as many decimals as it takes, six at the
// most: to the nanosecond.
func appendMS(b []byte, d time.Duration) []byte {
	if d < 0 {
		b = append(b, '-')
	}
	ms, rest := d/time.Millisecond, d%time.Millisecond
	b = strconv.AppendUint(b, uint64(max(ms, -ms)), 10)
	rest = max(rest, -rest)
	if rest == 0 {
		return b
	}
	b = append(b, '.')
	for unit := 100 * time.Microsecond; rest > 0; unit /= 10 {
		b = append(b, byte('0'+rest/unit))
		rest %= unit
	}
	return b
}
