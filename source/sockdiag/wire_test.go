package sockdiag

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// The structs of the kernel's headers, for encoding/binary.
type kernelHeader struct {
	Len         uint32
	Type, Flags uint16
	Seq, Pid    uint32
}

type kernelOldReq struct {
	Family, SrcLen, DstLen, Ext uint8
	ID                          kernelSockID
	States, DBs                 uint32
}

type kernelNewReq struct {
	Family, Protocol, Ext, Pad uint8
	States                     uint32
	ID                         kernelSockID
}

// parseRequest is what the kernel makes of a request.
func parseRequest(b []byte) (r Request, family uint8, seq uint32, err error) {
	in := bytes.NewReader(b)
	var h kernelHeader
	if err := binary.Read(in, binary.NativeEndian, &h); err != nil {
		return r, 0, 0, err
	}
	if int(h.Len) != len(b) || h.Len%4 != 0 || h.Flags != 0x301 || h.Pid != 0 {
		return r, 0, 0, fmt.Errorf("header %+v of %d bytes", h, len(b))
	}
	var ext uint8
	switch h.Type {
	case 18:
		var req kernelOldReq
		if err := binary.Read(in, binary.NativeEndian, &req); err != nil {
			return r, 0, 0, err
		}
		if req.Family != 2 || req.SrcLen != 0 || req.DstLen != 0 || req.ID != (kernelSockID{}) || req.DBs != 0 {
			return r, 0, 0, fmt.Errorf("request %+v", req)
		}
		r.States, ext = tcpvet.StateSet(req.States), req.Ext
	case 20:
		var req kernelNewReq
		if err := binary.Read(in, binary.NativeEndian, &req); err != nil {
			return r, 0, 0, err
		}
		if req.Protocol != 6 || req.Pad != 0 || req.ID != (kernelSockID{}) {
			return r, 0, 0, fmt.Errorf("request %+v", req)
		}
		family = req.Family
		r.States, ext = tcpvet.StateSet(req.States), req.Ext
	default:
		return r, 0, 0, fmt.Errorf("type %d", h.Type)
	}
	switch ext {
	case 0:
	case 1 << 1: // INET_DIAG_INFO is 2, and bit n-1 asks for n
		r.Info = true
	default:
		return r, 0, 0, fmt.Errorf("extensions %b", ext)
	}
	if in.Len() > 0 {
		var a struct{ Len, Type uint16 }
		if err := binary.Read(in, binary.NativeEndian, &a); err != nil {
			return r, 0, 0, err
		}
		if a.Type != 1 || int(a.Len) < 4 || int(a.Len)-4 > in.Len() || in.Len()-(int(a.Len)-4) > 3 {
			return r, 0, 0, fmt.Errorf("attribute %+v with %d bytes", a, in.Len())
		}
		r.Filter = make([]byte, a.Len-4)
		in.Read(r.Filter)
	}
	return r, family, h.Seq, nil
}

func TestRequest(t *testing.T) {
	for name, c := range map[string]struct {
		r    Request
		want Request
	}{
		// Bits 1 to 11 and 13 of include/net/tcp_states.h.
		"everything":   {Request{}, Request{States: 0x2ffe}},
		"CLOSE-WAIT":   {Request{States: tcpvet.SetOf(tcpvet.CloseWait), Info: true}, Request{States: 0x100, Info: true}},
		"with filter":  {Request{Filter: []byte{1, 2, 3, 4}}, Request{States: 0x2ffe, Filter: []byte{1, 2, 3, 4}}},
		"odd filter":   {Request{Filter: []byte{1, 2, 3, 4, 5}}, Request{States: 0x2ffe, Filter: []byte{1, 2, 3, 4, 5}}},
		"empty filter": {Request{Filter: []byte{}}, Request{States: 0x2ffe}},
	} {
		for _, wantFamily := range []uint8{0, 2, 10} {
			prefix := []byte("before")
			b := c.r.appendTo(prefix, wantFamily, 77)
			if !bytes.HasPrefix(b, []byte("before")) {
				t.Errorf("%s: what stood before is gone", name)
			}
			got, family, seq, err := parseRequest(b[len("before"):])
			if err != nil || family != wantFamily || seq != 77 || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s: %+v, family %d, seq %d, %v; want %+v", name, got, family, seq, err, c.want)
			}
		}
	}
	if b := (Request{}).AppendTo(nil); len(b) != 16+60 {
		t.Errorf("%d bytes, want a header of 16 and inet_diag_req of 60", len(b))
	}
}
