package scenarios

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// FixClose has a client leak until no port is left, and closes from outside what it
// leaked, by the command that the finding names: the same process connects again.
var FixClose = &lab.Scenario{
	Name:        "fix-close",
	Title:       "what a process leaked is closed from outside, and it connects again",
	Source:      "article: only the end of the program returns the resources; sock_diag(7), SOCK_DESTROY; pidfd_getfd(2)",
	Claims:      []int{18, 22},
	Needs:       []lab.Need{destroying},
	Expects:     []string{"close-wait-leak", "fin-wait-2-pileup", "port-exhaustion", "tableless-sockets"},
	Acts:        []lab.Act{idleServer, rawClient},
	Descriptors: func(o lab.Options) int { return o.Ports + goingOn(o.Ports) + ownDescriptors },
	Constants:   []string{"Linux has 28,232 unless"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &leak{Stage: s}
		return inOrder(ctx, l.open, l.exhaust, l.bothEnds, l.diagnosis, l.fixPlan, l.fixApply, l.goesOn, l.afterFix)
	},
}

// goingOn is how many connections a client opens after its ports came back.
func goingOn(ports int) int { return min(ports, 100) }

// journalFolder is below where fix keeps its journal.
const journalFolder = "/var/lib"

// namedBy gives the command that a finding of the rule names, of those that begin so;
// "" where there is none.
func namedBy(step *lab.Step, rule, beginning string) string {
	for _, j := range step.Judged {
		for _, v := range j.Views {
			for _, f := range v.Verdict.Findings {
				for _, r := range f.Remedies {
					if f.Rule == rule && strings.HasPrefix(r.Command(), beginning) {
						return r.Command()
					}
				}
			}
		}
	}
	return ""
}

// fix runs a command of fix that has to succeed, and gives the table that it printed:
// what it says beside that is in the plan.
func (l *leak) fix(ctx context.Context, step *lab.Step, command, until string) error {
	said, err := l.Host.Tcpvet(ctx, lab.Setup{Memory: []string{journalFolder}}, command)
	if err != nil {
		return err
	}
	if said.Status != 0 {
		step.Fails("%s ended with status %d", command, said.Status)
	} else if until != "" {
		said = said.Until(until)
	}
	step.Said = append(step.Said, said)
	return nil
}

// fixPlan has the cure planned once all that the client holds is as old as the finding
// says.
func (l *leak) fixPlan(ctx context.Context) error {
	step := lab.Step{Name: "fix-plan", Title: "The cure that tcpvet names, first as a plan"}
	if _, _, err := l.settled(ctx); err != nil {
		return err
	}
	l.Doing("waiting until each connection is as old as the finding says")
	begin := time.Now()
	if err := lab.Wait(ctx, l.Patience+tick); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("%s later, when each has been in CLOSE-WAIT for longer than that, the command is run that stands in the finding:", step.Seconds("waited_seconds", time.Since(begin)))}
	if l.cure == "" {
		step.Fails("close-wait-leak was to name the command that closes what shop-client[%d] leaked, and did not", l.client.PID)
		l.cure = fmt.Sprintf("tcpvet fix close --pid %d --state close-wait dst %s", l.client.PID, stock)
	}
	before, err := l.Ends(ctx, stock)
	if err != nil {
		return err
	}
	if err := l.fix(ctx, &step, l.cure, ""); err != nil {
		return err
	}
	after, err := l.Ends(ctx, stock)
	if err != nil {
		return err
	}
	n := int(after.Client[tcpvet.CloseWait])
	if before.Client != after.Client {
		step.Fails("a plan was to be shown, and the client's ends changed: %v before, %v after", before, after)
	}
	step.Shown = []string{fmt.Sprintf("The client's %s ends are in CLOSE-WAIT as before.", step.Count("close_wait_count", n))}
	step.Means = []string{"Nothing is changed before one has read what that does, and what it does not do."}
	l.Tell(step)
	return nil
}

