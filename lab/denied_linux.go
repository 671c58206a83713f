package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// explainDenied adds to an error that the kernel gave on the way to a stage
// what forbids it here, as far as the settings tell, and what to do.
func explainDenied(err error, sysctl func(name string) (string, error)) error {
	is := func(name, value string) bool {
		v, err := sysctl(name)
		return err == nil && v == value
	}
	switch {
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%w: this kernel is built without user namespaces (CONFIG_USER_NS): run as root", err)
	case errors.Is(err, syscall.ENOSPC):
		for _, name := range []string{"user.max_user_namespaces", "user.max_net_namespaces"} {
			if is(name, "0") {
				return fmt.Errorf("%w: %s is 0: raise it with sysctl, or run as root", err, name)
			}
		}
		return fmt.Errorf("%w: too many namespaces exist or are nested (user.max_user_namespaces, user.max_net_namespaces): raise the limits with sysctl", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: /proc/sys is mounted read-only, as in a container that is not privileged: run on the host", err)
	case !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES):
		return err
	case is("kernel.unprivileged_userns_clone", "0"):
		return fmt.Errorf("%w: kernel.unprivileged_userns_clone is 0, so only root may make user namespaces: run as root", err)
	case is("kernel.apparmor_restrict_unprivileged_userns", "1"):
		return fmt.Errorf("%w: AppArmor keeps ordinary programs from user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1): run as root", err)
	}
	return fmt.Errorf("%w: something forbids user namespaces here, a seccomp filter or a security module: run as root, with CAP_SYS_ADMIN and CAP_NET_ADMIN", err)
}

func sysctlPath(name string) string {
	return "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
}

func readSysctl(name string) (string, error) {
	b, err := os.ReadFile(sysctlPath(name))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return strings.TrimSpace(string(b)), nil
}
