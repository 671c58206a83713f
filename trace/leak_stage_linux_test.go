package trace_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/trace"
	"github.com/tcpvet/tcpvet/trace/symbol"
)

// leaker is a program of testdata/leak that was made and runs.
type leaker struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// leak starts a program with PORT SEVERAL FEW and more behind its own arguments, and
// waits until it has opened everything.
func leak(t testing.TB, port string, argv []string, args ...string) *leaker {
	t.Helper()
	l := &leaker{Cmd: exec.Command(argv[0], append(append(argv[1:len(argv):len(argv)], port), args...)...)}
	l.Stderr = os.Stderr
	var err error
	if l.in, err = l.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := l.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.end)
	l.out = bufio.NewReader(out)
	l.holds(t)
	return l
}

// holds waits until the program says so.
func (l *leaker) holds(t testing.TB) {
	t.Helper()
	if line, err := l.out.ReadString('\n'); err != nil || !strings.HasPrefix(line, "held") {
		t.Fatalf("%v said %q: %v", l.Args, line, err)
	}
}

func (l *leaker) end() {
	l.in.Close()
	_ = l.Wait()
}

// apart runs the rest of the test in a network namespace, and a process in it: one that
// only a thread is in cannot be found.
func apart(t testing.TB) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.BTF)
	kerneltest.Need(t, kernel.BPFMaps)
	kerneltest.Need(t, kernel.BPFStates)
	kerneltest.Netns(t)
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
}

// hangUp listens, and closes what it accepted at once.
func hangUp(t testing.TB) (port string) {
	t.Helper()
	return strconv.Itoa(int(kerneltest.Serve(t, "127.0.0.1:0", kerneltest.HangUp).Port()))
}

// made gives the program that a compiler makes of testdata/leak.
func made(t testing.TB, compiler string, args ...string) []string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "leak")
	cmd := exec.Command(kerneltest.Tool(t, compiler), append(args, "-o", program)...)
	if compiler == "go" {
		cmd.Args = append([]string{"go", "build", "-o", program}, args...)
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return []string{program}
}

// lineOf gives the number of the line that a comment names.
func lineOf(t testing.TB, file, name string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if strings.HasSuffix(strings.TrimSpace(line), "line: "+name) {
			return n
		}
	}
	t.Fatalf("%s has no line %q", file, name)
	return 0
}

// watch begins to remember. The Resolver reads what is found.
func watch(t testing.TB, opt trace.StacksOptions) (*trace.Stacks, *symbol.Resolver) {
	t.Helper()
	r := symbol.New(symbol.Options{})
	opt.Python = r.PythonLayout
	inode, err := strconv.ParseUint(ownNetns(t), 10, 64)
	must(t, err)
	opt.Netns = []tcpvet.NetnsID{tcpvet.NetnsID(inode)}
	s, err := trace.OpenStacks(opt)
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Close())
		must(t, r.Close())
	})
	return s, r
}

// look looks once so many connections are in CLOSE-WAIT, as ss counts them.
func look(t testing.TB, s *trace.Stacks, r *symbol.Resolver, want int, change func(*trace.LeakOptions)) tcpvet.Leaks {
	t.Helper()
	src, err := source.Open("netlink")
	must(t, err)
	opt := trace.LeakOptions{
		Source: src, Netns: source.Namespaces{Names: []string{ownNetns(t)}}, Advice: r.Advice,
		Frames: func(p tcpvet.Process, k *trace.Stack) []tcpvet.Frame {
			st := symbol.Stack{Addresses: k.Addresses, Words: k.Words}
			for _, c := range k.Python {
				st.Python = append(st.Python, symbol.PythonCall(c))
			}
			return r.Frames(p, st)
		},
	}
	if change != nil {
		change(&opt)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if n := closeWaits(t); n == want {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("ss counts %d connections in CLOSE-WAIT, want %d", n, want)
		}
	}
	l, err := s.Leaks(t.Context(), opt)
	must(t, err)
	return l
}

// closeWaits asks ss.
func closeWaits(t testing.TB) int {
	t.Helper()
	out, err := exec.Command(kerneltest.Tool(t, "ss"), "-Htn", "state", "close-wait").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(out), "\n")
}

// processOf gives the process of a program that runs.
func processOf(t testing.TB, pid int) tcpvet.Process {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// Field 22 is the 20th behind the name (proc_pid_stat(5)).
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return tcpvet.Process{PID: int32(pid), Start: start}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ownNetns gives the inode of the namespace that the test's thread is in.
func ownNetns(t testing.TB) string {
	t.Helper()
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(name, "net:[]")
}
