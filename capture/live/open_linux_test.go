package live

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestRootOpenErrors(t *testing.T) {
	stage(t)
	if err := netlink.LinkSetDown(link(t, "v0")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		o    Options
		is   error
		says string
	}{
		{Options{Interface: "v7"}, ErrNoInterface, "capture on v7: there is no such interface: there are any, lo, "},
		{Options{Interface: strings.Repeat("v", 20)}, ErrNoInterface, "v1"},
		{Options{Interface: "v0"}, ErrDown, "ip link set v0 up"},
		{Options{SnapLen: -1}, nil, "choose 0 for all"},
		{Options{SnapLen: MaxSnapLen + 1}, nil, "up to 262112"},
		{Options{Buffer: 100}, nil, "choose 8192 to 1073741824"},
		{Options{Buffer: -1}, nil, "choose "},
	} {
		l, err := Open(test.o)
		if err == nil {
			l.Close()
		}
		if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test.o, err)
		}
	}
}

type denied struct {
	EPERM bool
	Text  string
}

func openAndTell() error {
	l, err := Open(Options{Interface: "lo"})
	if err == nil {
		return errors.Join(errors.New("it was opened"), l.Close())
	}
	return kerneltest.Say(denied{errors.Is(err, unix.EPERM), err.Error()})
}

func TestRootOpenAsNobody(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, ring)
	const nobody = 65534
	var got denied
	kerneltest.Play(t, "open", &got, func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	if !got.EPERM || !strings.Contains(got.Text, "needs CAP_NET_RAW") {
		t.Errorf("got %+v", got)
	}
}

// A capture is opened in another namespace and read from anywhere.
func TestRootOtherNamespace(t *testing.T) {
	stage(t)
	send := newSender(t, "v1")
	inside := kerneltest.Part("wait")
	if err := inside.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { inside.Process.Kill(); inside.Wait() }()
	found, _, err := netns.Find(netns.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found, err = netns.Select(found, []string{"pid:" + strconv.Itoa(inside.Process.Pid)})
	if err != nil {
		t.Fatal(err)
	}
	var l *Live
	done := make(chan error)
	go func() { // on a thread that is outside
		done <- found[0].Do(func() (err error) { l, err = Open(Options{Interface: "v0"}); return err })
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	send.send(made{src: "10.7.0.1:1", dst: "10.7.0.2:2"})
	go func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		var s capture.Segment
		err := l.Next(ctx, &s)
		if err == nil && s.Dst != addr("10.7.0.2:2") {
			err = errors.New("it captured something else")
		}
		if name, ok := l.InterfaceName(s.Interface); err == nil && (!ok || name != "v0") {
			err = errors.New("captured on " + name)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
