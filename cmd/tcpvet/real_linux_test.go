package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// binary builds the program that a user would run.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tcpvet")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build tcpvet: %v\n%s", err, out)
	}
	return path
}

// run gives what a program printed on standard output, and its exit status.
func run(t *testing.T, name string, args ...string) (stdout string, status int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatalf("run %s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// start starts a program that ends with the test, and gives its standard output
// once it has printed the word.
func start(t *testing.T, word, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	if word == "" {
		return cmd
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("%s ended before it said %q", name, word)
			}
			if line == word {
				return cmd
			}
		case <-deadline:
			t.Fatalf("%s did not say %q within 30 s", name, word)
		}
	}
}

func nginx(t *testing.T, keepalive string) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	text := kerneltest.NginxConfig(dir, 4096, "keepalive_timeout "+keepalive+`;
server { listen 127.0.0.1:8080 backlog=4096; location / { return 200 "stock: 7\n"; } }`)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, "", kerneltest.Tool(t, "nginx"), "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf)
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:8080")
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx does not answer: %v\n%s", err, log)
		}
	}
}

type diagnosis struct {
	Findings []struct {
		Rule, Severity, Kind string
		Subject              struct {
			Processes []struct {
				PID  int
				Comm string
			}
			Service, Local string
		}
		Numbers  map[string]float64
		Evidence []struct{ What, Got, Check string }
		Remedies []struct{ Kind, Command, Text string }
	}
	Gaps []struct{ What string }
}

func parseDiagnosis(t *testing.T, out string) diagnosis {
	t.Helper()
	var d diagnosis
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("diagnosis is no JSON: %v\n%s", err, out)
	}
	return d
}

// The article's case with its own programs: requests keeps a Session per
// request, nginx closes what is idle, and nobody closes the other end.
func TestRootRealNginxAndRequests(t *testing.T) {
	kerneltest.Netns(t)
	python := kerneltest.Tool(t, "python3")
	tcpvet := binary(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40099"), 0); err != nil {
		t.Fatal(err)
	}
	nginx(t, "1s")
	leaky := start(t, "ready", python, "-c", `
import requests, sys, time
kept = []
failed = None
for i in range(200):
    s = requests.Session()
    try:
        s.get("http://127.0.0.1:8080/stock")
    except requests.exceptions.ConnectionError as e:
        failed = e
        break
    kept.append(s)
assert failed is not None and "Errno 99" in str(failed), failed
print("ready", flush=True)
time.sleep(600)
`)
	// nginx closes after 1 s; then they wait past the patience of 2 s.
	waitForStates(t, "nginx to close what is idle", func(n map[string]int) bool {
		return n[established] == 0 && n[finWait1] == 0 && n[closeWait] > 0
	})
	time.Sleep(2500 * time.Millisecond)
	out, status := run(t, tcpvet, "diagnose", "--patience", "2s", "-o", "json")
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	d := parseDiagnosis(t, out)
	for _, f := range d.Findings {
		if f.Rule != "close-wait-leak" {
			continue
		}
		if len(f.Subject.Processes) != 1 || f.Subject.Processes[0].PID != leaky.Process.Pid || f.Subject.Processes[0].Comm != "python3" {
			t.Errorf("held by %v, want python3[%d]", f.Subject.Processes, leaky.Process.Pid)
		}
		if f.Severity != "critical" || f.Kind != "never-read" || f.Subject.Service != "127.0.0.1:8080" {
			t.Errorf("%s %s to %s, want critical never-read to 127.0.0.1:8080", f.Severity, f.Kind, f.Subject.Service)
		}
		agreeWithEvidence(t, f.Evidence[0].Check, f.Evidence[0].Got)
		return
	}
	t.Fatalf("no close-wait-leak among %s", out)
}

// agreeWithEvidence runs the command that a finding names: it has to show what
// the finding says.
func agreeWithEvidence(t *testing.T, check, got string) {
	t.Helper()
	out, status := run(t, "/bin/sh", "-c", check)
	if status != 0 || strings.TrimSpace(out) != strings.ReplaceAll(got, ",", "") {
		t.Errorf("%s: printed %q with status %d, want %q", check, strings.TrimSpace(out), status, got)
	}
}

