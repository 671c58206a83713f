package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// order is what the stage is to do; result is what it answers.
type order struct {
	Letter string
	Scale  float64
	Tools  string // the folder that tcpvet is in

	StageOnly bool // measure nothing
}

type result struct {
	Letter string
	Began  int // sockets when measuring began
	Ended  int // and when it ended
	Costs  map[string][]cost
	Traced map[string][]traced
	Checks []check
	States map[string]int // by ss, when nothing was measured
	Err    string
}

// cost is what one run of a command took.
type cost struct {
	CPU, Wall time.Duration
	RSS       int64 // bytes, the largest of the command and its children
}

// The words by which this program starts itself.
const (
	stageWord  = "bench-stage"
	memberWord = "bench-member"
)

// inside does the work of a stage or a member where this process is one.
func inside() bool {
	if len(os.Args) < 2 {
		return false
	}
	switch os.Args[1] {
	case stageWord:
		playStage(os.Stdin, os.Stdout)
	case memberWord:
		if err := member(os.Args[2:]); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	default:
		return false
	}
	return true
}

// stageAndMeasure runs a stage in new network, process and mount namespaces and
// gives its answer. The stage is process 1 of its namespace and is killed when
// this process ends, however it ends: the kernel then kills all that it started,
// and the sockets go with their namespace.
func stageAndMeasure(ctx context.Context, o order) (result, error) {
	runtime.LockOSThread() // Pdeathsig means the thread
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", stageWord)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	var in, out bytes.Buffer
	if err := gob.NewEncoder(&in).Encode(o); err != nil {
		return result{}, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("run the stage: %w", err)
	}
	var r result
	if err := gob.NewDecoder(&out).Decode(&r); err != nil {
		return result{}, fmt.Errorf("read the stage's answer: %w", err)
	}
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	return r, nil
}

// stage is where a population is: namespaces of its own.
type stage struct {
	order
	ends []io.Closer // the standard inputs that keep members alive
}

func playStage(in io.Reader, out io.Writer) {
	var o order
	r := result{}
	err := gob.NewDecoder(in).Decode(&o)
	if err == nil {
		s := &stage{order: o}
		r, err = s.play(context.Background())
	}
	if err != nil {
		r.Err = err.Error()
	}
	if err := gob.NewEncoder(out).Encode(r); err != nil {
		os.Exit(1)
	}
}

func (s *stage) play(ctx context.Context) (r result, err error) {
	if err := s.prepare(); err != nil {
		return r, err
	}
	i := slices.IndexFunc(populations, func(p population) bool { return p.letter == s.Letter })
	if i < 0 {
		return r, fmt.Errorf("there is no population %q", s.Letter)
	}
	p := populations[i]
	r.Letter, r.Costs = p.letter, map[string][]cost{}
	began := time.Now()
	if err := p.stage(s); err != nil {
		return r, err
	}
	if r.Began, err = s.sockets(); err != nil {
		return r, err
	}
	fmt.Fprintf(os.Stderr, "  %d sockets after %.1f s\n", r.Began, time.Since(began).Seconds())
	if s.StageOnly {
		r.States, err = s.ssStates(ctx)
		return r, err
	}
	for round := range p.rounds {
		for _, c := range p.commands {
			if c.once && round > 0 {
				continue
			}
			if c.once {
				fmt.Fprintf(os.Stderr, "  %s …\n", c.text)
			}
			spent, err := s.measure(ctx, c.text)
			if err != nil {
				return r, err
			}
			r.Costs[c.text] = append(r.Costs[c.text], spent)
		}
	}
	if p.follow {
		if r.Traced, err = s.traceLoad(ctx, p.rounds); err != nil {
			return r, err
		}
	}
	if p.check != nil {
		r.Checks = p.check(ctx, s)
	}
	if r.Ended, err = s.sockets(); err != nil {
		return r, err
	}
	for _, end := range s.ends {
		end.Close()
	}
	return r, nil
}

