package sockdiag

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// tcp_info of a dump is what getsockopt(TCP_INFO) gives.
func TestRootInfo(t *testing.T) {
	kerneltest.Netns(t)
	client, server := pair(t, "127.0.0.1")
	request := make([]byte, 3000)
	_, err := unix.Write(client, request)
	must(t, err)
	_, err = unix.Read(server, request[:1000])
	must(t, err)
	_, err = unix.Write(server, request[:700])
	must(t, err)
	time.Sleep(300 * time.Millisecond) // the times are to differ, and delayed ACKs to be out

	got := dumpAll(t, dial(t), Request{Info: true})
	for _, fd := range []int{client, server} {
		s := got[cookie(t, fd)]
		k, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		must(t, err)
		want := kernelInfo(k)
		ignore := cmpopts.IgnoreFields(tcpvet.TCPInfo{}, "LastDataSent", "LastDataRecv", "LastAckRecv", "SndWScale", "RcvWScale")
		if diff := cmp.Diff(want, s.Info, ignore); diff != "" {
			t.Errorf("getsockopt (-) and dump (+) differ:\n%s", diff)
		}
		const tolerance = 100 * time.Millisecond
		for _, d := range []struct {
			name string
			got  time.Duration
			want uint32
		}{
			{"last data sent", s.Info.LastDataSent, k.Last_data_sent},
			{"last data received", s.Info.LastDataRecv, k.Last_data_recv},
			{"last ACK received", s.Info.LastAckRecv, k.Last_ack_recv},
		} {
			if w := time.Duration(d.want) * time.Millisecond; (w-d.got).Abs() > tolerance || d.got < 200*time.Millisecond {
				t.Errorf("%s %v ago, getsockopt says %v", d.name, d.got, w)
			}
		}
	}
	// By arithmetic: what one side sent is what the other received. The SYN is
	// in bytes_acked of neither, and nothing is outstanding.
	c, s := got[cookie(t, client)].Info, got[cookie(t, server)].Info
	if c.BytesSent != 3000 || s.BytesReceived != 3000 || s.BytesSent != 700 || c.BytesReceived != 700 {
		t.Errorf("client sent %d received %d, server sent %d received %d; want 3000, 700", c.BytesSent, c.BytesReceived, s.BytesSent, s.BytesReceived)
	}
	if c.SndWScale != s.RcvWScale || c.RcvWScale != s.SndWScale || c.SndWScale == 0 {
		t.Errorf("window scales: client %d/%d, server %d/%d", c.SndWScale, c.RcvWScale, s.SndWScale, s.RcvWScale)
	}
	if !c.Timestamps || !c.SACK {
		t.Errorf("options: %+v", c)
	}
}

// The window scales are told apart: a receive buffer that is set before the
// connection opens bounds the scale that this side announces.
func TestRootWindowScales(t *testing.T) {
	kerneltest.Netns(t)
	l, at := listen(t, "127.0.0.1", 8)
	client := newTCP(t, unix.AF_INET)
	must(t, unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096))
	must(t, unix.Connect(client, sockaddr(at)))
	server := accept(t, l)
	got := dumpAll(t, dial(t), Request{Info: true})
	c, s := got[cookie(t, client)].Info, got[cookie(t, server)].Info
	if c.RcvWScale != 0 || s.SndWScale != 0 {
		t.Errorf("the small receiver's scale is %d by itself and %d by its peer, want 0: its window fits 16 bits", c.RcvWScale, s.SndWScale)
	}
	if c.SndWScale == 0 || c.SndWScale != s.RcvWScale {
		t.Errorf("the other direction's scale is %d and %d, want the same and not 0", c.SndWScale, s.RcvWScale)
	}
}

func TestRootKeepaliveTimer(t *testing.T) {
	kerneltest.Netns(t)
	client, server := pair(t, "::1")
	must(t, unix.SetsockoptInt(client, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 100))
	must(t, unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	got := dumpAll(t, dial(t), Request{})
	if timer := got[cookie(t, client)].Timer; timer.Kind != tcpvet.TimerKeepalive || timer.Expires < 95*time.Second || timer.Expires > 101*time.Second {
		t.Errorf("timer %+v, want keepalive in 100 s", timer)
	}
	if timer := got[cookie(t, server)].Timer; timer != (tcpvet.Timer{}) {
		t.Errorf("timer %+v of the side without keepalive", timer)
	}
}
