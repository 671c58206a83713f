package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// The second half of CloseWaitLeak: what does not help, what tcpvet says, and
// what does help.

// advised are settings that are often advised against this fault, or against
// TIME-WAIT, with values under which they would act at once.
var advised = []struct {
	name  string
	value int
}{
	{"net.ipv4.tcp_fin_timeout", 5},
	{"net.ipv4.tcp_tw_reuse", 1},
	{"net.ipv4.tcp_tw_recycle", 1},
	{"net.ipv4.tcp_keepalive_time", 1},
}

func (l *leak) settings(ctx context.Context) error {
	step := lab.Step{Name: "settings", Title: "Settings that are often advised"}
	step.Done = []string{"They are changed in this namespace, one after the other. After each the client connects once more."}
	undo := make(map[string]string)
	for _, a := range advised {
		before, err := l.Host.Sysctl(a.name)
		if errors.Is(err, fs.ErrNotExist) {
			step.Shown = append(step.Shown, fmt.Sprintf("%s: this kernel has no such setting.", a.name))
			continue
		}
		if err != nil {
			return err
		}
		from, err := strconv.Atoi(before)
		if err != nil {
			return fmt.Errorf("read %s: %w", a.name, err)
		}
		if err := l.Host.SetSysctl(a.name, strconv.Itoa(a.value)); err != nil {
			return err
		}
		undo[a.name] = before
		outcome, err := l.refused(ctx)
		if err != nil {
			return fmt.Errorf("with %s=%d: %w", a.name, a.value, err)
		}
		step.Shown = append(step.Shown, fmt.Sprintf("%s from %s to %s: %s.", a.name,
			step.ID(a.name+"_before", from), step.ID(a.name+"_tried", a.value), outcome))
	}
	l.Doing("waiting whether the settings help")
	begin := time.Now()
	if err := lab.Wait(ctx, l.Patience); err != nil {
		return err
	}
	outcome, err := l.refused(ctx)
	if err != nil {
		return fmt.Errorf("with all settings: %w", err)
	}
	step.Shown = append(step.Shown, fmt.Sprintf("%s later, with all of them: %s.", step.Seconds("waited_seconds", time.Since(begin)), outcome))
	ends, err := l.Ends(ctx, stock)
	if err != nil {
		return err
	}
	for name, before := range undo {
		if err := l.Host.SetSysctl(name, before); err != nil {
			return err
		}
	}
	step.Means = []string{
		fmt.Sprintf("tcp_fin_timeout is about the server's ends. tcp_tw_reuse is about ends in TIME-WAIT, of which the client has %s; tcp_tw_recycle was too, and "+
			"is gone since Linux 4.12. tcp_keepalive_time is for sockets that asked for SO_KEEPALIVE, and these did not.",
			step.Count("client_time_wait_count", int(ends.Client[tcpvet.TimeWait]))),
		fmt.Sprintf("The client's %s ends are still in CLOSE-WAIT: no setting closes a socket that a program holds. The settings are back to what they were.",
			step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait]))),
	}
	l.Tell(step)
	return nil
}

func (l *leak) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	err := l.Judge(ctx, &step, lab.Expect{Rules: inRange(l.Stage, "close-wait-leak", "fin-wait-2-pileup", "port-exhaustion")})
	if err != nil {
		return err
	}
	l.cure = namedBy(&step, "close-wait-leak", "tcpvet fix close ")
	step.Done = []string{fmt.Sprintf("It looks at this namespace, with %s of patience instead of a minute.", step.Seconds("patience_seconds", l.Patience))}
	l.Tell(step)
	return nil
}

func (l *leak) widerRange(ctx context.Context) error {
	step := lab.Step{Name: "wider-range", Title: "More ports"}
	if err := l.Host.SetPortRange(rangeLow, uint16(rangeLow+l.Ports+widening-1)); err != nil {
		return err
	}
	var more leaked
	if err := l.client.Cue(ctx, clientLeak, leakOrder{To: stock, Limit: widening + 1}, &more); err != nil {
		return err
	}
	if err := exhausted(more.Failure); err != nil {
		return fmt.Errorf("after %d more ports: %w", widening, err)
	}
	step.Done = []string{fmt.Sprintf("net.ipv4.ip_local_port_range is widened by %s ports, and the client goes on.", step.Count("added_count", widening))}
	step.Shown = []string{
		fmt.Sprintf("%s more requests are answered. Then, again:", step.Count("requests_count", more.Opened)),
		told(&step, more.Failure),
	}
	step.Means = []string{"A leak takes what it is given. A wider range puts off the day, and nothing else."}
	l.Tell(step)
	return nil
}

