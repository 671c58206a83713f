package sockdiag

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// The seeds in testdata/fuzz were told by Linux 6.18 about sockets of every
// state.

func FuzzDecode(f *testing.F) {
	f.Add(sample(1, 1).payload(attr(2, make([]byte, 104))))
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		var clean tcpvet.Socket
		dirty := tcpvet.Socket{
			Known: ^tcpvet.Facts(0), Netns: 1, State: tcpvet.Listen, Mini: true, Role: tcpvet.Client, Interface: 1, RecvQ: 1, SendQ: 1,
			Inode: 1, UID: 1, Cookie: 1, Cgroup: 1, Timer: tcpvet.Timer{Kind: 1, Expires: 1, Retransmits: 1},
			Info: tcpvet.TCPInfo{RTT: 1, MinRTT: 1, BytesSent: 1, Timestamps: true}, SharedWith: make([]tcpvet.Process, 1),
		}
		err := Decode(msg, &clean)
		if err2 := Decode(msg, &dirty); (err == nil) != (err2 == nil) {
			t.Fatalf("%v, then %v", err, err2)
		}
		if !bytes.Equal(msg, before) {
			t.Fatal("the message was written to")
		}
		full(msg)
		if err != nil {
			return
		}
		if !reflect.DeepEqual(clean, dirty) {
			t.Fatalf("what was there before shows:\n%+v\n%+v", clean, dirty)
		}
		s := &clean
		switch {
		case !tcpvet.AllStates.Has(s.State):
			t.Fatalf("state %d", s.State)
		case s.Timer.Expires < 0, s.Info.BusyTime < 0, s.Info.MinRTT < 0:
			t.Fatalf("negative time: %+v", s)
		case !s.Knows(tcpvet.FactInfo) && s.Info != (tcpvet.TCPInfo{}):
			t.Fatalf("tcp_info without FactInfo: %+v", s.Info)
		case s.Knows(tcpvet.FactQueues) == (s.State == tcpvet.Listen):
			t.Fatalf("%v knows %v", s.State, s.Known)
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add(append(message(18, 2, 1, 1, sample(1, 1).payload()), message(3, 2, 1, 1, number(0))...))
	f.Add(message(2, 0x200, 1, 1, append(append(number(-22), Request{}.AppendTo(nil)...), attr(1, []byte("no"))...)))
	f.Fuzz(func(t *testing.T, read []byte) {
		ms := NewMessages(read)
		total := 0
		var s tcpvet.Socket
		for ms.Next() {
			m := ms.Message()
			total += headerLen + len(m.Payload)
			if end, err := m.End(); end && m.IsSocket() || !end && err != nil {
				t.Fatalf("type %d: end %v, %v", m.Type, end, err)
			}
			m.Interrupted()
			if m.IsSocket() {
				Decode(m.Payload, &s)
			}
		}
		if total > len(read) {
			t.Fatalf("messages of %d bytes in a read of %d", total, len(read))
		}
		if ms.Err() == nil && len(ms.rest) > 0 {
			t.Fatalf("%d bytes are left and nothing is wrong", len(ms.rest))
		}
	})
}

// What a request says is what the kernel would read from it.
func FuzzRequest(f *testing.F) {
	f.Add(uint16(0x2ffe), true, []byte{1, 4, 8, 0}, uint8(0), uint32(1))
	f.Add(uint16(0), false, []byte{}, uint8(10), uint32(0))
	f.Fuzz(func(t *testing.T, states uint16, info bool, filter []byte, family uint8, seq uint32) {
		if len(filter) > MaxFilter {
			filter = filter[:MaxFilter]
		}
		want := Request{States: tcpvet.StateSet(states), Info: info, Filter: filter}
		got, gotFamily, gotSeq, err := parseRequest(want.appendTo(nil, family, seq))
		if err != nil {
			t.Fatal(err)
		}
		if states == 0 {
			want.States = tcpvet.AllStates
		}
		if got.States != want.States || got.Info != info || !bytes.Equal(got.Filter, filter) || gotFamily != family || gotSeq != seq {
			t.Fatalf("%+v family %d seq %d became %+v family %d seq %d", want, family, seq, got, gotFamily, gotSeq)
		}
	})
}
