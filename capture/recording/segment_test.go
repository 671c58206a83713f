package recording_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/tcpvet/tcpvet/capture"
)

// segment makes an Ethernet frame with a segment of conversation n, of IP
// version v.
func segment(v, n int, reverse bool, flags capture.Flags, seq, ack uint32, length int, options []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 1)
	}
	src, dst := []byte{192, 0, 2, byte(n)}, []byte{198, 51, 100, byte(n)}
	sport, dport := uint16(40000+n), uint16(9000+n)
	if reverse {
		src, dst, sport, dport = dst, src, dport, sport
	}
	be := binary.BigEndian
	tcp := be.AppendUint16(nil, sport)
	tcp = be.AppendUint16(tcp, dport)
	tcp = be.AppendUint32(tcp, seq)
	tcp = be.AppendUint32(tcp, ack)
	tcp = be.AppendUint16(tcp, uint16(5+len(options)/4)<<12|uint16(flags))
	tcp = be.AppendUint16(tcp, 500)
	tcp = append(tcp, 0, 0, 0, byte(n))
	tcp = append(tcp, options...)
	tcp = append(tcp, make([]byte, length)...)
	b := []byte{0x45, 0}
	b = be.AppendUint16(b, uint16(20+len(tcp)))
	b = append(b, 0, 7, 0x40, 0, 64, 6, 0, 0)
	b = slices.Concat(b, src, dst, tcp)
	if v == 6 {
		return ether(0x86dd, six(b, 6))
	}
	b = edit(b, func(b []byte) []byte { return b })
	pseudo := slices.Concat(src, dst, []byte{0, 6, byte(len(tcp) >> 8), byte(len(tcp))}, tcp)
	be.PutUint16(b[36:], ^onesSum(pseudo))
	return ether(0x0800, b)
}

// randomCapture makes a capture of n segments of 8 conversations.
func randomCapture(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 4))
	type state struct {
		next   [2]uint32
		opened int
	}
	var talks [8]state
	for i := range talks {
		for e := range talks[i].next {
			// Far from 0: an excerpt that begins near it is taken as it is.
			talks[i].next[e] = 1<<20 + r.Uint32N(1<<32-1<<21)
		}
		if i%3 == 0 {
			talks[i].opened = 3 // its beginning was missed
		}
	}
	var packets []packet
	at := int64(1795528532) * 1e9
	for range n {
		i := r.IntN(len(talks))
		k := &talks[i]
		at += r.Int64N(3e9) / 1000 * 1000
		from := r.IntN(2)
		length, flags := 0, capture.ACK
		var options []byte
		switch {
		case k.opened < 2:
			from, flags = k.opened, capture.SYN
			if k.opened == 1 {
				flags |= capture.ACK
			}
			k.opened++
			options = []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7, 34, 2}
		default:
			if r.IntN(2) == 0 {
				length = r.IntN(1400)
				flags |= capture.PSH
			}
			if r.IntN(20) == 0 {
				flags |= capture.FIN
			}
			if r.IntN(30) == 0 {
				flags = capture.RST | flags&capture.ACK*capture.Flags(r.IntN(2))
				length = 0
			}
			flags |= capture.Flags(r.IntN(8)) << 5 // URG, ECE, CWR
			if r.IntN(3) == 0 {
				options = binary.BigEndian.AppendUint64([]byte{1, 1, 8, 10}, r.Uint64())
			} else if r.IntN(3) == 0 && flags.Has(capture.ACK) {
				blocks := 1 + r.IntN(3)
				options = []byte{1, 1, 5, byte(2 + 8*blocks)}
				for b := range blocks {
					left := k.next[1-from] + uint32(b)*3000 + 100
					options = binary.BigEndian.AppendUint32(options, left)
					options = binary.BigEndian.AppendUint32(options, left+1448)
				}
			}
		}
		ack := k.next[1-from]
		if !flags.Has(capture.ACK) {
			ack = 0
		}
		data := segment(4+i%2*2, i, from == 1, flags, k.next[from], ack, length, options)
		packets = append(packets, packet{at, data[:min(len(data), 128)], len(data)})
		k.next[from] += uint32(length)
		if flags.Any(capture.SYN | capture.FIN) {
			k.next[from]++
		}
	}
	return pcapFile(binary.LittleEndian, 0xa1b2c3d4, 1, packets)
}
