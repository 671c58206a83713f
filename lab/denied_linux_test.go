package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestExplainDenied(t *testing.T) {
	for _, c := range []struct {
		err    error
		sysctl map[string]string
		want   string
	}{
		{syscall.EPERM, map[string]string{"kernel.unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone is 0"},
		{syscall.EPERM, map[string]string{"kernel.unprivileged_userns_clone": "1", "kernel.apparmor_restrict_unprivileged_userns": "1"},
			"kernel.apparmor_restrict_unprivileged_userns is 1"},
		{syscall.EACCES, map[string]string{"kernel.apparmor_restrict_unprivileged_userns": "1"}, "AppArmor"},
		{syscall.EPERM, map[string]string{"kernel.apparmor_restrict_unprivileged_userns": "0"}, "a seccomp filter or a security module"},
		{syscall.EPERM, nil, "run as root"},
		{syscall.ENOSPC, map[string]string{"user.max_user_namespaces": "0"}, "user.max_user_namespaces is 0"},
		{syscall.ENOSPC, map[string]string{"user.max_user_namespaces": "10", "user.max_net_namespaces": "0"}, "user.max_net_namespaces is 0"},
		{syscall.ENOSPC, map[string]string{"user.max_user_namespaces": "10"}, "too many namespaces"},
		{syscall.EINVAL, nil, "CONFIG_USER_NS"},
		{syscall.EROFS, nil, "read-only"},
	} {
		got := explainDenied(fmt.Errorf("clone: %w", c.err), func(name string) (string, error) {
			v, ok := c.sysctl[name]
			if !ok {
				return "", fs.ErrNotExist
			}
			return v, nil
		})
		if !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) {
			t.Errorf("%v with %v: got %q, want %q in it", c.err, c.sysctl, got, c.want)
		}
	}
	if err := explainDenied(syscall.ENOMEM, readSysctl); err != syscall.ENOMEM {
		t.Errorf("ENOMEM: got %q, want it unexplained", err)
	}
}

// The kernel itself refuses here: in a user namespace that is allowed no
// further one, and in one where this user has no ID.
func TestEnterTellsWhyItMayNot(t *testing.T) {
	kerneltest.UserNS(t)
	unshare, setpriv := kerneltest.Tool(t, "unshare"), kerneltest.Tool(t, "setpriv")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"limit of zero", []string{unshare, "-Ur", "sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh",
			setpriv, "--bounding-set=-all", "--inh-caps=-all", self}, "user.max_user_namespaces is 0"},
		{"no ID", []string{unshare, "-U", self}, "run as root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := run("succeed")
			cmd.Path, cmd.Args = c.args[0], c.args
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != statusDenied || !strings.Contains(string(out), c.want) {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}
