package live

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/vishvananda/netlink"
)

// When the context ends, what had come before is still given, and afterwards
// nothing is added.
func TestRootStop(t *testing.T) {
	stage(t)
	l := begin(t, Options{Interface: "v1"})
	send := newSender(t, "v1")
	for range 10 {
		send.send(made{src: "10.7.0.1:1", dst: "10.7.0.2:2"})
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	var s capture.Segment
	for i := range 10 {
		if err := l.Next(ctx, &s); err != nil {
			t.Fatalf("segment %d: %v", i, err)
		}
		send.send(made{src: "10.7.0.1:1", dst: "10.7.0.2:3"})
	}
	for range 2 {
		if err := l.Next(ctx, &s); err != context.Canceled {
			t.Fatalf("%v > %v, %v", s.Src, s.Dst, err)
		}
	}
	if s := balanced(t, l); s.TCP != 10 || s.Received != 10 {
		t.Errorf("%+v", s)
	}
	if err := l.Next(context.Background(), &s); err != context.Canceled {
		t.Errorf("a capture that has ended goes on: %v", err)
	}

	// One that waits is stopped too.
	waiting := begin(t, Options{Interface: "v0"})
	ctx, stop = context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		var s capture.Segment
		ended <- waiting.Next(ctx, &s)
	}()
	stop()
	select {
	case err := <-ended:
		if err != context.Canceled {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it waits on")
	}
}

// An interface that goes down, or away, ends a capture of it and of no other.
func TestRootInterfaceGone(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(netlink.Link) error
		want error
	}{
		{"down", netlink.LinkSetDown, ErrDown},
		{"removed", netlink.LinkDel, ErrRemoved},
	} {
		t.Run(test.name, func(t *testing.T) {
			stage(t)
			ctx, stop := context.WithTimeout(context.Background(), patience)
			defer stop()
			all := begin(t, Options{})
			l := begin(t, Options{Interface: "v0"})
			newSender(t, "v1").send(made{src: "10.7.0.1:1", dst: "10.7.0.2:2"})
			if err := test.act(link(t, "v0")); err != nil {
				t.Fatal(err)
			}
			var s capture.Segment
			if err := l.Next(ctx, &s); err != nil {
				t.Errorf("what had come before: %v", err)
			}
			if err := l.Next(ctx, &s); !errors.Is(err, test.want) || !strings.Contains(err.Error(), "capture on v0: ") {
				t.Errorf("got %v", err)
			}
			refused(t)
			if got := takeAll(t, all); len(got) != 3 { // two on the cable, and the SYN
				t.Errorf("%d segments on any", len(got))
			}
		})
	}
}

// Nothing is left after Close, nor after an Open that failed.
func TestRootLeavesNothing(t *testing.T) {
	stage(t)
	if err := netlink.LinkSetDown(link(t, "v0")); err != nil {
		t.Fatal(err)
	}
	held := func() (descriptors, maps int) {
		dir, err := os.ReadDir("/proc/thread-self/fd")
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile("/proc/thread-self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return len(dir), bytes.Count(text, []byte("socket:"))
	}
	fds, maps := held()
	if maps != 0 {
		t.Fatalf("%d rings before the first one", maps)
	}
	for range 3 {
		l, err := Open(Options{Promiscuous: true, Interface: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := held(); a != fds+1 || b != 1 {
			t.Errorf("%d descriptors, %d rings while one is open", a-fds, b)
		}
		if f := link(t, "v1").Attrs().Promisc; f != 1 {
			t.Errorf("%d sockets ask for promiscuous mode", f)
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		var s capture.Segment
		if err := l.Next(context.Background(), &s); err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
		if _, err := l.Stats(); err != nil || l.Packet().Bytes != nil {
			t.Errorf("after Close: %v", err)
		}
		if f := link(t, "v1").Attrs().Promisc; f != 0 {
			t.Errorf("%d sockets ask for promiscuous mode after Close", f)
		}
		if _, err := Open(Options{Interface: "v0"}); !errors.Is(err, ErrDown) {
			t.Error(err)
		}
		if _, err := Open(Options{Interface: "v9"}); !errors.Is(err, ErrNoInterface) {
			t.Error(err)
		}
		if _, err := Open(Options{Buffer: 1}); err == nil {
			t.Error("a ring of one byte")
		}
	}
	if a, b := held(); a != fds || b != 0 {
		t.Errorf("%d descriptors and %d rings are left", a-fds, b)
	}
}
