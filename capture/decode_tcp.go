package capture

import (
	"encoding/binary"
	"net/netip"
)

// tcpBytes is the length of a TCP header without options.
const tcpBytes = 20

// tcp reads a TCP header (RFC 9293 section 3.1).
func (d *Decoder) tcp(src, dst netip.Addr, g *datagram, s *Segment) Verdict {
	b := g.captured
	if g.wire < tcpBytes {
		return Malformed
	}
	if len(b) < tcpBytes {
		return Short
	}
	header := int(b[12]>>4) * 4
	if header < tcpBytes || header > g.wire && !g.fragment {
		return Malformed
	}
	s.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	s.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	s.Seq, s.NoSeq = binary.BigEndian.Uint32(b[4:]), false
	s.Ack = binary.BigEndian.Uint32(b[8:])
	s.Flags, s.Reserved = Flags(binary.BigEndian.Uint16(b[12:])&0x1ff), b[12]>>1&7
	s.Window = binary.BigEndian.Uint16(b[14:])
	s.Sum, s.Printed = binary.BigEndian.Uint16(b[16:]), false
	s.Urgent = binary.BigEndian.Uint16(b[18:])
	s.Len = max(g.wire-header, 0)
	s.Cut = len(b) < header
	s.Fragment = g.fragment
	kept := min(len(b), header)
	s.Payload = b[kept:]
	s.Options.parse(b[tcpBytes:kept])
	s.Checksum = NotCheckable
	if d.Checksums && len(b) == g.wire && !g.fragment && !g.rerouted {
		s.Checksum = verify(src, dst, b)
	}
	return IsTCP
}

// The kinds of TCP options that are read (IANA), and their lengths with kind
// and length.
const (
	optEnd           = 0
	optNop           = 1
	optMSS           = 2 // RFC 9293 section 3.7.1
	optWScale        = 3 // RFC 7323 section 2.2
	optSACKPermitted = 4 // RFC 2018 section 2
	optSACK          = 5 // RFC 2018 section 3
	optTimestamps    = 8 // RFC 7323 section 3.2
	optFastOpen      = 34
	optExperiment    = 254 // RFC 6994; fast open before it had a number

	fastOpenExperiment = 0xf989 // RFC 7413 section 4.1.1

	mssBytes, wscaleBytes, sackPermittedBytes, timestampsBytes = 4, 3, 2, 10
)

// parse reads options up to the first that is unsound. An option of a known
// kind and another length than its own is passed over, as Linux does
// (tcp_parse_options).
func (o *Options) parse(raw []byte) {
	o.Raw, o.Has, o.NumSACK = raw, 0, 0
	o.MSS, o.WScale, o.TSVal, o.TSEcr = 0, 0, 0, 0
	for len(raw) > 0 {
		kind := raw[0]
		if kind == optNop {
			raw = raw[1:]
			continue
		}
		if kind == optEnd || len(raw) < 2 {
			return
		}
		size := int(raw[1])
		if size < 2 || size > len(raw) {
			return
		}
		value := raw[2:size]
		raw = raw[size:]
		switch {
		case kind == optTimestamps && size == timestampsBytes:
			o.Has |= HasTimestamps
			o.TSVal, o.TSEcr = binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:])
		case kind == optSACK && len(value) > 0 && len(value)%8 == 0:
			o.Has |= HasSACK
			o.NumSACK = 0
			for ; len(value) > 0 && o.NumSACK < len(o.SACK); value = value[8:] {
				o.SACK[o.NumSACK] = Block{binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:])}
				o.NumSACK++
			}
		case kind == optMSS && size == mssBytes:
			o.Has |= HasMSS
			o.MSS = binary.BigEndian.Uint16(value)
		case kind == optWScale && size == wscaleBytes:
			o.Has |= HasWScale
			o.WScale = value[0]
		case kind == optSACKPermitted && size == sackPermittedBytes:
			o.Has |= HasSACKPermitted
		case kind == optFastOpen, kind == optExperiment && len(value) >= 2 && binary.BigEndian.Uint16(value) == fastOpenExperiment:
			o.Has |= HasFastOpen
		}
	}
}
