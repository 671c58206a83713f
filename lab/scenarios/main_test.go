package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/vet"
)

// testVariable makes this test binary a program that plays a scenario as the
// command does; its value is a testOrder in JSON.
const testVariable = "TCPVET_SCENARIOS_TEST"

// testOrder is what to play.
type testOrder struct {
	Scenario string
	Ports    int
	Patience time.Duration
	SS       string // the path of ss, "" to leave it out
	Sources  []string
}

// played is what the program tells: the story, its text, what it came to, and
// for each step with a table what ss said right after it.
type played struct {
	Steps   []plainStep
	Text    string
	Outcome lab.Outcome
	SS      map[string]string
	Unmet   string
}

// plainStep is a step without its looks, which are no JSON.
type plainStep struct {
	Name               string
	Done, Shown, Means []string
	Ends               *lab.Ends
	Numbers            []tcpvet.Number
	Segments           int
	Judged             []plainJudged
	Said               []*lab.Said
}

// plainJudged is a moment as each source saw it.
type plainJudged struct {
	Expected []string
	Views    []plainView
}

type plainView struct {
	Source         string
	Found, Skipped []string
	Mismatches     []string
}

// together is how many scenarios are played at once: they mostly wait.
const together = 4

func TestMain(m *testing.M) {
	lab.Main(All...)
	if os.Args[0] == "tcpvet" {
		os.Exit(tcpvetCommand(os.Args[1:]))
	}
	if order, ok := os.LookupEnv(testVariable); ok {
		os.Exit(program(order))
	}
	flag.Parse()
	if n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String()); err == nil && n < together {
		if err := flag.Set("test.parallel", strconv.Itoa(together)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
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
	if err := perform(ctx, arg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func perform(ctx context.Context, arg string) error {
	var order testOrder
	if err := json.Unmarshal([]byte(arg), &order); err != nil {
		return err
	}
	all := append(slices.Clone(All), Demo)
	i := slices.IndexFunc(all, func(sc *lab.Scenario) bool { return sc.Name == order.Scenario })
	if i < 0 {
		return fmt.Errorf("play %q: no such scenario", order.Scenario)
	}
	sc := all[i]
	var looks []lab.Look
	for _, kind := range order.Sources {
		look, err := lookBy(kind)
		if err != nil {
			return err
		}
		looks = append(looks, look)
	}
	p := played{SS: make(map[string]string)}
	var prose strings.Builder
	text := lab.Text{W: &prose}
	text.Begin(sc)
	story, err := lab.Play(ctx, sc, lab.Options{
		Ports: order.Ports, Patience: order.Patience, Looks: looks, Judge: judge,
		Tell: func(s lab.Step) {
			text.Tell(s)
			fmt.Fprintln(os.Stderr, "told step", s.Name) // for who has to find out where it stopped
			if s.Ends != nil && order.SS != "" {
				out, err := exec.Command(order.SS, "-tanpH").CombinedOutput()
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
				p.SS[s.Name] = string(out)
			}
		},
	})
	var unmet *lab.UnmetError
	switch {
	case errors.As(err, &unmet):
		p.Unmet = unmet.Error()
	case err != nil:
		return err
	case text.Err != nil:
		return text.Err
	}
	for _, s := range story.Steps {
		p.Steps = append(p.Steps, plain(&s))
	}
	p.Text, p.Outcome = prose.String(), story.Outcome()
	return json.NewEncoder(os.Stdout).Encode(p)
}

func plain(s *lab.Step) plainStep {
	step := plainStep{s.Name, s.Done, s.Shown, s.Means, s.Ends, s.Numbers, len(s.Segments), nil, s.Said}
	for _, j := range s.Judged {
		judged := plainJudged{Expected: j.Expected}
		for _, v := range j.Views {
			view := plainView{Source: v.Source, Mismatches: v.Mismatches}
			for _, f := range v.Verdict.Findings {
				view.Found = append(view.Found, f.Rule)
			}
			for _, s := range v.Verdict.Skipped {
				view.Skipped = append(view.Skipped, s.Rule)
			}
			judged.Views = append(judged.Views, view)
		}
		step.Judged = append(step.Judged, judged)
	}
	return step
}

// sources are those by which each moment is judged: all that this user and this
// kernel can look by.
func sources() []string {
	if bpfiter.Probe() != nil {
		return []string{"netlink", "procfs"}
	}
	return []string{"netlink", "procfs", "bpf"}
}

// lookBy looks at the hosts of a stage by a kind of source.
func lookBy(kind string) (lab.Look, error) {
	src, err := source.Open(kind)
	if err != nil {
		return lab.Look{}, err
	}
	var want tcpvet.Facts
	for _, r := range rules.All {
		want |= r.Needs
	}
	want |= tcpvet.FactInfo | tcpvet.FactHolders | tcpvet.FactListeners | tcpvet.FactBound | tcpvet.FactPortRange |
		tcpvet.FactSysctls | tcpvet.FactCounters | tcpvet.FactAddresses | tcpvet.FactLimits
	want &^= tcpvet.FactSysctlConf // what this machine sets at boot is none of the stage's business
	query := func(namespaces []string) source.Query {
		return source.Query{Want: want, Netns: source.Namespaces{Names: namespaces}}
	}
	return lab.Look{
		Name: kind,
		Take: func(ctx context.Context, namespaces []string) (tcpvet.Census, error) {
			return source.Take(ctx, src, query(namespaces), source.TakeOptions{})
		},
		Sockets: func(ctx context.Context, namespaces []string) (sockets []tcpvet.Socket, err error) {
			_, err = source.Take(ctx, src, query(namespaces), source.TakeOptions{Watch: func(o tcpvet.Observer) tcpvet.Observer {
				sockets = nil
				return listing{o, &sockets}
			}})
			return sockets, err
		},
	}, nil
}

// listing keeps the sockets that an observer is told.
type listing struct {
	tcpvet.Observer
	sockets *[]tcpvet.Socket
}

func (l listing) Socket(s *tcpvet.Socket) error {
	kept := *s
	kept.SharedWith = slices.Clone(s.SharedWith)
	*l.sockets = append(*l.sockets, kept)
	return l.Observer.Socket(s)
}

func judge(c tcpvet.Case) lab.Verdict {
	r := vet.Run(c, rules.All)
	v := lab.Verdict{Findings: r.Findings}
	for _, s := range r.Skipped {
		v.Skipped = append(v.Skipped, lab.Skipped{Rule: s.Rule, Missing: s.Missing.String()})
	}
	return v
}

// command gives the command that plays in a process of its own.
func command(t *testing.T, order testOrder) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		kerneltest.UserNS(t)
	}
	if order.Sources == nil {
		order.Sources = sources()
	}
	arg, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), longest, fmt.Errorf("the play has not ended in %s", longest))
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), testVariable+"="+string(arg))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves nothing
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// longest is far more than any play takes. One that hangs is to fail by its
// name, and not with all the others at the end of go test's patience.
const longest = 4 * time.Minute

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
