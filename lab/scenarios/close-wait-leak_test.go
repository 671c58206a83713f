package scenarios

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/lab"
)

// leakOrderOf plays CloseWaitLeak, with a look by ss beside each table, and as
// little patience as is enough where nothing hangs on it.
func leakOrderOf(t *testing.T, ports int) testOrder {
	t.Helper()
	return testOrder{Scenario: CloseWaitLeak.Name, Ports: ports, Patience: 50 * time.Millisecond, SS: kerneltest.Tool(t, "ss")}
}

func TestStoryTellsWhatTheKernelShows(t *testing.T) {
	for _, ports := range []int{50, 200} {
		t.Run(strconv.Itoa(ports), func(t *testing.T) {
			checkStory(t, play(t, command(t, leakOrderOf(t, ports))), ports)
		})
	}
}

func TestRootStoryForAUserWithoutRights(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.UserNS(t)
	const ports = 100
	order := leakOrderOf(t, ports)
	order.Sources = []string{"netlink", "procfs"} // BPF is not for a user namespace
	cmd := command(t, order)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534} // nobody
	checkStory(t, play(t, cmd), ports)
}

// checkStory derives what a play over so many ports has to show: one connection
// for each port and no more (connect(2), EADDRNOTAVAIL), its ends in the states
// of RFC 9293, section 3.6, after the close of one side and of both.
func checkStory(t *testing.T, p played, ports int) {
	t.Helper()
	n := float64(ports)
	for _, want := range []struct {
		step, number string
		value        float64
	}{
		{"stage", "range_count", n},
		{"stage", "range_low", 32768},
		{"stage", "range_high", 32768 + n - 1},
		{"leak", "requests_count", n},
		{"leak", "lowest_port", 32768},
		{"leak", "highest_port", 32768 + n - 1},
		{"leak", "errno", 99},
		{"both-ends", "closed_count", n},
		{"both-ends", "close_wait_count", n},
		{"both-ends", "fin_wait_2_count", n},
		{"settings", "client_time_wait_count", 0},
		{"settings", "close_wait_count", n},
		{"wider-range", "added_count", 10},
		{"wider-range", "requests_count", 10},
		{"wider-range", "errno", 99},
		{"close-one", "errno", 99},
		{"end", "close_wait_count", 0},
		{"reuse", "requests_count", n},
	} {
		got, ok := find(t, p, want.step).Number(want.number)
		if !ok || got != want.value {
			t.Errorf("step %s: %s is %v (%v), want %v", want.step, want.number, got, ok, want.value)
		}
	}
	number := func(step, name string) int {
		v, ok := find(t, p, step).Number(name)
		if !ok {
			t.Errorf("step %s has no %s", step, name)
		}
		return int(v)
	}
	if freed, taken := number("close-one", "freed_port"), number("close-one", "taken_port"); freed != taken {
		t.Errorf("port %d was freed and port %d taken, and no other was free", freed, taken)
	}
	if !strings.Contains(strings.Join(find(t, p, "other-service").Shown, " "), "has too") {
		t.Error("the connection to the other service has a port of its own, though all are taken")
	}

	// ss saw the same, and the client as the holder.
	client := number("stage", "client_pid")
	both := p.SS["both-ends"]
	held := fmt.Sprintf(`127.0.0.1:8080 users:(("shop-client",pid=%d,`, client)
	if got := lines(both, "CLOSE-WAIT", held); got != ports {
		t.Errorf("ss shows %d sockets in CLOSE-WAIT held by shop-client[%d], want %d", got, client, ports)
	}
	// The process that came after the end has made a connection since, which
	// may be closing still. Its port had a TIME-WAIT in the table.
	since := fmt.Sprintf("127.0.0.1:%d", number("end", "new_port"))
	for name, ends := range map[string]string{"both-ends": "FIN-WAIT-2", "end": "TIME-WAIT"} {
		table := find(t, p, name).Ends
		ss, replaced := p.SS[name], uint64(0)
		if name == "end" {
			ss, replaced = without(ss, since), 1
		}
		for _, s := range tcpvet.States {
			want := table.Client[s] + table.Server[s]
			if s == tcpvet.Listen {
				continue
			}
			if got := uint64(lines(ss, s.String(), "127.0.0.1:8080 ")); got != want && !(s == tcpvet.TimeWait && got+replaced == want) {
				t.Errorf("step %s: ss shows %d sockets in %v, the table %d", name, got, s, want)
			}
		}
		if !strings.Contains(p.Text, ends) {
			t.Errorf("the text does not speak of %s", ends)
		}
	}
	// A few TIME-WAITs may be gone early: a RST may end one (RFC 1337).
	if got, want := number("end", "time_wait_count"), ports+10; got > want || got < want-want/20 {
		t.Errorf("%d server's ends are in TIME-WAIT after the client ended, want %d", got, want)
	}

	for _, want := range []string{
		fmt.Sprintf(`is "32768 %d". A program`, 32768+ports-1),
		fmt.Sprintf("gets one of these %d ports", ports),
		fmt.Sprintf("%d requests were answered", ports),
		"cannot assign requested address (errno 99, EADDRNOTAVAIL)",
		fmt.Sprintf("CLOSE-WAIT, %d times", ports),
		fmt.Sprintf("shop-client (process %d)", client),
	} {
		if !strings.Contains(strings.Join(strings.Fields(p.Text), " "), want) {
			t.Errorf("the text does not say %q:\n%s", want, p.Text)
		}
	}
	faults, figures := unmeasured(t, CloseWaitLeak, &p)
	for _, fault := range faults {
		t.Error(fault)
	}
	if figures < 30 {
		t.Errorf("%d figures found in the story: the search has missed the rest", figures)
	}
}

func find(t *testing.T, p played, name string) *lab.Step {
	t.Helper()
	i := slices.IndexFunc(p.Steps, func(s plainStep) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("the story has no step %s", name)
	}
	return &lab.Step{Shown: p.Steps[i].Shown, Ends: p.Steps[i].Ends, Numbers: p.Steps[i].Numbers}
}

// lines counts the lines of ss that begin with the state and have the text.
func lines(ss, state, text string) (n int) {
	for line := range strings.Lines(ss) {
		if strings.HasPrefix(line, state+" ") && strings.Contains(strings.Join(strings.Fields(line), " ")+" ", text) {
			n++
		}
	}
	return n
}

// without leaves out the lines of ss that have the endpoint.
func without(ss, endpoint string) string {
	var kept strings.Builder
	for line := range strings.Lines(ss) {
		if !slices.Contains(strings.Fields(line), endpoint) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// A soft limit of descriptors that is too low is raised; a hard one is told
// before anything starts.
func TestDescriptorLimits(t *testing.T) {
	prlimit := kerneltest.Tool(t, "prlimit")
	limited := func(limits string) *exec.Cmd {
		cmd := command(t, leakOrderOf(t, 100))
		cmd.Path, cmd.Args = prlimit, []string{"prlimit", "--nofile=" + limits, testBinary(t)}
		return cmd
	}
	// 100 connections, 10 more, and 32 for the process itself.
	p := play(t, limited("64:142"))
	if got, _ := find(t, p, "leak").Number("requests_count"); got != 100 {
		t.Errorf("under a soft limit of 64, %v requests were made, want 100", got)
	}
	out, err := limited("64:140").CombinedOutput()
	want := "one process needs 142 descriptors for 100 local ports, and the hard limit is 140 (ulimit -Hn): ask for at most 98 ports, or raise the limit"
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("under a hard limit of 140: got %v: %s", err, out)
	}
}