func (l *leak) fixApply(ctx context.Context) error {
	step := lab.Step{Name: "fix-apply", Title: "The cure, on the running process"}
	held, err := openSockets(l.client.PID)
	if err != nil {
		return err
	}
	before, err := l.Ends(ctx, stock)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := l.fix(ctx, &step, l.cure+" --apply", "  - "); err != nil {
		return err
	}
	took := time.Since(begin)
	ends, err := l.Ends(ctx, stock)
	if err != nil {
		return err
	}
	left, err := openSockets(l.client.PID)
	if err != nil {
		return fmt.Errorf("look at shop-client after its connections were closed: %w", err)
	}
	taken := int(takenBy(ends))
	if taken > 0 {
		step.Fails("%d of the client's ends still take a port to %s, of %d", taken, stock, before.Client[tcpvet.CloseWait])
	}
	if left != held {
		step.Fails("shop-client[%d] had %d descriptors of sockets, and has %d", l.client.PID, held, left)
	}
	step.Ends = &ends
	step.Done = []string{"The same command, with --apply:"}
	step.Shown = []string{
		fmt.Sprintf("It took %s. Of the client's %s connections to %s, %s take a port now:", step.Seconds("fix_seconds", took),
			step.Count("before_count", int(before.Client[tcpvet.CloseWait])), stock, step.Count("taken_count", taken)),
	}
	step.Means = []string{
		fmt.Sprintf("The ports are free. The descriptors are not: shop-client (process %s) runs on, and ls -l /proc/%s/fd shows %s sockets, as before. Only a program can close its descriptors.",
			step.ID("client_pid", l.client.PID), step.ID("client_pid", l.client.PID), step.Count("descriptors_count", left)),
	}
	l.Tell(step)
	return nil
}

// takenBy counts the client's ends.
func takenBy(e lab.Ends) (n uint64) {
	for _, of := range e.Client {
		n += of
	}
	return n
}

func (l *leak) goesOn(ctx context.Context) error {
	step := lab.Step{Name: "goes-on", Title: "The same process connects again"}
	var more leaked
	want := goingOn(l.Ports)
	if err := l.client.Cue(ctx, clientLeak, leakOrder{To: stock, Limit: want}, &more); err != nil {
		return err
	}
	l.answered = time.Now()
	held, err := openSockets(l.client.PID)
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client, process %s still, goes on as it began: a connection for each request, and none is closed.", step.ID("client_pid", l.client.PID))}
	step.Shown = []string{fmt.Sprintf("%s requests are answered.", step.Count("requests_count", more.Opened))}
	if more.Failure != nil {
		step.Shown = append(step.Shown, "Then: "+told(&step, more.Failure))
		step.Fails("the ports were to be free, and %d of %d requests were answered", more.Opened, want)
	}
	step.Means = []string{fmt.Sprintf("It had to be neither changed nor restarted. But its code is as it was: it leaks on, and has %s descriptors of sockets by now. "+
		"tcpvet fix close buys the time until the program is mended; unless that comes, it ends at the limit of descriptors, with \"too many open files\".", step.Count("descriptors_count", held))}
	l.Tell(step)
	return nil
}

func (l *leak) afterFix(ctx context.Context) error {
	step := lab.Step{Name: "after", Title: "What tcpvet diagnose says now"}
	if _, _, err := l.settled(ctx); err != nil {
		return err
	}
	rules := []string{"close-wait-leak", "fin-wait-2-pileup", "tableless-sockets"}
	if l.Ports < 2*goingOn(l.Ports) {
		rules = append(rules, "port-exhaustion")
	}
	if err := l.Judge(ctx, &step, lab.Expect{Rules: inRange(l.Stage, rules...)}); err != nil {
		return err
	}
	step.Means = []string{"Of the ports nothing is to be said any more. What is left of the leak are descriptors whose socket is in no table, which ss and netstat do not show, and what the client has leaked since."}
	l.Tell(step)
	return nil
}
