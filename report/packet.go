package report

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// PacketTime says how the time of a packet is printed, to the microsecond.
type PacketTime uint8

// The ways to print a time, with tcpdump's switch for each.
const (
	TimeOfDay PacketTime = iota // 14:03:05.123456
	TimeDate                    // 2026-11-24 14:03:05.123456 (-tttt)
	TimeEpoch                   // 1795442585.123456 (-tt)
	TimeNone                    // (-t)
)

// PacketOptions are the choices for lines of packets. Its zero value is what
// tcpdump -n prints, in UTC.
type PacketOptions struct {
	Absolute bool // sequence numbers as they are on the wire (tcpdump -S)
	Wide     bool // a block for each packet: every field of its TCP header
	Time     PacketTime
	Dated    bool           // times are since 1970: they are told in Zone
	Zone     *time.Location // nil for UTC
}

// Packets makes lines of packets as tcpdump -n does, each followed by the
// number of its conversation, what it changed and what it is:
//
//	13:42:37.880154 IP 10.8.0.2.9090 > 10.8.0.1.35400: Flags [.], ack 6, win 64, options [nop,nop,TS val 2 ecr 1], length 0  #1 client FIN-WAIT-1 -> FIN-WAIT-2, server ESTAB -> CLOSE-WAIT
//
// It remembers what numbers of which conversations are relative to.
type Packets struct {
	opt   PacketOptions
	bases bases
}

// NewPackets makes a Packets. It is not for several goroutines at once.
func NewPackets(o PacketOptions) *Packets {
	if o.Zone == nil || !o.Dated {
		o.Zone = time.UTC // midnight is where such times begin
	}
	return &Packets{opt: o}
}

// Append appends the line of s, or with Wide its block, and the end of the
// line. step is what the Tracker said of it.
func (p *Packets) Append(b []byte, s *capture.Segment, step capture.Step) []byte {
	from, to := p.relativeTo(s, &step)
	b = p.appendTime(b, s.At)
	if a := s.Src.Addr(); a.Is4() || a.Zone() != "" {
		b = append(b, "IP "...)
	} else {
		b = append(b, "IP6 "...)
	}
	b = appendDotted(b, s.Src)
	b = append(b, " > "...)
	b = appendDotted(b, s.Dst)
	b = append(b, ": Flags ["...)
	b = appendFlags(b, s.Flags)
	b = append(b, ']')
	if s.Len > 0 || s.Flags.Any(capture.SYN|capture.FIN|capture.RST) {
		seq := s.Seq - from
		b = strconv.AppendUint(append(b, ", seq "...), uint64(seq), 10)
		if s.Len > 0 {
			b = strconv.AppendUint(append(b, ':'), uint64(seq+uint32(s.Len)), 10)
		}
	}
	if s.Flags.Has(capture.ACK) {
		b = strconv.AppendUint(append(b, ", ack "...), uint64(s.Ack-to), 10)
	}
	b = strconv.AppendUint(append(b, ", win "...), uint64(s.Window), 10)
	if s.Flags.Has(capture.URG) {
		b = strconv.AppendUint(append(b, ", urg "...), uint64(s.Urgent), 10)
	}
	if len(s.Options.Raw) > 0 || s.Options.Has != 0 || s.Cut {
		b = append(b, ", options ["...)
		b = appendOptions(b, s, to)
		b = append(b, ']')
	}
	b = strconv.AppendInt(append(b, ", length "...), int64(s.Len), 10)
	b = strconv.AppendInt(append(b, "  #"...), int64(step.Number), 10)
	b = appendChanges(b, &step)
	if p.opt.Wide {
		b = appendHeader(b, s, from, to)
	}
	return append(b, '\n')
}

func (p *Packets) appendTime(b []byte, at int64) []byte {
	switch p.opt.Time {
	case TimeNone:
		return b
	case TimeEpoch:
		ns := uint64(at)
		if at < 0 { // a capture's clock may be anything
			b, ns = append(b, '-'), -ns
		}
		b = append(strconv.AppendUint(b, ns/1e9, 10), '.')
		for place := uint64(1e8); place >= 1000; place /= 10 {
			b = append(b, byte('0'+ns/place%10))
		}
	case TimeDate:
		b = time.Unix(0, at).In(p.opt.Zone).AppendFormat(b, "2006-01-02 15:04:05.000000")
	default:
		b = time.Unix(0, at).In(p.opt.Zone).AppendFormat(b, "15:04:05.000000")
	}
	return append(b, ' ')
}

// appendDotted appends 10.0.0.1.40000.
func appendDotted(b []byte, ap netip.AddrPort) []byte {
	if ap.Addr().Zone() == "" {
		b = ap.Addr().AppendTo(b)
	} else if name, ok := tcpvet.HostName(ap.Addr()); ok {
		b = append(b, vet.Plain(name)...)
	} else {
		b = append(b, vet.Plain(ap.Addr().String())...)
	}
	return strconv.AppendUint(append(b, '.'), uint64(ap.Port()), 10)
}

// flagLetters are tcpdump's, in its order.
var flagLetters = [...]struct {
	flag   capture.Flags
	letter byte
}{
	{capture.FIN, 'F'}, {capture.SYN, 'S'}, {capture.RST, 'R'}, {capture.PSH, 'P'}, {capture.ACK, '.'},
	{capture.URG, 'U'}, {capture.ECE, 'E'}, {capture.CWR, 'W'}, {capture.AE, 'e'},
}

func appendFlags(b []byte, f capture.Flags) []byte {
	start := len(b)
	for _, l := range flagLetters {
		if f.Has(l.flag) {
			b = append(b, l.letter)
		}
	}
	if len(b) == start {
		return append(b, "none"...)
	}
	return b
}

// remarkable is what is worth a word besides the flags.
const remarkable = capture.Retransmission | capture.OutOfOrder | capture.KeepaliveProbe | capture.WindowProbe | capture.DupACK |
	capture.ZeroWindow | capture.WindowUpdate | capture.AfterClose | capture.Duplicate | capture.Ignored

// appendChanges appends the states that a segment led to, then what it was.
func appendChanges(b []byte, step *capture.Step) []byte {
	start := len(b)
	between := " "
	one := func(end string, before, after tcpvet.State) {
		if before == after {
			return
		}
		b = append(b, between...)
		between = ", "
		b = append(b, end...)
		if before != 0 {
			b = append(append(b, ' '), jsonv1.ConversationState(before)...)
		}
		b = append(append(b, " -> "...), jsonv1.ConversationState(after)...)
	}
	one("client", step.ClientBefore, step.ClientAfter)
	one("server", step.ServerBefore, step.ServerAfter)
	if what := step.What & remarkable; what != 0 {
		if len(b) > start {
			between = "; "
		}
		b = append(b, between...)
		b = append(b, what.String()...)
	}
	return b
}
