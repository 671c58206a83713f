package kernel

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Each thing that is missing is named; what could not be told is no "missing".
func TestMissingForBPF(t *testing.T) {
	yes := func() error { return nil }
	no := func() error { return &Unsupported{Feature: "it"} }
	unsure := func() error { return errors.New("read it: permission denied") }
	all := func() ([]string, error) { return nil, nil }
	for _, test := range []struct {
		name  string
		p     bpfProbes
		more  func() error
		needs string
		other string // of an error that says that nothing is known
	}{
		{"all there", bpfProbes{all, yes, yes, yes}, yes, "", ""},
		{"no capability", bpfProbes{func() ([]string, error) { return []string{"CAP_BPF", "CAP_PERFMON"}, nil }, unsure, yes, yes}, yes, "CAP_BPF and CAP_PERFMON", ""},
		{"no BTF", bpfProbes{all, yes, no, yes}, unsure, "BTF (/sys/kernel/btf/vmlinux)", ""},
		{"an old kernel", bpfProbes{all, yes, yes, yes}, no, "wings", ""},
		{"no bpf(2)", bpfProbes{all, no, no, yes}, yes, "bpf(2) and BTF (/sys/kernel/btf/vmlinux)", ""},
		{"a filter", bpfProbes{all, func() error { return unix.EPERM }, yes, yes}, yes, "bpf(2), which a seccomp filter or a user namespace forbids", ""},
		{"lockdown", bpfProbes{all, yes, yes, no}, yes, "lockdown below confidentiality", ""},
		{"BTF not readable", bpfProbes{all, yes, unsure, yes}, yes, "", "permission denied"},
		{"capabilities not readable", bpfProbes{func() ([]string, error) { return nil, unix.EIO }, yes, yes, yes}, yes, "", "input/output"},
		{"something else is missing for sure", bpfProbes{all, unsure, yes, no}, yes, "lockdown below confidentiality", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			needs, because, err := test.p.missing([]Need{{"wings", test.more}})
			if got := strings.Join(needs, " and "); got != test.needs {
				t.Errorf("got %q, want %q", got, test.needs)
			}
			if (err != nil) != (test.other != "") || err != nil && !strings.Contains(err.Error(), test.other) {
				t.Errorf("got %v, want %q", err, test.other)
			}
			if asked := !slices.Contains(needs, "CAP_BPF"); len(needs) > 0 && asked != (because != nil) {
				t.Errorf("%q because %v", needs, because)
			}
		})
	}
}
