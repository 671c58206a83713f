package source

import (
	"errors"

	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// OpenFrom is Open("auto") where so many open files make it worth to load programs.
func OpenFrom(files uint64) (Source, error) {
	src, err := Open("auto")
	if b, ok := src.(*best); ok {
		b.least = files
	}
	return src, err
}

// WithoutBPF makes this process believe that the kernel lacks what the iterators
// need, until the function that it gives is called.
func WithoutBPF(missing string) (undo func()) {
	probeBPF = func() error { return &bpfiter.MissingError{Doing: "count by BPF", Needs: []string{missing}} }
	return func() { probeBPF = bpfiter.Probe }
}

// WithoutLoading lets the probe pass and the kernel refuse the programs.
func WithoutLoading(why string) (undo func()) {
	newStream = func() (*bpfiter.Stream, error) { return nil, errors.New(why) }
	newCounter = func(bpfiter.Options) (*bpfiter.Counter, error) { return nil, errors.New(why) }
	return func() { newStream, newCounter = bpfiter.NewStream, bpfiter.NewCounter }
}
