package rules_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	"github.com/tcpvet/tcpvet/vet"
)

// stage makes sockets in the namespace of the test's thread, by bare system
// calls: the runtime's poller would set options and change threads.
type stage struct{ *testing.T }

func (s stage) sockaddr(to string) (unix.Sockaddr, int) {
	ap := netip.MustParseAddrPort(to)
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}, unix.AF_INET6
}

func (s stage) open(family int) int {
	s.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = unix.Close(fd) }) // the test may have closed it
	return fd
}

func (s stage) listen(at string, backlog int) int {
	s.Helper()
	addr, family := s.sockaddr(at)
	fd := s.open(family)
	if err := unix.Bind(fd, addr); err != nil {
		s.Fatalf("bind %s: %v", at, err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		s.Fatal(err)
	}
	return fd
}

// dial connects from an address, "" for the kernel's choice; the port is left to
// connect().
func (s stage) dial(from, to string) int {
	s.Helper()
	addr, family := s.sockaddr(to)
	fd := s.open(family)
	if from != "" {
		local, _ := s.sockaddr(from + ":0")
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			s.Fatal(err)
		}
		if err := unix.Bind(fd, local); err != nil {
			s.Fatal(err)
		}
	}
	if err := unix.Connect(fd, addr); err != nil {
		s.Fatalf("connect to %s: %v", to, err)
	}
	return fd
}

