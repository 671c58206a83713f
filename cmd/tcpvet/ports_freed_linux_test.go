package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

var saysWhatStays = regexp.MustCompile(`8 of them are in CLOSE-WAIT.* only half closed[^.]* answers every probe, and nothing ends`)

// Sockets that stay in CLOSE-WAIT are told apart by what their peer does: where it has
// closed, keepalive frees the port, and the program connects again; where it is only
// half closed nothing of that comes, which is said before.
func TestRootKeepaliveFreesPorts(t *testing.T) {
	kerneltest.Root(t)
	ss := kerneltest.Tool(t, "ss")
	tcpvet := binary(t)
	kerneltest.Netns(t)
	closing, half := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp4", "127.0.0.1:0")
	for name, value := range map[string]string{
		"ip_local_port_range": "20000 20003", // the listeners are elsewhere
		"tcp_fin_timeout":     "1",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	// The program that leaks; it is asked for another connection by a line.
	leaky := exec.Command(kerneltest.Tool(t, "python3"), "-c", `
import socket, sys
held = []
def connect(port):
    s = socket.socket()
    try:
        s.connect(("127.0.0.1", port))
        held.append(s)
        return 0
    except OSError as e:
        return e.errno
for line in sys.stdin:
    print(connect(int(line)), flush=True)
`)
	leaky.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := leaky.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := leaky.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := leaky.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); leaky.Wait() })
	answers := bufio.NewReader(out)
	connect := func(l net.Listener) string {
		t.Helper()
		fmt.Fprintln(in, l.Addr().(*net.TCPAddr).Port)
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	for range 4 {
		for _, l := range []net.Listener{closing, half} {
			if got := connect(l); got != "0" {
				t.Fatalf("connect: errno %s", got)
			}
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if l == closing {
				c.Close()
			} else {
				c.(*net.TCPConn).CloseWrite()
				t.Cleanup(func() { c.Close() })
			}
		}
	}
	for _, l := range []net.Listener{closing, half} {
		if got := connect(l); got != "99" {
			t.Errorf("with all ports taken connect: errno %s, want 99", got)
		}
	}
	fix := []string{"fix", "keepalive", "--pid", strconv.Itoa(leaky.Process.Pid), "--idle", "1s", "--interval", "1s", "--count", "3", "--journal", filepath.Join(t.TempDir(), "journal")}
	plan, status := run(t, tcpvet, fix...)
	// A row for each service, and what keepalive cannot do.
	if !saysWhatStays.MatchString(strings.Join(strings.Fields(plan), " ")) || strings.Count(plan, "to 127.0.0.1:") != 2 || status != 0 {
		t.Errorf("status %d, and the plan does not say what stays:\n%s", status, plan)
	}
	if out, status := run(t, tcpvet, append(fix, "--apply")...); status != 0 {
		t.Fatalf("status %d\n%s", status, out)
	}
	closeWait := func(l net.Listener) int {
		t.Helper()
		out, _ := run(t, ss, "-Htn", "state", "close-wait", "dst", l.Addr().String())
		return strings.Count(out, "\n")
	}
	for deadline := time.Now().Add(time.Minute); closeWait(closing) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d are in CLOSE-WAIT after a minute, whose peer has closed", closeWait(closing))
		}
	}
	if got := connect(closing); got != "0" {
		t.Errorf("the ports are free, and connect: errno %s", got)
	}
	if n, got := closeWait(half), connect(half); n != 4 || got != "99" {
		t.Errorf("half closed: %d in CLOSE-WAIT, errno %s; want all 4, and 99", n, got)
	}
}
