package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stageVariable holds, in the environment of a stage, the network namespace of
// the process that entered it.
const stageVariable = "TCPVET_LAB_STAGE"

// lifeline is the descriptor of a stage that reaches its end when the process
// that entered it wants the stage to stop, or is gone.
const lifeline = 3

// answering is the descriptor of a stage by which it answers the process that
// entered it.
const answering = 4

// grace is how long a stage may take to end after it was told to. It has only
// to kill its processes, and to wait for commands of tcpvet that tidy up.
const grace = 15 * time.Second

// Inside tells whether this process is a stage that Enter made.
func Inside() bool {
	_, ok := os.LookupEnv(stageVariable)
	return ok
}

// Enter runs this program again with the same arguments, standard input and
// output, in a new network namespace, where Inside is true; it waits for its
// end and gives its exit status, 128 and the signal's number if it was killed.
// What went wrong in there has been reported in there: the caller only exits
// with that status.
//
// With CAP_SYS_ADMIN and CAP_NET_ADMIN the namespace is all that is new. Without
// them a new user namespace comes with it, in which this user is root; where
// ordinary users may not make one, the error says what forbids it.
//
// When ctx ends the stage is told to stop. When this process dies the stage is
// killed.
func Enter(ctx context.Context) (status int, err error) {
	status, _, err = EnterAs(ctx, Entry{Args: os.Args, Stdout: os.Stdout, Stderr: os.Stderr})
	return status, err
}

// Entry is a way to enter a stage.
type Entry struct {
	Args           []string  // the stage's command line, its name first
	Env            []string  // more variables, as NAME=value
	Stdout, Stderr io.Writer // nil for nowhere
}

// EnterAs is Enter with another command line. told is what the stage told the
// caller by Answer.
func EnterAs(ctx context.Context, e Entry) (status int, told []byte, err error) {
	outside, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return 0, nil, fmt.Errorf("enter the stage: read one's own network namespace: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, nil, fmt.Errorf("enter the stage: %w", err)
	}
	defer w.Close()
	defer r.Close()
	answer, tell, err := os.Pipe()
	if err != nil {
		return 0, nil, fmt.Errorf("enter the stage: %w", err)
	}
	defer answer.Close()
	defer tell.Close()

	cmd := again(e.Args...)
	cmd.Env = append(append(os.Environ(), e.Env...), stageVariable+"="+outside)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, e.Stdout, e.Stderr
	cmd.ExtraFiles = []*os.File{r, tell}
	cmd.SysProcAttr = entry(mayMakeNamespaces())
	cmd.WaitDelay = grace

	// The kernel sends the parent-death signal when the thread ends that
	// made the child: hold on to it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("enter the stage: make a private network namespace: %w", explainDenied(err, readSysctl))
	}
	r.Close()
	tell.Close()
	heard := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(answer) // it ends with the stage and its processes
		heard <- b
	}()

	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			w.Close()
		}
		select {
		case <-ended:
		case <-time.After(grace):
			_ = cmd.Process.Kill()
		}
	}()
	err = cmd.Wait()
	close(ended)

	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, nil, fmt.Errorf("wait for the stage: %w", err)
	}
	return exitStatus(cmd.ProcessState), <-heard, nil
}

// Answer tells the process that entered this stage something, once.
func Answer(b []byte) error {
	f := os.NewFile(answering, "answer")
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("tell who entered the stage: %w", err)
	}
	return f.Close()
}

// again gives the command that runs this program once more. The link is
// followed by the child itself: it holds even if the file was replaced since.
func again(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = args
	return cmd
}

// entry says how a stage is made. Its IDs are mapped to root's in the new user
// namespace; setgroups stays denied there, as the kernel demands of ordinary
// users.
func entry(privileged bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if !privileged {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// mayMakeNamespaces tells whether this process may make a network namespace and
// rule in it without a user namespace of its own.
func mayMakeNamespaces() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // of 32 capabilities each
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	const want = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&want == want
}
