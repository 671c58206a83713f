package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Need is something that a scenario needs of the machine beside namespaces.
type Need struct {
	Name string // "program nginx", "/dev/net/tun, so root"

	// Met gives nil where the machine has it, else why not and what would
	// bring it. It changes nothing.
	Met func() error
}

// UnmetError says that a scenario cannot be staged on this machine, for want of
// something that the scenario is not about. It is skipped then, by name and
// reason.
type UnmetError struct {
	Need string
	Err  error
}

// Error names the need and what would meet it.
func (e *UnmetError) Error() string { return fmt.Sprintf("needs %s: %v", e.Need, e.Err) }

// Unwrap gives why it is not met.
func (e *UnmetError) Unwrap() error { return e.Err }

// Unmet gives the first of the scenario's Needs that this machine does not
// meet, as an *UnmetError; nil where all are met.
func (sc *Scenario) Unmet() error {
	for _, n := range sc.Needs {
		if err := n.Met(); err != nil {
			return &UnmetError{n.Name, err}
		}
	}
	return nil
}

// TUN is the need of a scenario that uses Stage.Tunnel: the device is root's,
// also in a user namespace.
var TUN = Need{Name: "/dev/net/tun", Met: func() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run as root", err)
	case err != nil:
		return fmt.Errorf("%w: load the module tun", err)
	}
	return f.Close()
}}

// Installed is the need of a program, by the name of its file.
func Installed(program string) Need {
	return Need{Name: "program " + program, Met: func() error {
		_, err := findProgram(program)
		return err
	}}
}

// PythonModule is the need of Debian's python3 with a module, "requests".
func PythonModule(module, debianPackage string) Need {
	return Need{Name: "python3 with " + module, Met: func() error {
		python, err := findProgram("python3")
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, python, "-c", "import "+module)
		cmd.Env = plainEnvironment()
		if out, err := cmd.CombinedOutput(); err != nil {
			if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGINT {
				return fmt.Errorf("import %s: %w", module, context.Canceled) // Ctrl-C is for the whole group
			}
			return fmt.Errorf("import %s: %w: %s: install Debian package %s", module, err, lastLine(out), debianPackage)
		}
		return nil
	}}
}

// Setting is the need of a kernel that has a setting, by its dotted name.
func Setting(name string) Need {
	return Need{Name: "the setting " + name, Met: func() error {
		if _, err := os.Stat(sysctlPath(name)); err != nil {
			return fmt.Errorf("this kernel has none of that name: %w", err)
		}
		return nil
	}}
}

// Feature is the need of a kernel feature, by a probe of package kernel.
func Feature(name string, probe func() error) Need { return Need{Name: name, Met: probe} }

// MissingError says that a program is not installed.
type MissingError struct {
	Program string
	Package string // Debian's, "" where it is not known
}

// Error tells which package to install.
func (e *MissingError) Error() string {
	if e.Package == "" {
		return fmt.Sprintf("find program %s: it is not installed", e.Program)
	}
	return fmt.Sprintf("find program %s: install Debian package %s", e.Program, e.Package)
}

// debianPackages names the Debian 12 package of each program that scenarios
// start.
var debianPackages = map[string]string{
	"bash":    "bash",
	"curl":    "curl",
	"ip":      "iproute2",
	"lsof":    "lsof",
	"nft":     "nftables",
	"nginx":   "nginx-light",
	"python3": "python3",
	"sh":      "dash",
	"ss":      "iproute2",
	"sysctl":  "procps",
	"tcpdump": "tcpdump",
}

// findProgram gives the path of a program, or a *MissingError. The system's own
// directories come before PATH: a second python3 in PATH lacks Debian's modules.
func findProgram(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", &MissingError{name, debianPackages[name]}
}
