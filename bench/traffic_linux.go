package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// trafficFile is the recording of population (p), in the stage's folder.
const trafficFile = "traffic.pcap"

// closings are the four ways in which the conversations of (p) end, as the
// packets behind a handshake and a request: who sends what. C and S are the
// ends, f a FIN, r an RST, . an ACK, q the request, a the answer.
var closings = [...]struct {
	kind    string // as tcpvet names it
	packets string
}{
	{"four-way", "C. Cq S. Sa Cf S. Sf C."},
	{"three-way", "C. Cq S. Sa Cf Sf C."},
	{"reset", "C. Cq S. Sa C. Cr"},
	{"half-closed", "C. Cq Sa Sf C."},
}

// atOnce is how many conversations overlap at any time.
const atOnce = 64

// writeTraffic writes that many conversations, in a quarter each of the four
// ways: 850,000 packets for 100,000 of them. 20 µs lie between two packets.
func writeTraffic(path string, conversations int) (packets int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	head := make([]byte, 24)
	le := binary.LittleEndian
	le.PutUint32(head, 0xa1b2c3d4)
	le.PutUint16(head[4:], 2)
	le.PutUint16(head[6:], 4)
	le.PutUint32(head[16:], 262144)
	le.PutUint32(head[20:], 1) // Ethernet
	w.Write(head)
	var running []*talk
	for next := 0; next < conversations || len(running) > 0; {
		for len(running) < atOnce && next < conversations {
			running = append(running, newTalk(next))
			next++
		}
		for i := 0; i < len(running); {
			frame, more := running[i].next()
			record := make([]byte, 16, 16+len(frame))
			at := packets * 20
			le.PutUint32(record, uint32(1_700_000_000+at/1_000_000))
			le.PutUint32(record[4:], uint32(at%1_000_000))
			le.PutUint32(record[8:], uint32(len(frame)))
			le.PutUint32(record[12:], uint32(len(frame)))
			w.Write(append(record, frame...))
			packets++
			if !more {
				running = append(running[:i], running[i+1:]...)
				continue
			}
			i++
		}
	}
	return packets, errors.Join(w.Flush(), f.Close())
}

// talk is one conversation while it is written.
type talk struct {
	addr [2][4]byte // client, server
	port [2]uint16
	seq  [2]uint32 // the next of each end
	rest string
}

func newTalk(n int) *talk {
	return &talk{
		addr: [2][4]byte{{10, 1, byte(n / 20_000), byte(n % 200)}, {10, 2, 0, byte(1 + n%4)}},
		port: [2]uint16{uint16(32768 + n/200%28000), 80},
		seq:  [2]uint32{uint32(n) * 2654435761, uint32(n) * 40503},
		rest: "Cs Sy " + closings[n%len(closings)].packets,
	}
}

// next gives the frame of the next packet, and whether there are more.
func (t *talk) next() (frame []byte, more bool) {
	from := 0
	if t.rest[0] == 'S' {
		from = 1
	}
	flags, payload, takes := byte(0x10), 0, uint32(0)
	switch t.rest[1] {
	case 's':
		flags, takes = 0x02, 1
	case 'y':
		flags, takes = 0x12, 1
	case 'q':
		flags, payload = 0x18, 100
	case 'a':
		flags, payload = 0x18, 270
	case 'f':
		flags, takes = 0x11, 1
	case 'r':
		flags = 0x14
	}
	const eth, ip, tcp = 14, 20, 20
	b := make([]byte, eth+ip+tcp+payload)
	be := binary.BigEndian
	be.PutUint16(b[12:], 0x0800)
	b[eth] = 0x45
	be.PutUint16(b[eth+2:], uint16(ip+tcp+payload))
	b[eth+8], b[eth+9] = 64, 6
	copy(b[eth+12:], t.addr[from][:])
	copy(b[eth+16:], t.addr[1-from][:])
	p := b[eth+ip:]
	be.PutUint16(p, t.port[from])
	be.PutUint16(p[2:], t.port[1-from])
	be.PutUint32(p[4:], t.seq[from])
	if flags&0x10 != 0 {
		be.PutUint32(p[8:], t.seq[1-from])
	}
	p[12], p[13] = tcp/4<<4, flags
	be.PutUint16(p[14:], 64240)
	t.seq[from] += uint32(payload) + takes
	if len(t.rest) < 4 {
		return b, false
	}
	t.rest = t.rest[3:]
	return b, true
}

// stageTraffic writes the recording and holds no socket.
func stageTraffic(s *stage) error {
	n, err := writeTraffic(filepath.Join(s.Tools, trafficFile), s.scaled(100_000))
	if err != nil {
		return fmt.Errorf("write %s: %w", trafficFile, err)
	}
	fmt.Fprintf(os.Stderr, "  %d packets\n", n)
	return nil
}

// checkTraffic wants each way of closing told for a quarter of them.
func checkTraffic(ctx context.Context, s *stage) []check {
	want := s.scaled(100_000) / len(closings)
	out, err := s.answer(ctx, pcap+" -o jsonl")
	got := map[string]int{}
	for dec := json.NewDecoder(bytes.NewReader(out)); err == nil && dec.More(); {
		var line struct {
			Schema string
			Close  struct{ Kind string }
		}
		if err = dec.Decode(&line); err == nil && line.Schema == "tcpvet/conversation/v1" {
			got[line.Close.Kind]++
		}
	}
	var checks []check
	for _, c := range closings {
		one := check{What: "conversations told as " + c.kind, Got: fmt.Sprint(got[c.kind]), Want: fmt.Sprint(want), OK: got[c.kind] == want}
		if err != nil {
			one.Got, one.OK = err.Error(), false
		}
		checks = append(checks, one)
	}
	return checks
}
