package remedy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
)

// leakOrder is what a process that leaks connections is told to do, and leakAnswer
// what came of it.
type leakOrder struct {
	Do string // leak: connect until that fails or there are N; once: connect and close; try: read and write all
	To string
	N  int
}

type leakAnswer struct {
	Opened int
	Errno  int // of the connect() that failed, 0 for none
	Ends   int // try: reads that gave the end of the file
	Writes map[string]int
}

// leakConnections plays a client that closes none of its connections. As any Go
// program it has a handler for SIGPIPE.
func leakConnections() error {
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	var fds []int
	for lines.Scan() {
		var o leakOrder
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		var a leakAnswer
		switch o.Do {
		case "leak", "once":
			to := sockaddrOf(netip.MustParseAddrPort(o.To))
			for a.Opened < o.N && a.Errno == 0 {
				fd, err := dialTo(to)
				if err != nil {
					errno, _ := errors.AsType[unix.Errno](err)
					a.Errno = int(errno)
					break
				}
				a.Opened++
				if o.Do == "once" {
					unix.Close(fd)
				} else {
					fds = append(fds, fd)
				}
			}
		case "try":
			a.Writes = make(map[string]int)
			for _, fd := range fds {
				if n, err := unix.Read(fd, make([]byte, 16)); n == 0 && err == nil {
					a.Ends++
				}
				_, err := unix.Write(fd, []byte("x"))
				a.Writes[nameOf(err)]++
			}
			a.Opened = len(fds)
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

// nameOf gives an errno's name, "" for none.
func nameOf(err error) string {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return unix.ErrnoName(errno)
	}
	return ""
}

func sockaddrOf(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
	}
	return &unix.SockaddrInet6{Addr: ap.Addr().As16(), Port: int(ap.Port())}
}

func dialTo(to unix.Sockaddr) (int, error) {
	family := unix.AF_INET
	if _, ok := to.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, to); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listenAt listens at a free port of the address, in the namespace of the test.
func listenAt(t *testing.T, addr string) (fd int, at netip.AddrPort) {
	t.Helper()
	a := netip.MustParseAddr(addr)
	family := unix.AF_INET
	if !a.Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	ok(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	// Below the range, so that the service does not lie among the ports that a
	// client takes.
	for port := uint16(8000); ; port++ {
		at = netip.AddrPortFrom(a, port)
		if err = unix.Bind(fd, sockaddrOf(at)); err != unix.EADDRINUSE {
			break
		}
	}
	ok(t, err)
	ok(t, unix.Listen(fd, 4096))
	return fd, at
}

// acceptAndClose plays a server that closes what is idle, until the test ends.
func acceptAndClose(t *testing.T, listener int) {
	go func() {
		for {
			fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if err == unix.EINTR || err == unix.ECONNABORTED {
				continue
			}
			if err != nil {
				return
			}
			unix.Close(fd)
		}
	}()
	t.Cleanup(func() { unix.Shutdown(listener, unix.SHUT_RD) })
}

// leaker is a process that leaks, as the test has it.
type leaker struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func startLeaker(t *testing.T) *leaker {
	t.Helper()
	l := &leaker{t: t, cmd: kerneltest.Part("close-leaker")}
	var err error
	l.in, err = l.cmd.StdinPipe()
	ok(t, err)
	out, err := l.cmd.StdoutPipe()
	ok(t, err)
	l.out = json.NewDecoder(out)
	ok(t, l.cmd.Start())
	t.Cleanup(func() { l.in.Close(); l.cmd.Wait() })
	return l
}

func (l *leaker) do(o leakOrder) (a leakAnswer) {
	l.t.Helper()
	if err := json.NewEncoder(l.in).Encode(o); err != nil {
		l.t.Fatalf("%s: %v", o.Do, err)
	}
	if err := l.out.Decode(&a); err != nil {
		l.t.Fatalf("%s: %v", o.Do, err)
	}
	return a
}

// keeping starts a program that holds the descriptors and does nothing with them, as
// sh(1) starts it. The test keeps none of them.
func keeping(t *testing.T, prefix string, fds ...int) *exec.Cmd {
	t.Helper()
	return keepingAs(t, 0, prefix, fds...)
}

func keepingAs(t *testing.T, uid uint32, prefix string, fds ...int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", prefix+"exec cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	keepingBy(t, cmd, fds...)
	until(t, "cat runs", func() bool {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
		return string(comm) == "cat\n"
	})
	return cmd
}

// keepingBy starts a program that ends with its standard input.
func keepingBy(t *testing.T, cmd *exec.Cmd, fds ...int) *exec.Cmd {
	t.Helper()
	in, err := cmd.StdinPipe()
	ok(t, err)
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	ok(t, cmd.Start())
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return cmd
}

// bySS counts the sockets of the test's namespace by state, as ss(8) has them,
// listeners left out.
func bySS(t *testing.T) map[string]int {
	t.Helper()
	out, err := exec.Command(kerneltest.Tool(t, "ss"), "-tanH").Output()
	ok(t, err)
	n := make(map[string]int)
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "LISTEN" {
			n[f[0]]++
		}
	}
	return n
}

// closeOptions are for all sockets of the test's own namespace and no other.
func closeOptions(t *testing.T, states ...tcpvet.State) CloseOptions {
	t.Helper()
	id, err := netns.Self()
	ok(t, err)
	src, err := source.Open("netlink")
	ok(t, err)
	return CloseOptions{
		Selection: Selection{Source: src, Query: source.Query{Netns: source.Namespaces{Names: []string{strconv.FormatUint(uint64(id), 10)}}}},
		States:    tcpvet.SetOf(states...),
		All:       true,
	}
}

// inNamespace keeps a process in the test's namespace, through which it is found.
func inNamespace(t *testing.T) { t.Helper(); keeping(t, "") }

// tallied says what became of the changes, each way with how often.
func tallied(p *Plan) string {
	var parts []string
	n := p.Tally()
	for _, o := range []tcpvet.Outcome{"", tcpvet.OutcomeApplied, tcpvet.OutcomeGone, tcpvet.OutcomeRefused, tcpvet.OutcomeFailed} {
		if n[o] > 0 {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", n[o], o)))
		}
	}
	return strings.Join(parts, ", ")
}

// reasons counts the changes by outcome and reason.
func reasons(p *Plan) map[string]int {
	n := make(map[string]int)
	for i := range p.Changes {
		c := &p.Changes[i]
		n[strings.TrimSpace(string(c.Outcome)+" "+c.Reason)]++
	}
	return n
}