// A busy and healthy pair of programs gives exit status 0 and no finding.
func TestRootHealthyNamespace(t *testing.T) {
	kerneltest.Netns(t)
	python := kerneltest.Tool(t, "python3")
	tcpvet := binary(t)
	nginx(t, "60s")
	start(t, "ready", python, "-c", `
import requests, threading, time
def work():
    with requests.Session() as s:
        while True:
            s.get("http://127.0.0.1:8080/stock").content
for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
time.sleep(2)
print("ready", flush=True)
time.sleep(600)
`)
	out, status := run(t, tcpvet, "diagnose", "--patience", "1s", "-o", "json")
	if d := parseDiagnosis(t, out); status != 0 || len(d.Findings) > 0 {
		t.Errorf("exit status %d, findings %+v; want 0 and none", status, d.Findings)
	}
}

// Sockets in many states, counted by tcpvet, ss and netstat.
func TestRootCountsAsSSAndNetstat(t *testing.T) {
	kerneltest.Netns(t)
	ss, netstat := kerneltest.Tool(t, "ss"), kerneltest.Tool(t, "netstat")
	tcpvet := binary(t)
	stageStates(t)
	want := map[string]int{"LISTEN": 3, "ESTAB": 40, "CLOSE-WAIT": 14, "FIN-WAIT-2": 14, "TIME-WAIT": 5}

	for name, args := range map[string][]string{
		"netlink": {"count", "-o", "csv"}, "procfs": {"count", "-o", "csv", "--source", "procfs"},
		"netlink, socket by socket": {"count", "-o", "csv", "--by", "state,role"},
	} {
		out, _ := run(t, tcpvet, args...)
		got := make(map[string]int)
		for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
			cells := strings.Split(line, ",")
			var n int
			fmt.Sscan(cells[len(cells)-1], &n)
			got[cells[0]] += n
		}
		compareCounts(t, "tcpvet by "+name, got, want)
	}
	compareCounts(t, "ss", countColumn(t, ss, 0, ssWords, "-Htan"), want)
	compareCounts(t, "netstat", countColumn(t, netstat, 5, netstatWords, "-tan"), want)
}

var ssWords = map[string]string{}

var netstatWords = map[string]string{
	"ESTABLISHED": "ESTAB", "CLOSE_WAIT": "CLOSE-WAIT", "FIN_WAIT2": "FIN-WAIT-2", "TIME_WAIT": "TIME-WAIT",
}

func countColumn(t *testing.T, tool string, column int, words map[string]string, args ...string) map[string]int {
	t.Helper()
	out, _ := run(t, tool, args...)
	got := make(map[string]int)
	for _, line := range strings.Split(out, "\n") {
		cells := strings.Fields(line)
		if len(cells) <= column || strings.HasPrefix(line, "Proto") || strings.HasPrefix(line, "Active") {
			continue
		}
		word := cells[column]
		if w, ok := words[word]; ok {
			word = w
		}
		got[word]++
	}
	return got
}

func compareCounts(t *testing.T, who string, got, want map[string]int) {
	t.Helper()
	for state, n := range want {
		if got[state] != n {
			t.Errorf("%s counts %d in %s, want %d", who, got[state], state, n)
		}
	}
	for state, n := range got {
		if n != 0 && want[state] == 0 {
			t.Errorf("%s counts %d in %s, want none", who, n, state)
		}
	}
}

// stageStates makes 40 ESTAB, 14 CLOSE-WAIT, 14 FIN-WAIT-2 (9 of them orphans),
// 5 TIME-WAIT and 3 LISTEN, over IPv4, IPv6 and both at once.
func stageStates(t *testing.T) {
	t.Helper()
	v4, v6, dual := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0"), listen(t, "tcp", "[::]:0")
	mapped := fmt.Sprintf("127.0.0.1:%d", dual.Addr().(*net.TCPAddr).Port)
	for i := range 20 {
		switch i % 3 {
		case 0:
			dialPair(t, v4, v4.Addr().String())
		case 1:
			dialPair(t, v6, v6.Addr().String())
		default:
			dialPair(t, dual, mapped)
		}
	}
	for i := range 14 {
		client, server := dialPair(t, v4, v4.Addr().String())
		if i < 9 {
			server.Close() // an orphan
		} else {
			server.(*net.TCPConn).CloseWrite()
		}
		_ = client // it stays in CLOSE-WAIT
	}
	for range 5 {
		client, server := dialPair(t, v6, v6.Addr().String())
		client.Close()
		server.Read(make([]byte, 1))
		server.Close()
	}
	// A FIN may be acknowledged late.
	waitForStates(t, "the last ACKs", func(n map[string]int) bool { return n[finWait1] == 0 && n[lastAck] == 0 })
}

// States as /proc/net/tcp numbers them (include/net/tcp_states.h).
const (
	established = "01"
	finWait1    = "04"
	closeWait   = "08"
	lastAck     = "09"
)

