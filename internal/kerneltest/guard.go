// Package kerneltest holds the guards of tests that need more than an ordinary
// user on any Linux: root, a network namespace, a kernel feature, a program.
//
// A guard skips with a reason on a machine that cannot run the test, and fails
// on one that should be able to. Every reason begins with one of NeedsRoot,
// LacksFeature and NeedsProgram, so that the test runner can tell the skips
// that it expects from those that it does not.
package kerneltest

import (
	"errors"
	"os"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// How the reasons of skips begin. tools/testrun knows the same words.
const (
	NeedsRoot    = "needs root"
	LacksFeature = "kernel lacks"
	NeedsProgram = "needs program"
)

// Root skips the test unless it runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip(NeedsRoot + ": run as root to include this test")
	}
}

// Need runs a probe of package kernel. Its "no" skips the test. "Could not tell"
// fails it: it is what a guard that has come to skip everywhere looks like. So
// does a "no" of a kernel whose release should say yes.
func Need(t testing.TB, probe func() error) {
	t.Helper()
	err := probe()
	if err == nil {
		return
	}
	no, ok := errors.AsType[*kernel.Unsupported](err)
	if !ok {
		t.Fatalf("could not tell whether the kernel can run this test: %v", err)
	}
	release, err := kernelRelease()
	if err != nil {
		t.Fatal(err)
	}
	if no.Since != "" && !older(release, no.Since) {
		t.Fatalf("%v; yet this is Linux %s: the probe may be wrong", no, release)
	}
	t.Skipf("%s %s: %v", LacksFeature, no.Feature, no)
}

// UserNS skips the test where the user who runs it may not make user namespaces
// and network namespaces in them.
func UserNS(t testing.TB) {
	t.Helper()
	Need(t, kernel.UserNamespaces)
}