// prepare makes the namespaces usable: their own /proc, lo up, room for the
// population.
func (s *stage) prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to this namespace: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("set lo up: %w: %s", err, out)
	}
	for name, value := range map[string]string{
		ranges:                        fmt.Sprintf("%d %d", lowPort, topPort),
		"net/ipv4/tcp_max_tw_buckets": "1000000",
		"net/ipv4/tcp_tw_reuse":       "0",
	} {
		if err := s.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// set writes a setting of the stage's own network namespace.
func (s *stage) set(name, value string) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
		return fmt.Errorf("set %s to %q: %w", name, value, err)
	}
	return nil
}

func (s *stage) scaled(n int) int { return int(float64(n) * s.Scale) }

// each starts all members at once and waits until they are ready.
func (s *stage) each(args func(i int) []string) error { return s.eachOf(members, args) }

// eachOf is each for that many members.
func (s *stage) eachOf(n int, args func(i int) []string) error {
	ready := make([]func() error, n)
	for i := range n {
		var err error
		if ready[i], err = s.launch(args(i)...); err != nil {
			return err
		}
	}
	var errs []error
	for _, wait := range ready {
		errs = append(errs, wait())
	}
	return errors.Join(errs...)
}

// start starts one member and waits until it is ready.
func (s *stage) start(args ...string) error {
	wait, err := s.launch(args...)
	if err != nil {
		return err
	}
	return wait()
}

func (s *stage) launch(args ...string) (wait func() error, err error) {
	cmd := exec.Command("/proc/self/exe", append([]string{memberWord}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a member: %w", err)
	}
	s.ends = append(s.ends, in)
	return func() error {
		line, err := bufio.NewReader(out).ReadString('\n')
		if line != "ready\n" {
			return fmt.Errorf("member: %s (%v)", strings.TrimSpace(line), err)
		}
		return nil
	}, nil
}

// sockets gives the kernel's own count of TCP sockets in the namespace: inuse
// and tw of /proc/net/sockstat (net/ipv4/proc.c).
func (s *stage) sockets() (int, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 7 || f[0] != "TCP:" {
			continue
		}
		inuse, err1 := strconv.Atoi(f[2])
		tw, err2 := strconv.Atoi(f[6])
		return inuse + tw, errors.Join(err1, err2)
	}
	return 0, errors.New("read /proc/net/sockstat: no TCP line")
}

// shell prepares a command line with the tcpvet of this run first in PATH, or with
// this program for the requests of (k). A
// line without a pipe becomes the program itself, so that no shell is measured.
func (s *stage) shell(ctx context.Context, line string) *exec.Cmd {
	args := strings.Fields(line)
	if strings.Contains(line, "|") {
		args = []string{"sh", "-c", line}
	}
	switch args[0] {
	case "tcpvet":
		args[0] = filepath.Join(s.Tools, "tcpvet")
	case requestsWord:
		args = append([]string{"/proc/self/exe", memberWord}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.Tools
	return cmd
}

// measure runs a command and tells what it and its children took: getrusage(2)
// of what was waited for. Status 1 of a verb that judges says that it found something.
func (s *stage) measure(ctx context.Context, line string) (cost, error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	cmd := s.shell(ctx, line)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	if err != nil && (cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 || !judges(line)) {
		return cost{}, fmt.Errorf("%s: %w: %s", line, err, errs.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{
		CPU:  cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		Wall: wall,
		RSS:  usage.Maxrss << 10,
	}, nil
}

// judges tells whether the command has a status for what it found.
func judges(line string) bool {
	return strings.HasPrefix(line, "tcpvet diagnose") || strings.HasPrefix(line, "tcpvet pcap")
}

// answer gives what a command prints.
func (s *stage) answer(ctx context.Context, line string) ([]byte, error) {
	out, err := s.shell(ctx, line).Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && (e.ExitCode() != 1 || !judges(line)) {
		return out, fmt.Errorf("%s: %w: %s", line, err, e.Stderr)
	} else if !ok && err != nil {
		return out, fmt.Errorf("%s: %w", line, err)
	}
	return out, nil
}
