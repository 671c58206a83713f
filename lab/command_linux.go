package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Tcpvet runs a command of tcpvet on the host, as a person would type it, and waits for
// its end: "tcpvet fix close --pid 4121". It is this program that is run, whose command
// line has to know it, without what the caller's environment sets of its flags.
//
// An exit status other than 0 is no error.
func (h *Host) Tcpvet(ctx context.Context, own Setup, command string) (*Said, error) {
	split, err := words(command)
	if err != nil {
		return nil, err
	}
	p := &Process{Name: split[0], cmd: again(split...), command: true}
	p.cmd.Env = append(flagless(os.Environ()), own.Env...)
	if err := h.start(p, own, order{}, 0); err != nil {
		return nil, err
	}
	p.orders.Close()
	var printed []string
	for {
		line, err := p.said.next(ctx)
		if errors.Is(err, errSilent) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("wait for the end of %s: %w", command, err)
		}
		printed = append(printed, line)
	}
	status, err := p.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return &Said{command, status, append(printed, lines(p.Errors())...)}, nil
}

// flagless leaves out of an environment what would set flags of tcpvet.
func flagless(environ []string) []string {
	var kept []string
	for _, v := range environ {
		if !strings.HasPrefix(v, "TCPVET_") || strings.HasPrefix(v, "TCPVET_LAB_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// Under starts a process that plays the act, as the program that a command of tcpvet
// runs: "tcpvet run --keepalive 1s,1s,9 --". args are those of Start, and its PID is
// that of the act. The error is an *UnmetError where the command says that it cannot
// run anything here.
//
// When it ends, the command is given the time to end after it.
func (h *Host) Under(ctx context.Context, command string, act Act, args ...string) (*Process, error) {
	split, err := words(command)
	if err != nil {
		return nil, err
	}
	own := Setup{Self: args[:1]}
	p := &Process{Name: args[0], cmd: again(append(split, args...)...), command: true, over: &outer{}}
	p.cmd.Env = append(flagless(os.Environ()), nextVariable+"="+act.Name)
	if err := h.start(p, own, order{}, 0); err != nil {
		return nil, err
	}
	err = p.cue(ctx, actPID, struct{}{}, &p.PID)
	if err == nil {
		p.over.runs = true
		return p, nil
	}
	if ctx.Err() == nil && p.hasEnded() && exitStatus(p.cmd.ProcessState) == cannotRun {
		told, _, _ := strings.Cut(strings.TrimPrefix(lastLine([]byte(p.Errors())), "tcpvet: "), "; ") // a hint comes then
		return nil, &UnmetError{strings.Join(split[:2], " "), errors.New(told)}
	}
	return nil, fmt.Errorf("start %s by %s: %w", args[0], command, err)
}

// cannotRun is the exit status of a program that runs others where it fails itself, as
// that of env(1).
const cannotRun = 125

// Leave ends the process by the end of its input, and gives what the command of tcpvet
// that ran it printed of its own.
func (p *Process) Leave(ctx context.Context) (status int, printed []string, err error) {
	if err := p.CloseInput(); err != nil {
		return 0, nil, fmt.Errorf("end %s[%d]: %w", p.Name, p.PID, err)
	}
	if status, err = p.Wait(ctx); err != nil {
		return 0, nil, err
	}
	return status, lines(p.Errors()), nil
}

// outer is a command of tcpvet that runs a process of the stage.
type outer struct {
	runs bool // the process was seen to run
}

// outerEnds is what ends an act that a command of tcpvet runs: the command passes it on.
// Before it does so, or the act is there, it ends nobody, for a Go program does nothing
// at it by itself; the act then finds its input at the end.
const outerEnds = syscall.SIGUSR1

// How long a command may take to run its program, and to tidy up after that has ended.
const (
	beginning = 5 * time.Second
	parting   = 5 * time.Second
)

// end has the process end, and then the command, which leaves nothing behind if it is
// let do so.
func (o *outer) end(p *Process) {
	p.orders.Close()
	if !o.runs && p.endsWithin(beginning) {
		return
	}
	_ = p.cmd.Process.Signal(outerEnds) // it fails only if the command has ended
	p.endsWithin(parting)
}

func (p *Process) endsWithin(d time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(d):
		return false
	}
}
