package report

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// ConversationCSV writes conversations as comma-separated values (RFC 4180),
// each as it comes: numbers as they are, units in the titles, nothing where
// nothing is known.
type ConversationCSV struct {
	out *bufio.Writer
	buf []byte
}

// NewConversationCSV writes to w. Flush ends it.
func NewConversationCSV(w io.Writer) *ConversationCSV {
	return &ConversationCSV{out: bufio.NewWriterSize(w, 1<<16)}
}

// csvTitles are in the order of fields. close_wait_ms is JSON's
// close.passive_wait_ms.
const csvTitles = "n,file,client,server,start,duration_ms,open,syn_retransmits,connect_ms,rtt_ms,acks_ok,close,first,reset_by," +
	"close_wait_ms,fin_wait_2_ms,time_wait,client_state,server_state,client_packets,server_packets,client_bytes,server_bytes," +
	"client_retransmits,server_retransmits,client_keepalive_probes,server_keepalive_probes,client_isn,server_isn," +
	"client_mss,client_wscale,client_sack,client_timestamps,client_fastopen," +
	"server_mss,server_wscale,server_sack,server_timestamps,server_fastopen,notes\n"

// Head writes the titles.
func (l *ConversationCSV) Head() error {
	_, err := l.out.WriteString(csvTitles)
	return err
}

// Conversation writes a line. Its notes are separated by blanks, and likely
// ones have a question mark.
func (l *ConversationCSV) Conversation(c *tcpvet.Conversation) error {
	l.buf = appendCSV(l.buf[:0], c)
	_, err := l.out.Write(l.buf)
	return err
}

// Flush writes what is buffered.
func (l *ConversationCSV) Flush() error { return l.out.Flush() }

func appendCSV(b []byte, c *tcpvet.Conversation) []byte {
	b = strconv.AppendInt(b, int64(c.Number), 10)
	b = appendField(append(b, ','), c.File)
	b = append(b, ',')
	if c.Client.IsValid() {
		b = quoteFrom(appendPlace(b, c.Client), len(b))
	}
	b = append(b, ',')
	if c.Server.IsValid() {
		b = quoteFrom(appendPlace(b, c.Server), len(b))
	}
	b = append(b, ',')
	if !c.Start.IsZero() {
		b = c.Start.AppendFormat(b, time.RFC3339Nano)
	}
	b = appendMillis(append(b, ','), &c.Duration)
	b = append(append(b, ','), c.Open.Kind...)
	b = appendUints(b, c.Open.SYNRetransmits)
	b = appendMillis(append(b, ','), c.Open.Connect)
	b = appendMillis(append(b, ','), c.Open.RTT)
	b = append(b, ',')
	if c.Open.AcksOK != nil {
		b = strconv.AppendBool(b, *c.Open.AcksOK)
	}
	b = append(append(b, ','), c.Close.Kind...)
	b = append(append(b, ','), c.Close.First...)
	b = append(append(b, ','), c.Close.ResetBy...)
	b = appendMillis(append(b, ','), c.Close.PassiveWait)
	b = appendMillis(append(b, ','), c.Close.FinWait2)
	b = append(append(b, ','), c.Close.TimeWait...)
	for _, s := range [...]tcpvet.State{c.ClientState, c.ServerState} {
		if b = append(b, ','); s != 0 {
			b = appendState(b, s)
		}
	}
	a, z := &c.FromClient, &c.FromServer
	b = appendUints(b, a.Packets, z.Packets, a.Bytes, z.Bytes, a.Retransmits, z.Retransmits, a.Probes, z.Probes)
	for _, n := range [...]*uint32{c.Open.ClientISN, c.Open.ServerISN} {
		if b = append(b, ','); n != nil {
			b = strconv.AppendUint(b, uint64(*n), 10)
		}
	}
	b = appendOptionFields(b, c.Open.ClientOptions)
	b = appendOptionFields(b, c.Open.ServerOptions)
	b = append(b, ',')
	b = appendNotes(b, c.Notes, ' ')
	return append(b, '\n')
}

func appendOptionFields(b []byte, o *tcpvet.SYNOptions) []byte {
	if o == nil {
		return append(b, ",,,,,"...)
	}
	b = append(b, ',')
	if o.MSS != nil {
		b = strconv.AppendUint(b, uint64(*o.MSS), 10)
	}
	b = append(b, ',')
	if o.WScale != nil {
		b = strconv.AppendUint(b, uint64(*o.WScale), 10)
	}
	for _, is := range [...]bool{o.SACK, o.Timestamps, o.FastOpen} {
		b = strconv.AppendBool(append(b, ','), is)
	}
	return b
}

func appendUints(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = strconv.AppendUint(append(b, ','), n, 10)
	}
	return b
}

func appendField(b []byte, s string) []byte { return quoteFrom(append(b, s...), len(b)) }

// quoteFrom puts what b holds from there on into quotes, where it needs them.
func quoteFrom(b []byte, from int) []byte {
	s := b[from:]
	special := len(s) > 0 && s[0] == ' '
	for _, c := range s {
		special = special || c == ',' || c == '"' || c == '\r' || c == '\n'
	}
	if !special {
		return b
	}
	quoted := `"` + strings.ReplaceAll(string(s), `"`, `""`) + `"`
	return append(b[:from], quoted...)
}