// waitForStates waits until the sockets of the test's namespace, counted by
// state, are as they have to be.
func waitForStates(t *testing.T, what string, settled func(map[string]int) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		n := make(map[string]int)
		for _, name := range []string{"tcp", "tcp6"} {
			table, err := os.ReadFile("/proc/thread-self/net/" + name)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(table)) {
				n[strings.Fields(line)[3]]++ // the head's fourth word is no state
			}
		}
		if settled(n) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s: sockets by state %v", what, n)
		}
	}
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dialPair(t *testing.T, l net.Listener, addr string) (client, server net.Conn) {
	t.Helper()
	client, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// A socket that is merely bound is seen where nothing else is.
func TestRootBoundAlone(t *testing.T) {
	kerneltest.Need(t, kernel.BoundInactive)
	kerneltest.Netns(t)
	tcpvet := binary(t)
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: 40007}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"count", "-o", "csv"}, {"count", "-o", "csv", "--by", "state,role"}} {
		if out, _ := run(t, tcpvet, append(args, "--netns", "self")...); !strings.Contains(out, "BOUND-INACTIVE,") || strings.Contains(out, "BOUND-INACTIVE,0") {
			t.Errorf("%v: %s, want 1 in BOUND-INACTIVE", args, out)
		}
	}
	if out, _ := run(t, tcpvet, "ls", "--netns", "self"); !strings.Contains(out, ":40007") {
		t.Errorf("ls: %s, want port 40007", out)
	}
}

// A signal ends a command that waits for what may never come.
func TestSignalEndsWaiting(t *testing.T) {
	tcpvet := binary(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var messages strings.Builder
		cmd := exec.Command(tcpvet, "diagnose", "--from", "-")
		cmd.Stdin, cmd.Stderr = r, &messages
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Once it has taken a byte it reads, and waits for the next.
		if _, err := w.Write([]byte("S")); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			rest, err := unix.IoctlGetInt(int(w.Fd()), unix.TIOCINQ) // FIONREAD
			if err != nil {
				t.Fatal(err)
			}
			if rest == 0 {
				break
			}
			if time.Now().After(deadline) {
				cmd.Process.Kill()
				cmd.Wait()
				t.Fatal("it does not read its standard input")
			}
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
			if got := cmd.ProcessState.ExitCode(); got != 3 || !strings.Contains(messages.String(), "interrupted") {
				t.Errorf("%s: exit status %d and %q, want 3 and \"interrupted\"", sig, got, messages.String())
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s did not end it", sig)
			cmd.Process.Kill()
			<-ended
		}
		r.Close()
		w.Close()
	}
}

// An ordinary user sees one's own namespace and one's own processes, and is told
// what is missing; the demo works all the same.
func TestRootOrdinaryUser(t *testing.T) {
	kerneltest.Netns(t)
	tcpvet := binary(t)
	openTo(t, filepath.Dir(tcpvet))
	listen(t, "tcp4", "127.0.0.1:0")

	out, messages, status := runAsNobody(t, tcpvet, "ls", "--netns", "self")
	if status != 0 || strings.Count(out, "LISTEN") != 1 || !strings.Contains(out, "not seen") || !strings.Contains(messages, "needs root") {
		t.Errorf("ls: status %d\n%s%s\nwant the listener, its holder not seen, and what would help", status, out, messages)
	}
	out, _, status = runAsNobody(t, tcpvet, "diagnose", "--netns", "self", "-o", "json")
	if d := parseDiagnosis(t, out); status != 0 || len(d.Gaps) == 0 {
		t.Errorf("diagnose: status %d, gaps %v; want 0 and the holders as a gap", status, d.Gaps)
	}
	if _, _, status = runAsNobody(t, tcpvet, "diagnose", "--netns", "self", "--strict"); status != 3 {
		t.Errorf("diagnose --strict: status %d, want 3", status)
	}
	out, messages, status = runAsNobody(t, tcpvet, "demo", "--ports", "20")
	if status != 0 || !strings.Contains(out, "20 of 20") {
		t.Errorf("demo: status %d\n%s%s", status, out, messages)
	}
}

// openTo lets everybody pass through the folders that a test made.
func openTo(t *testing.T, dir string) {
	t.Helper()
	for ; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func runAsNobody(t *testing.T, name string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	const nobody = 65534
	var out, messages strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &out, &messages
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("run %s: %v", name, err)
	}
	return out.String(), messages.String(), cmd.ProcessState.ExitCode()
}
