package procfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"golang.org/x/sys/unix"
)

func TestSocketsFindsAListener(t *testing.T) {
	runtime.LockOSThread() // one thread-self from begin to end
	defer runtime.UnlockOSThread()
	fd, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(sa.(*unix.SockaddrInet4).Port)
	found := 0
	err = FS{}.Sockets(context.Background(), tcpvet.SetOf(tcpvet.Listen), func(s *tcpvet.Socket) error {
		if s.State != tcpvet.Listen {
			t.Errorf("asked for listeners, got %v", s.State)
		}
		if s.Inode == inode(t, fd) {
			found++
			if s.Local != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port) || int(s.UID) != os.Geteuid() {
				t.Errorf("got %v of user %d", s.Local, s.UID)
			}
		}
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("found %d times, %v", found, err)
	}
}

// Listeners of both families come before other sockets of either, an absent
// tcp6 is no error, and only what is asked for is read.
func TestSocketsOrder(t *testing.T) {
	dir := t.TempDir()
	net := filepath.Join(dir, "thread-self/net")
	if err := os.MkdirAll(net, 0o755); err != nil {
		t.Fatal(err)
	}
	any4, any6 := netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("[::]:0")
	four, six := netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("[::1]:80")
	line := func(local, remote netip.AddrPort, state tcpvet.State, inode uint64) string {
		return kernelLine(local, remote, int(state), 0, 0, 0, 0, 0, 0, 0, inode) + "\n"
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(net, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("tcp", header4+"\n"+line(four, any4, tcpvet.Listen, 1)+line(four, any4, tcpvet.Listen, 2)+
		line(four, four, tcpvet.Established, 3)+line(four, four, tcpvet.CloseWait, 4))
	look := func(states tcpvet.StateSet) string {
		t.Helper()
		var seen []string
		err := FS{Root: dir}.Sockets(context.Background(), states, func(s *tcpvet.Socket) error {
			seen = append(seen, fmt.Sprint(s.Inode))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return strings.Join(seen, " ")
	}
	if got := look(0); got != "1 2 3 4" {
		t.Errorf("without tcp6: %s", got)
	}
	write("tcp6", header6+"\n"+line(six, any6, tcpvet.Listen, 5)+line(six, six, tcpvet.CloseWait, 6)+line(six, six, tcpvet.Established, 7))
	for _, test := range []struct {
		states tcpvet.StateSet
		want   string
	}{
		{0, "1 2 5 3 4 6 7"},
		{tcpvet.SetOf(tcpvet.Listen), "1 2 5"},
		{tcpvet.SetOf(tcpvet.CloseWait), "4 6"},
		{tcpvet.SetOf(tcpvet.Listen, tcpvet.Established), "1 2 5 3 7"},
		{tcpvet.SetOf(tcpvet.TimeWait), ""},
	} {
		if got := look(test.states); got != test.want {
			t.Errorf("states %b: %s, want %s", test.states, got, test.want)
		}
	}

	stop := errors.New("stop")
	for at := 1; at <= 7; at++ {
		n := 0
		err := FS{Root: dir}.Sockets(context.Background(), 0, func(*tcpvet.Socket) error {
			if n++; n == at {
				return stop
			}
			return nil
		})
		if err != stop || n != at {
			t.Errorf("stopped at socket %d: %d calls, %v", at, n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (FS{Root: dir}).Sockets(ctx, 0, func(*tcpvet.Socket) error { return nil }); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	write("tcp6", header6+"\n"+line(six, any6, tcpvet.Listen, 5)+"junk\n")
	if err := (FS{Root: dir}).Sockets(context.Background(), 0, func(*tcpvet.Socket) error { return nil }); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("junk: %v", err)
	}
	if err := (FS{Root: net}).Sockets(context.Background(), 0, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without tcp: %v", err)
	}
}

// ss reads the same sockets by sock_diag.
func TestRootSocketsAgreeWithSS(t *testing.T) {
	kerneltest.Netns(t)
	ss := kerneltest.Tool(t, "ss")
	for _, end := range stage(t) {
		defer unix.Close(end)
	}
	var got, want map[string]string
	for range 20 { // what expires or is sent between the two looks may differ once
		got, want = map[string]string{}, map[string]string{}
		err := FS{}.Sockets(context.Background(), 0, func(s *tcpvet.Socket) error {
			k, v := describe(s)
			got[k] = v
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(ss, "-tanOHeo").Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(out) {
			k, v := describeSS(t, string(line))
			want[k] = v
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s\n got %s\n ss  %s", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d sockets, ss has %d", len(got), len(want))
	}
	states := fmt.Sprint(want)
	for _, s := range []string{"LISTEN q 1", "ESTAB", "CLOSE-WAIT", "FIN-WAIT-2", "TIME-WAIT", "timewait", "keepalive", "[::1]", "ffff:"} {
		if !strings.Contains(states, s) {
			t.Errorf("the stage has no %s:\n%s", s, states)
		}
	}
}

// stage makes sockets in several states over both families.
func stage(t *testing.T) (fds []int) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pair := func(family int, listenOn, dial unix.Sockaddr) (client, server int) {
		l, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		check(err)
		fds = append(fds, l)
		check(unix.Bind(l, listenOn))
		check(unix.Listen(l, 16))
		sa, err := unix.Getsockname(l)
		check(err)
		switch a := sa.(type) {
		case *unix.SockaddrInet4:
			dial.(*unix.SockaddrInet4).Port = a.Port
		case *unix.SockaddrInet6:
			switch d := dial.(type) {
			case *unix.SockaddrInet4:
				d.Port = a.Port
			case *unix.SockaddrInet6:
				d.Port = a.Port
			}
		}
		dialFamily := unix.AF_INET
		if _, ok := dial.(*unix.SockaddrInet6); ok {
			dialFamily = unix.AF_INET6
		}
		client, err = unix.Socket(dialFamily, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		check(err)
		check(unix.Connect(client, dial))
		server, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC)
		check(err)
		return client, server
	}
	lo4 := func() unix.Sockaddr { return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}} }
	lo6 := func() unix.Sockaddr { return &unix.SockaddrInet6{Addr: [16]byte{15: 1}} }

	c, s := pair(unix.AF_INET, lo4(), lo4()) // ESTAB with unread data and keepalive
	_, err := unix.Write(c, make([]byte, 1234))
	check(err)
	check(unix.SetsockoptInt(c, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	fds = append(fds, c, s)

	c, s = pair(unix.AF_INET6, lo6(), lo6()) // CLOSE-WAIT never read, FIN-WAIT-2 that is held
	check(unix.Shutdown(c, unix.SHUT_WR))
	fds = append(fds, c, s)

	c, s = pair(unix.AF_INET6, &unix.SockaddrInet6{}, lo4()) // mapped; FIN-WAIT-2 that nobody holds
	check(unix.Close(c))
	fds = append(fds, s)

	c, s = pair(unix.AF_INET, lo4(), lo4()) // TIME-WAIT
	check(unix.Close(c))
	time.Sleep(5 * time.Millisecond)
	check(unix.Close(s))

	c, s = pair(unix.AF_INET, lo4(), lo4()) // a listener with one waiting
	fds = append(fds, c, s)
	sa, err := unix.Getpeername(c)
	check(err)
	waiting, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	check(unix.Connect(waiting, sa))
	return append(fds, waiting)
}

// describe puts a socket into words that describeSS has too.
func describe(s *tcpvet.Socket) (key, text string) {
	key = fmt.Sprintf("%v>%v", s.Local, s.Remote)
	text = fmt.Sprintf("%v q %d", s.State, s.RecvQ)
	if s.State != tcpvet.Listen { // whose limit ss knows
		text += fmt.Sprintf(" %d", s.SendQ)
	}
	text += fmt.Sprintf(" uid %d ino %d mini %v timer %v %d", s.UID, s.Inode, s.Mini, s.Timer.Kind, s.Timer.Retransmits)
	return key, text
}

var (
	ssTimer = regexp.MustCompile(`timer:\((\w+),[^,]*,(\d+)\)`)
	ssWord  = regexp.MustCompile(`(uid|ino):(\d+)`)
)

func describeSS(t *testing.T, line string) (key, text string) {
	t.Helper()
	f := strings.Fields(line)
	addr := func(s string) netip.AddrPort {
		s = strings.TrimSuffix(s, ":*")
		if !strings.Contains(strings.TrimLeft(s, "["), ":") || strings.HasSuffix(s, "]") {
			s += ":0"
		}
		s = strings.Replace(s, "*:", "[::]:", 1)
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			t.Fatalf("ss: %q: %v", line, err)
		}
		return ap
	}
	key = fmt.Sprintf("%v>%v", addr(f[3]), addr(f[4]))
	text = fmt.Sprintf("%s q %s", f[0], f[1])
	if f[0] != "LISTEN" {
		text += " " + f[2]
	}
	n := map[string]uint64{}
	for _, m := range ssWord.FindAllStringSubmatch(line, -1) {
		n[m[1]], _ = strconv.ParseUint(m[2], 10, 64)
	}
	timer, retransmits := "off", "0"
	if m := ssTimer.FindStringSubmatch(line); m != nil {
		timer, retransmits = m[1], m[2]
	}
	text += fmt.Sprintf(" uid %d ino %d mini %v timer %s %s", n["uid"], n["ino"], timer == "timewait", timer, retransmits)
	return key, text
}
