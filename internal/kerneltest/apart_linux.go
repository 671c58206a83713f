package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// apartVariable tells a test binary that it has been started apart.
const apartVariable = "TCPVET_TEST_APART"

// Apart is Main for packages that change settings or sockets. As root it runs the
// whole test binary in a network namespace of its own, so that a mistake in what is
// tested, or in a test, changes nothing of this machine's.
func Apart(m *testing.M, parts map[string]func() error) {
	if os.Geteuid() != 0 || os.Getenv(apartVariable) != "" || os.Getenv(partVariable) != "" {
		Main(m, parts)
		return
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	// The fuzzer talks to its workers over these.
	cmd.ExtraFiles = inherited()
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &ended):
		os.Exit(ended.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "run the tests in a network namespace of their own:", err)
	os.Exit(1)
}

// inherited gives descriptors 3 to 5, which go test's fuzzing hands to a worker.
func inherited() (files []*os.File) {
	for fd := uintptr(3); fd <= 5; fd++ {
		if _, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil {
			break
		}
		files = append(files, os.NewFile(fd, "inherited"))
	}
	return files
}
