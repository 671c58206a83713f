package kernel

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// UserNamespaces tells whether an ordinary user may make a user namespace and,
// in it, a network namespace (user_namespaces(7), network_namespaces(7)). Root
// learns whether root may.
//
// A limit of 0 in user.max_user_namespaces and a security module's refusal are
// an *Unsupported: nothing that the caller can do changes them.
func UserNamespaces() error {
	const feature = "user namespaces with a network namespace inside"
	err := cloneOnly(&syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSPC),
		errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &Unsupported{Feature: feature, Err: err}
	}
	return fmt.Errorf("probe %s: %w", feature, err)
}

// NetNamespaces tells whether this process may make a network namespace
// (network_namespaces(7)). Without CAP_SYS_ADMIN it cannot tell.
func NetNamespaces() error {
	const feature = "network namespaces"
	err := cloneOnly(&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		return &Unsupported{Feature: feature, Err: err}
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("probe %s: needs CAP_SYS_ADMIN: %w", feature, err)
	}
	return fmt.Errorf("probe %s: %w", feature, err)
}

// cloneOnly makes a child as attr says and has it execute nothing: the path
// runs through a file, so execve(2) answers ENOTDIR, which clone(2) and the
// writes of the ID maps never do. The caller's own thread stays as it was.
func cloneOnly(attr *syscall.SysProcAttr) error {
	_, err := syscall.ForkExec("/dev/null/none", []string{"none"}, &syscall.ProcAttr{Sys: attr})
	if errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err == nil {
		return errors.New("start a child that executes nothing: it executed something")
	}
	return err
}