func (l *leak) closeOne(ctx context.Context) error {
	step := lab.Step{Name: "close-one", Title: "One connection closed is one port free"}
	var c closed
	if err := l.client.Cue(ctx, clientClose, struct{}{}, &c); err != nil {
		return err
	}
	var again leaked
	if err := l.client.Cue(ctx, clientLeak, leakOrder{To: stock, Limit: 2}, &again); err != nil {
		return err
	}
	if again.Opened != 1 {
		return fmt.Errorf("after one close(): %d connects succeeded, not one", again.Opened)
	}
	if err := exhausted(again.Failure); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("The client calls close() for its oldest connection, which has local port %s. Then it connects twice.", step.ID("freed_port", int(c.Port)))}
	step.Shown = []string{
		fmt.Sprintf("The first connect() succeeds, from local port %s. The second:", step.ID("taken_port", int(again.Last))),
		told(&step, again.Failure),
	}
	step.Means = []string{"close() is what was missing. The cure is in the code of the client: close every response or connection, also where an error leaves the usual path."}
	l.Tell(step)
	return nil
}

func (l *leak) end(ctx context.Context) error {
	step := lab.Step{Name: "end", Title: "The client ends"}
	if _, _, err := l.settled(ctx); err != nil {
		return err
	}
	pid := l.client.PID
	took := l.client.Kill()
	ends, err := l.Ends(ctx, stock)
	if err != nil {
		return err
	}
	if l.client, err = l.startClient(); err != nil {
		return err
	}
	var o once
	if err := l.client.Cue(ctx, clientOnce, stock, &o); err != nil {
		return err
	}
	if o.Failure != nil {
		return fmt.Errorf("connect after the client ended: %v", o.Failure)
	}
	step.Ends = &ends
	step.Done = []string{fmt.Sprintf("Process %s is killed, and another shop-client started.", step.ID("killed_pid", pid))}
	step.Shown = []string{
		fmt.Sprintf("The kernel closed all that it held within %s. The new process connects to %s at once, from local port %s. Before that, the table was:",
			step.Seconds("kill_seconds", took), stock, step.ID("new_port", int(o.Port))),
	}
	step.Means = []string{
		fmt.Sprintf("The end of a process closes its sockets, so the client has %s in CLOSE-WAIT now. A restart does help, until the leak has filled the range again.",
			step.Count("close_wait_count", int(ends.Client[tcpvet.CloseWait]))),
		fmt.Sprintf("The server's ends got the FIN that they waited for; %s are in TIME-WAIT. That state is at the end which closed first, no process holds it, and it ends "+
			"by itself after 60 s: it is how TCP works, not a leak. CLOSE-WAIT is at the end which has not closed, and ends by no timer.",
			step.Count("time_wait_count", int(ends.Server[tcpvet.TimeWait]))),
	}
	l.Tell(step)
	return nil
}

func (l *leak) reuse(ctx context.Context) error {
	step := lab.Step{Name: "reuse", Title: "The client as it should be"}
	var r reused
	if err := l.client.Cue(ctx, clientReuse, reuseOrder{To: stock, Times: l.leaked.Opened}, &r); err != nil {
		return err
	}
	step.Done = []string{"It makes as many requests as before, one after the other over one connection, and closes that."}
	shown := fmt.Sprintf("%s requests were answered, in %s, ", step.Count("requests_count", r.Answered), step.Seconds("requests_seconds", r.Took))
	if r.Connections == 1 {
		shown += fmt.Sprintf("from local port %s alone.", step.ID("port", int(r.Port)))
	} else {
		shown += fmt.Sprintf("over %s connections: this machine was so busy that the server found one idle and closed it, and the client opened another.",
			step.Count("connections_count", r.Connections))
	}
	step.Shown = []string{shown}
	step.Means = []string{"A pool of connections that are used again needs as many ports as it has connections, however many requests there are."}
	l.Tell(step)
	return nil
}

// refused connects once more and tells how that failed; that it does not fail
// is an error.
func (l *leak) refused(ctx context.Context) (string, error) {
	var o once
	if err := l.client.Cue(ctx, clientOnce, stock, &o); err != nil {
		return "", err
	}
	if err := exhausted(o.Failure); err != nil {
		return "", err
	}
	return o.Failure.name() + ", as before", nil
}
