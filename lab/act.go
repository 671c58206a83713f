package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"strconv"
	"syscall"
)

// Act is what one process of a stage does.
type Act struct {
	Name string

	// Learn says, with On, what the act does on each cue.
	Learn func(*Cues)
}

// Cues are what an act waits for, by name.
type Cues struct {
	handlers map[string]func(json.RawMessage) (any, error)
}

// On makes the act answer that cue by do. Cues are answered one at a time.
// What do returns as an error is a failure of the act itself: the fault that
// it was to provoke belongs in the answer.
func On[Order, Answer any](c *Cues, cue string, do func(Order) (Answer, error)) {
	if c.handlers == nil {
		c.handlers = make(map[string]func(json.RawMessage) (any, error))
	}
	c.handlers[cue] = func(raw json.RawMessage) (any, error) {
		var order Order
		if err := json.Unmarshal(raw, &order); err != nil {
			return nil, fmt.Errorf("read the order: %w", err)
		}
		return do(order)
	}
}

// cue and reply are what a stage and an act send to each other, one at a time,
// a line of JSON each, over the standard input and output of the act.
type cue struct {
	Cue   string
	Order json.RawMessage
}

type reply struct {
	Answer json.RawMessage
	Err    string // "" for none
}

// serve answers cues from r on w until r ends.
func (c *Cues) serve(r io.Reader, w io.Writer) error {
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	for {
		var q cue
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a cue: %w", err)
		}
		if err := out.Encode(c.answer(q)); err != nil {
			return fmt.Errorf("answer the cue %q: %w", q.Cue, err)
		}
	}
}

func (c *Cues) answer(q cue) reply {
	if q.Cue == actPID {
		return reply{Answer: json.RawMessage(strconv.Itoa(os.Getpid()))}
	}
	do, ok := c.handlers[q.Cue]
	if !ok {
		return reply{Err: fmt.Sprintf("this act has no cue %q", q.Cue)}
	}
	answer, err := do(q.Order)
	if err != nil {
		return reply{Err: err.Error()}
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return reply{Err: err.Error()}
	}
	return reply{Answer: raw}
}

// actVariable names, in the environment of a process of the stage, the act that
// it plays.
const actVariable = "TCPVET_LAB_ACT"

// nextVariable names the act that a program is to play which this process runs, and
// nextActVariable tells that one that it is such a program.
const (
	nextVariable    = "TCPVET_LAB_NEXT"
	nextActVariable = "TCPVET_LAB_NEXT_ACT"
)

// actPID is a cue that every act answers, with its PID.
const actPID = "pid"

// Main plays an act, or prepares a program's process and becomes the program,
// if this process was started for one; then it exits. Otherwise it does
// nothing, at the price of a look into the environment. A program that plays
// scenarios calls it first of all in main, with all of them.
func Main(scenarios ...*Scenario) {
	setup, ok := os.LookupEnv(setupVariable)
	if ok {
		if err := prepare(setup); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if next, ok := os.LookupEnv(nextVariable); ok {
		if err := passOn(next); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	name, ok := os.LookupEnv(actVariable)
	if !ok || passedOn {
		return
	}
	if err := perform(name, scenarios); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// passedOn says that the act in the environment is for the programs that this process
// runs, and not for itself, however often it calls Main.
var passedOn bool

// passOn has the programs that this process runs play an act.
func passOn(act string) error {
	passedOn = true
	err := errors.Join(os.Unsetenv(nextVariable), os.Setenv(actVariable, act), os.Setenv(nextActVariable, "1"))
	if err != nil {
		return fmt.Errorf("pass the act %s on: %w", act, err)
	}
	return nil
}

func perform(name string, scenarios []*Scenario) error {
	// A Ctrl-C reaches every process of the terminal. The stage is to hear
	// of it first, and ends the acts itself.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if _, next := os.LookupEnv(nextActVariable); next {
		end := make(chan os.Signal, 1)
		signal.Notify(end, outerEnds)
		go func() {
			<-end
			os.Exit(0)
		}()
	}
	if err := errors.Join(os.Unsetenv(actVariable), os.Unsetenv(nextActVariable)); err != nil {
		return fmt.Errorf("play %s: %w", name, err)
	}
	act, ok := findAct(name, scenarios)
	if !ok {
		return fmt.Errorf("play %s: no scenario has such an act", name)
	}
	if err := setComm(path.Base(os.Args[0])); err != nil {
		return fmt.Errorf("play %s: %w", name, err)
	}
	var cues Cues
	act.Learn(&cues)
	if err := cues.serve(os.Stdin, os.Stdout); err != nil {
		return fmt.Errorf("play %s: %w", name, err)
	}
	return nil
}

func findAct(name string, scenarios []*Scenario) (Act, bool) {
	if name == keeper.Name {
		return keeper, true
	}
	for _, sc := range scenarios {
		for _, act := range sc.Acts {
			if act.Name == name {
				return act, true
			}
		}
	}
	return Act{}, false
}

// setComm names the process as ps and ss print it. Through this file the kernel
// names the main thread, whichever thread writes (comm_write in fs/proc/base.c);
// it keeps 15 bytes.
func setComm(name string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		return fmt.Errorf("name the process %q: %w", name, err)
	}
	return nil
}