func (s stage) accept(listener int) int {
	s.Helper()
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func (s stage) close(fd int) {
	s.Helper()
	if err := unix.Close(fd); err != nil {
		s.Fatal(err)
	}
}

// fill writes once, or until nothing more goes in.
func (s stage) fill(fd int, full bool) {
	s.Helper()
	data := make([]byte, 1<<16)
	for {
		_, err := unix.SendmsgN(fd, data, nil, nil, unix.MSG_DONTWAIT)
		if err != nil && (!full || !errors.Is(err, unix.EAGAIN)) {
			s.Fatal(err)
		}
		if err != nil || !full {
			return
		}
	}
}

// sh runs a shell line in the test's namespace.
func (s stage) sh(line string) string {
	s.Helper()
	out, err := exec.Command("/bin/sh", "-c", line).CombinedOutput()
	if err != nil {
		s.Errorf("%s: %v: %s", line, err, out)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// beyondSS holds what no text of ss tells.
const beyondSS = tcpvet.FactTableless | tcpvet.FactHosts | tcpvet.FactSysctlConf | tcpvet.FactBound | tcpvet.FactLimits | tcpvet.FactCounters

// diagnose looks by ss and judges by every rule.
func (s stage) diagnose() []tcpvet.Finding {
	s.Helper()
	out, err := exec.Command(kerneltest.Tool(s, "ss"), "-tanieoO").CombinedOutput()
	if err != nil {
		s.Fatalf("ss: %v: %s", err, out)
	}
	var settings strings.Builder
	low, high, _ := strings.Cut(s.sh("sysctl -n net.ipv4.ip_local_port_range"), " ")
	fmt.Fprintf(&settings, "ports %s-%s\npatience 50ms\npath-idle 10.9.0.3/32=20ms\n", low, high)
	for _, name := range []string{"tcp_tw_reuse", "tcp_tw_reuse_delay", "tcp_timestamps", "tcp_fin_timeout"} {
		fmt.Fprintf(&settings, "net.ipv4.%s = %s\n", name, s.sh("sysctl -n net.ipv4."+name))
	}
	archive := "Sockets that the test has staged.\n-- settings.txt --\n" + settings.String() +
		"-- now.txt --\n$ ss -tanieoO\n" + string(out) + "-- want.txt --\n"
	f := ruletest.Parse(s, "staged", []byte(archive))
	r := vet.Run(f.Case, rules.All)
	for _, skipped := range r.Skipped {
		if skipped.Missing&beyondSS != 0 {
			continue
		}
		s.Errorf("%s was skipped: %v is missing", skipped.Rule, skipped.Missing)
	}
	return r.Findings
}

// TestRootEvidence stages what every rule looks for on the real kernel, judges
// it, and runs each line of evidence: it must print the number that the finding
// gives. Then it applies the remedies that are commands, and looks again.
func TestRootEvidence(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/tcpvet", "../cmd/tcpvet").CombinedOutput(); err != nil {
		t.Fatalf("build tcpvet: %v\n%s", err, out)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	kerneltest.Netns(t)
	s := stage{t}
	s.sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40099' net.ipv4.tcp_tw_reuse=0 net.ipv6.conf.all.disable_ipv6=0")
	s.sh("ip addr add 10.9.0.1/24 dev lo && ip addr add 10.9.0.2/24 dev lo && ip addr add 10.9.0.3/24 dev lo")

	// 60 + 5 connections that the server closes and the client keeps, some of
	// them IPv4 over an IPv6 socket; and 12 of IPv6.
	leaky := s.listen("127.0.0.1:8080", 16)
	for i := range 65 {
		to := "127.0.0.1:8080"
		if i >= 60 {
			to = "[::ffff:127.0.0.1]:8080"
		}
		s.dial("", to)
		s.close(s.accept(leaky))
	}
	leaky6 := s.listen("[::1]:8081", 16)
	for range 12 {
		s.dial("", "[::1]:8081")
		s.close(s.accept(leaky6))
	}
	// 70 that the client closes first, which leaves it in TIME-WAIT.
	brief := s.listen("127.0.0.2:8082", 16)
	for range 70 {
		client := s.dial("127.0.0.1", "127.0.0.2:8082")
		server := s.accept(brief)
		s.close(client)
		s.close(server)
	}
	// 11 half-closed by a client whose server goes on.
	half := s.listen("127.0.0.3:8083", 16)
	for range 11 {
		client := s.dial("127.0.0.1", "127.0.0.3:8083")
		s.accept(half)
		if err := unix.Shutdown(client, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
	}
	// 15 idle ones, not on loopback addresses.
	idle := s.listen("10.9.0.2:8084", 32)
	for range 15 {
		s.dial("10.9.0.1", "10.9.0.2:8084")
		s.accept(idle)
	}
	// A queue one past its limit, of each family.
	s.listen("0.0.0.0:8085", 2)
	s.listen("[::]:8086", 1)
	for range 3 {
		s.dial("", "127.0.0.1:8085")
	}
	for range 2 {
		s.dial("", "[::1]:8086")
	}
	// 13 with data that nobody reads, two of them until the window is 0.
	heap := s.listen("127.0.0.1:8087", 16)
	for i := range 13 {
		client := s.dial("", "127.0.0.1:8087")
		s.accept(heap)
		s.fill(client, i < 2)
	}
	// 12 whose keepalive is slower than the path.
	late := s.listen("10.9.0.3:8088", 16)
	for range 12 {
		client := s.dial("10.9.0.1", "10.9.0.3:8088")
		s.accept(late)
		if err := unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(600 * time.Millisecond) // past patience, and past what may be in passing

	findings := s.diagnose()
	fired := make(map[string]int)
	ran := 0
	for _, f := range findings {
		fired[f.Rule]++
		for _, e := range f.Evidence {
			if !strings.HasPrefix(e.Check, "ss ") && !strings.HasPrefix(e.Check, "sysctl ") && !strings.HasPrefix(e.Check, "nstat ") {
				t.Errorf("%s: the test cannot vouch for %q", f.Rule, e.Check)
				continue
			}
			ran++
			if got, want := s.sh(e.Check), strings.ReplaceAll(e.Got, ",", ""); got != want {
				t.Errorf("%s: %s\n%s\nprints %s, the finding says %s", f.Rule, e.What, e.Check, got, e.Got)
			}
		}
	}
	t.Logf("%d lines of evidence agree; findings: %v", ran, fired)
	// By rule, the services that it must find. Several have a server's end too.
	for rule, want := range map[string][]string{
		"close-wait-leak":    {"127.0.0.1:8080", "[::1]:8081", "127.0.0.3:8083"},
		"port-exhaustion":    {"127.0.0.1:8080", "127.0.0.2:8082"},
		"time-wait-pressure": {"127.0.0.2:8082"},
		"fin-wait-2-pileup":  {"127.0.0.1:8080", "[::1]:8081", "127.0.0.3:8083"},
		"no-keepalive":       {"10.9.0.2:8084"},
		"unread-data":        {"127.0.0.1:8087"},
		"keepalive-too-late": {"10.9.0.3:8088"},
		"accept-queue-full":  {"0.0.0.0:8085", "[::]:8086"},
	} {
		for _, service := range want {
			if find(findings, rule, service) == nil {
				t.Errorf("%s does not find %s", rule, service)
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d lines of evidence were run for %v", ran, fired)
	}
	if f := find(findings, "close-wait-leak", "127.0.0.1:8080"); f != nil && number(f, "close_wait_sockets") != 65 {
		t.Errorf("staged 65 in CLOSE-WAIT, found\n%s", ruletest.Text(*f))
	}

	for _, f := range findings {
		for _, r := range f.Remedies {
			switch r.(type) {
			case tcpvet.SetSysctl, tcpvet.Destroy, tcpvet.SetKeepalive:
				s.sh(r.Command() + " --apply --accept-risk " + r.Risk().String() + " --journal " + dir)
			}
		}
	}
	time.Sleep(1100 * time.Millisecond) // tcp_tw_reuse_delay
	cured := s.diagnose()
	for rule, services := range map[string][]string{
		"close-wait-leak":    {"127.0.0.1:8080", "[::1]:8081"},
		"port-exhaustion":    {"127.0.0.1:8080", "127.0.0.2:8082"},
		"time-wait-pressure": {"127.0.0.2:8082"},
	} {
		for _, service := range services {
			if f := find(cured, rule, service); f != nil {
				t.Errorf("the remedies of %s leave\n%s", rule, ruletest.Text(*f))
			}
		}
	}
}

func find(findings []tcpvet.Finding, rule, service string) *tcpvet.Finding {
	for i, f := range findings {
		if f.Rule == rule && f.Subject.Service == netip.MustParseAddrPort(service) {
			return &findings[i]
		}
	}
	return nil
}

func number(f *tcpvet.Finding, name string) float64 {
	for _, n := range f.Numbers {
		if n.Name == name {
			return n.Value
		}
	}
	return -1
}
