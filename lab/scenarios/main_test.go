package scenarios

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/lab"
)

// testVariable makes this test binary a program that plays a scenario as the
// command does; its value is a testOrder in JSON.
const testVariable = "TCPVET_SCENARIOS_TEST"

// testOrder is what to play.
type testOrder struct {
	Ports    int
	Patience time.Duration
	SS       string // the path of ss
}

// played is what the program tells: the story, its text, and for each step with
// a table what ss said right after it.
type played struct {
	Steps []plainStep
	Text  string
	SS    map[string]string
}

// plainStep is a step without its Census, which is no JSON.
type plainStep struct {
	Name               string
	Done, Shown, Means []string
	Ends               *lab.Ends
	Numbers            []tcpvet.Number
}

func TestMain(m *testing.M) {
	lab.Main(All...)
	if order, ok := os.LookupEnv(testVariable); ok {
		os.Exit(program(order))
	}
	os.Exit(m.Run())
}

func program(arg string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer stop()
	if !lab.Inside() {
		status, err := lab.Enter(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return status
	}
	var order testOrder
	if err := json.Unmarshal([]byte(arg), &order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	p := played{SS: make(map[string]string)}
	var prose strings.Builder
	text := lab.Text{W: &prose}
	text.Begin(CloseWaitLeak)
	story, err := lab.Play(ctx, CloseWaitLeak, lab.Options{
		Ports: order.Ports, Patience: order.Patience, Look: look,
		Tell: func(s lab.Step) {
			text.Tell(s)
			if s.Ends != nil && order.SS != "" {
				out, err := exec.Command(order.SS, "-tanpH").CombinedOutput()
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
				p.SS[s.Name] = string(out)
			}
		},
	})
	if err == nil {
		err = text.Err
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, s := range story.Steps {
		p.Steps = append(p.Steps, plainStep{s.Name, s.Done, s.Shown, s.Means, s.Ends, s.Numbers})
	}
	p.Text = prose.String()
	if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// look counts the sockets of the stage from the kernel's own table.
func look(context.Context) (tcpvet.Census, error) {
	c := tcpvet.Census{Groups: make(map[tcpvet.Group]*tcpvet.Tally)}
	f, err := os.Open("/proc/self/net/tcp")
	if err != nil {
		return c, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the head
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		local, err1 := hexEndpoint(fields[1])
		remote, err2 := hexEndpoint(fields[2])
		state, err3 := strconv.ParseUint(fields[3], 16, 8)
		if err1 != nil || err2 != nil || err3 != nil {
			return c, fmt.Errorf("read %q: %v, %v, %v", lines.Text(), err1, err2, err3)
		}
		g := tcpvet.Group{Role: tcpvet.Client, Service: remote}
		if local.Port() < rangeLow {
			g = tcpvet.Group{Role: tcpvet.Server, Service: local}
		}
		if c.Groups[g] == nil {
			c.Groups[g] = new(tcpvet.Tally)
		}
		c.Groups[g].States[state]++
	}
	return c, lines.Err()
}

// hexEndpoint reads an IPv4 endpoint as /proc/net/tcp writes it on a
// little-endian machine: "0100007F:1F90".
func hexEndpoint(s string) (netip.AddrPort, error) {
	addr, port, _ := strings.Cut(s, ":")
	a, err := strconv.ParseUint(addr, 16, 32)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24)}), uint16(p)), nil
}

// command gives the command that plays in a process of its own.
func command(t *testing.T, order testOrder) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		kerneltest.UserNS(t)
	}
	order.SS = kerneltest.Tool(t, "ss")
	arg, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), testVariable+"="+string(arg))
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// testBinary gives the file of this program, for programs that run it in turn.
func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// play runs the command and reads what it tells.
func play(t *testing.T, cmd *exec.Cmd) played {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var p played
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}
