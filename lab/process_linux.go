package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a process of the stage, playing an act.
type Process struct {
	Name string // as ps and ss print it
	PID  int

	orders  *os.File // its standard input
	answers *os.File // its standard output
	out     *json.Decoder
	errors  lastWords

	cmd   *exec.Cmd
	ended chan struct{} // closed after it was waited for
}

// Start starts a process that plays the act. Its arguments are for people who
// look at the process: the first names it, of which the kernel keeps 15 bytes;
// the act reads none. It is killed when the host ends.
func (h *Host) Start(act Act, args ...string) (*Process, error) {
	in, orders, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	defer in.Close()
	answers, out, err := os.Pipe()
	if err != nil {
		orders.Close()
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	defer out.Close()

	p := &Process{
		Name: args[0], orders: orders, answers: answers,
		out: json.NewDecoder(answers), cmd: again(args...), ended: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), actVariable+"="+act.Name)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, &p.errors
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := h.do(p.cmd.Start); err != nil {
		orders.Close()
		answers.Close()
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	p.PID = p.cmd.Process.Pid
	h.processes = append(h.processes, p)
	go func() {
		_ = p.cmd.Wait() // how it ended stays in p.cmd.ProcessState
		close(p.ended)
	}()
	return p, nil
}

// Cue gives the process a cue and waits for its answer. After an error, but for
// one that the act itself reported, the process is of no further use.
func (p *Process) Cue(ctx context.Context, name string, order, answer any) error {
	if err := p.cue(ctx, name, order, answer); err != nil {
		return fmt.Errorf("%s[%d]: %s: %w", p.Name, p.PID, name, err)
	}
	return nil
}

func (p *Process) cue(ctx context.Context, name string, order, answer any) error {
	raw, err := json.Marshal(order)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		_ = p.orders.SetDeadline(time.Unix(1, 0))
		_ = p.answers.SetDeadline(time.Unix(1, 0))
	})
	defer stop()

	var r reply
	err = json.NewEncoder(p.orders).Encode(cue{Cue: name, Order: raw})
	if err == nil {
		err = p.out.Decode(&r)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, unix.EPIPE):
		return p.death()
	case err != nil:
		return err
	case r.Err != "":
		return errors.New(r.Err)
	}
	return json.Unmarshal(r.Answer, answer)
}

// death tells how a process ended that hung up.
func (p *Process) death() error {
	p.kill()
	if words := p.errors.String(); words != "" {
		return fmt.Errorf("the process ended (%s): %s", p.cmd.ProcessState, words)
	}
	return fmt.Errorf("the process ended (%s)", p.cmd.ProcessState)
}

// Kill ends the process by SIGKILL and waits until the kernel has closed all
// that it held. It gives the time that this took.
func (p *Process) Kill() time.Duration {
	begin := time.Now()
	p.kill()
	return time.Since(begin)
}

func (p *Process) kill() {
	_ = p.cmd.Process.Kill() // it fails only if the process has ended
	<-p.ended
	p.orders.Close()
	p.answers.Close()
}

// lastWords keeps the beginning of what a process wrote to its standard error.
type lastWords struct{ b []byte }

const maxLastWords = 4096 // enough for the head of a Go panic

func (l *lastWords) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), maxLastWords-len(l.b))]...)
	return len(p), nil
}

func (l *lastWords) String() string { return strings.TrimSpace(string(l.b)) }
