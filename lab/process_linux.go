package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a process of the stage: one that plays an act, or a real program.
type Process struct {
	Name string // as ps and ss print it
	PID  int

	orders  *os.File // its standard input
	said    *speech  // its standard output
	errors  lastWords
	program bool
	command bool   // of tcpvet
	over    *outer // the command of tcpvet that runs it, nil for none

	cmd   *exec.Cmd
	ended chan struct{} // closed after it was waited for
}

// Program is a real program to start.
type Program struct {
	Name  string   // of its file: "nginx"
	Args  []string // without the name
	Setup Setup

	// Single says that it starts no other process. It gets no PID namespace
	// then, in which it would be process 1, which signals without a handler
	// do not end; and with which all its children end.
	Single bool
}

// Start starts a process that plays the act. Its arguments are for people who
// look at the process: the first names it, of which the kernel keeps 15 bytes;
// the act reads none. It is killed when the host ends.
func (h *Host) Start(act Act, args ...string) (*Process, error) {
	return h.StartWith(Setup{}, act, args...)
}

// StartWith is Start for a process that has something to itself.
func (h *Host) StartWith(own Setup, act Act, args ...string) (*Process, error) {
	p := &Process{Name: args[0], cmd: again(args...)}
	p.cmd.Env = append(os.Environ(), own.Env...)
	p.cmd.Env = append(p.cmd.Env, actVariable+"="+act.Name)
	return p, h.start(p, own, order{}, 0)
}

// Program starts a real program, in a minimal environment. The error wraps a
// *MissingError where it is not installed, which skips the scenario. It is
// killed when the host ends, with all that it has started.
func (h *Host) Program(_ context.Context, g Program) (*Process, error) {
	file, err := findProgram(g.Name)
	if err != nil {
		return nil, &UnmetError{"program " + g.Name, err}
	}
	p := &Process{Name: path.Base(g.Name), cmd: again(g.Name), program: true}
	p.cmd.Env = plainEnvironment()
	o := order{Exec: append([]string{file}, g.Args...), Env: append(plainEnvironment(), g.Setup.Env...)}
	flags := uintptr(unix.CLONE_NEWPID)
	if g.Single {
		flags = 0
	}
	return p, h.start(p, g.Setup, o, flags)
}

// start starts what the process is, with pipes to and from it.
func (h *Host) start(p *Process, own Setup, o order, flags uintptr) error {
	o.Files, o.Memory, o.Self, o.Descriptors = own.files(), own.Memory, own.Self, own.Descriptors
	if o.apart() {
		flags |= unix.CLONE_NEWNS
		var err error
		if o.Outside, err = os.Readlink(mountNamespace); err != nil {
			return fmt.Errorf("start %s: read one's own mount namespace: %w", p.Name, err)
		}
	}
	if len(o.Exec) > 0 || o.apart() || o.Descriptors > 0 {
		raw, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("start %s: %w", p.Name, err)
		}
		p.cmd.Env = append(p.cmd.Env, setupVariable+"="+string(raw))
	}
	in, orders, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer in.Close()
	answers, out, err := os.Pipe()
	if err != nil {
		orders.Close()
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer out.Close()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, &p.errors
	p.cmd.WaitDelay = time.Second // a child of its own may keep its standard error
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Cloneflags: flags}
	if p.over != nil {
		p.cmd.SysProcAttr.Pdeathsig = outerEnds
	}
	// A Ctrl-C is for the stage, which ends commands of tcpvet itself.
	p.cmd.SysProcAttr.Setpgid = p.command
	if err := h.Do(p.cmd.Start); err != nil {
		orders.Close()
		answers.Close()
		return fmt.Errorf("start %s: %w", p.Name, explainDenied(err, readSysctl))
	}
	p.PID, p.orders, p.ended = p.cmd.Process.Pid, orders, make(chan struct{})
	p.said = listen(answers)
	h.processes = append(h.processes, p)
	go func() {
		_ = p.cmd.Wait() // how it ended stays in p.cmd.ProcessState
		close(p.ended)
	}()
	return nil
}

// Cue gives the process a cue and waits for its answer. After an error, but for
// one that the act itself reported, the process is of no further use.
//
// A program can answer too: a cue is a line {"Cue":"name","Order":…} on its
// standard input, an answer a line {"Answer":…,"Err":""} on its output.
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
	if raw, err = json.Marshal(cue{Cue: name, Order: raw}); err != nil {
		return err
	}
	if err := p.say(ctx, string(raw)); err != nil {
		return err
	}
	line, err := p.line(ctx)
	if err != nil {
		return err
	}
	var r reply
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return fmt.Errorf("read the answer %q: %w", line, err)
	}
	if r.Err != "" {
		return errors.New(r.Err)
	}
	return json.Unmarshal(r.Answer, answer)
}

// Say writes a line to the process's standard input.
func (p *Process) Say(ctx context.Context, line string) error {
	if err := p.say(ctx, line); err != nil {
		return fmt.Errorf("%s[%d]: %w", p.Name, p.PID, err)
	}
	return nil
}

func (p *Process) say(ctx context.Context, line string) error {
	stop := context.AfterFunc(ctx, func() { _ = p.orders.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := p.orders.WriteString(line + "\n")
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, unix.EPIPE):
		return p.death()
	}
	return err
}

// Line waits for the next line of the process's standard output, and gives it
// without its end.
func (p *Process) Line(ctx context.Context) (string, error) {
	line, err := p.line(ctx)
	if err != nil {
		return "", fmt.Errorf("%s[%d]: %w", p.Name, p.PID, err)
	}
	return line, nil
}

func (p *Process) line(ctx context.Context) (string, error) {
	line, err := p.said.next(ctx)
	if errors.Is(err, errSilent) {
		return "", p.death()
	}
	return line, err
}

// Output gives what the process wrote to its standard output and Line has not
// given yet, as far as it is kept.
func (p *Process) Output() string { return p.said.rest() }

// Errors gives the beginning of what the process wrote to its standard error.
func (p *Process) Errors() string { return p.errors.String() }

// CloseInput ends the process's standard input.
func (p *Process) CloseInput() error { return p.orders.Close() }

// Wait waits for the end of the process and gives its exit status, 128 and the
// signal's number if it was killed.
func (p *Process) Wait(ctx context.Context) (status int, err error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the end of %s[%d]: %w", p.Name, p.PID, context.Cause(ctx))
	}
	return exitStatus(p.cmd.ProcessState), nil
}

// exitStatus gives the status as a shell does.
func exitStatus(s *os.ProcessState) int {
	if ws := s.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// Signal sends the process a signal.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %s[%d] a signal: %w", p.Name, p.PID, err)
	}
	return nil
}

// hasEnded tells whether the process has ended.
func (p *Process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
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
	if p.over != nil {
		p.over.end(p)
	}
	_ = p.cmd.Process.Kill() // it fails only if the process has ended
	<-p.ended
	p.orders.Close()
	p.said.close()
}

// lastLine gives the last line of an output.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
