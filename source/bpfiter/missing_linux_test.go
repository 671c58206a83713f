package bpfiter

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// Each thing that is missing is named; what could not be told is no "missing".
func TestProbeNames(t *testing.T) {
	yes := func() error { return nil }
	no := func() error { return &kernel.Unsupported{Feature: "it"} }
	unsure := func() error { return errors.New("read it: permission denied") }
	all := func() ([]string, error) { return nil, nil }
	for _, test := range []struct {
		name    string
		p       probes
		missing string
		other   string // of an error that is no *MissingError
	}{
		{"all there", probes{all, yes, yes, yes, yes}, "", ""},
		{"no capability", probes{func() ([]string, error) { return []string{"CAP_BPF", "CAP_PERFMON"}, nil }, unsure, yes, yes, yes}, "CAP_BPF and CAP_PERFMON", ""},
		{"no BTF", probes{all, yes, no, unsure, yes}, "BTF (/sys/kernel/btf/vmlinux)", ""},
		{"an old kernel", probes{all, yes, yes, no, yes}, "BPF iterators", ""},
		{"no bpf(2)", probes{all, no, no, no, yes}, "bpf(2) and BTF", ""},
		{"a filter", probes{all, func() error { return unix.EPERM }, yes, yes, yes}, "seccomp", ""},
		{"lockdown", probes{all, yes, yes, yes, no}, "lockdown", ""},
		{"BTF not readable", probes{all, yes, unsure, yes, yes}, "", "permission denied"},
		{"capabilities not readable", probes{func() ([]string, error) { return nil, unix.EIO }, yes, yes, yes, yes}, "", "input/output"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.p.probe()
			m, missing := errors.AsType[*MissingError](err)
			switch {
			case missing != (test.missing != ""):
				t.Errorf("got %v", err)
			case missing && !strings.Contains(m.Error(), test.missing):
				t.Errorf("%q does not name %q", m, test.missing)
			case !missing && (err != nil) != (test.other != "") || test.other != "" && !strings.Contains(err.Error(), test.other):
				t.Errorf("got %v, want %q", err, test.other)
			}
		})
	}
}
