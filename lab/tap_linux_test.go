package lab

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// playTap checks, from inside, that a tap tells what crosses the loopback
// interface, once.
func playTap(ctx context.Context, s *Stage) error {
	on := netip.MustParseAddrPort("127.0.0.1:80")
	client, err := pair(ctx, s.Host, s.Host, on)
	if err != nil {
		return err
	}
	tap, err := s.Host.Tap(ctx, "lo")
	if err != nil {
		return err
	}
	if err := echo(ctx, client, on); err != nil {
		return err
	}
	if _, err := tap.Wait(ctx, 2, FIN); err != nil {
		return err
	}
	tap.Stop()
	all := tap.Segments()
	if len(all) < 8 {
		return fmt.Errorf("%d segments crossed: %v", len(all), all)
	}
	// RFC 9293, section 3.5, figure 6.
	for i, want := range []capture.Flags{capture.SYN, capture.SYN | capture.ACK, capture.ACK} {
		if all[i].Segment.Flags != want {
			return fmt.Errorf("segment %d is %v, want the flags %d", i, &all[i], want)
		}
	}
	if syn, synAck := all[0].Segment, all[1].Segment; synAck.Ack != syn.Seq+1 || all[2].Segment.Ack != synAck.Seq+1 {
		return fmt.Errorf("the handshake acknowledges otherwise: %v", all[:3])
	}
	if data := tap.Select(Data); len(data) != 2 || string(data[0].Segment.Payload) != "hello" || string(data[1].Segment.Payload) != "hello" {
		return fmt.Errorf("the data are %v", data)
	}
	c := tap.Conversations()
	if len(c) != 1 || c[0].Open.Kind != tcpvet.Handshake || c[0].Server != on || c[0].FromClient.Bytes != 5 {
		return fmt.Errorf("the conversations are %+v", c)
	}
	if _, err := tap.Wait(ctx, 100, AnySegment); err == nil {
		return fmt.Errorf("a tap that was stopped goes on")
	}
	if _, err := s.Host.Tap(ctx, "eth9"); err == nil {
		return fmt.Errorf("an interface that is not there was tapped")
	}
	return nil
}

func TestTap(t *testing.T) {
	onStage(t)
	output(t, run("tap"))
}
