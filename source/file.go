package source

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/dump"
	"github.com/tcpvet/tcpvet/store"
)

// FileOptions say how to read what was saved. The zero value is strict.
type FileOptions struct {
	// Lenient makes a damaged line a gap. Of a file that was cut it reads
	// what there is; the look then ends with ErrCut.
	Lenient bool

	// Ports is the local port range of the machine that pasted text came
	// from, nil where it is not known. A snapshot holds its own.
	Ports *tcpvet.Ports

	// Taken is when pasted text was taken; the zero time where that is not
	// known. A snapshot holds its own.
	Taken time.Time
}

// ErrCut ends a lenient look at a file that was cut: all that the file still holds
// was told, and a gap says where it ends.
var ErrCut = errors.New("the input was cut: only what is left of it was read")

// File reads a snapshot, or text as of ss, netstat, lsof or /proc/net/tcp,
// whichever r holds, plain or gzipped. r is read to its end by the first Look at
// the latest; a File can be looked at once.
func File(r io.Reader, opt FileOptions) (Source, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := in.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := newUnzipped(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(z, 1<<16)
	}
	start, err := in.Peek(4096)
	if err != nil && err != io.EOF && len(start) == 0 {
		return nil, err
	}
	if store.Recognise(start) {
		s, err := store.NewReader(in)
		if err != nil {
			return nil, err
		}
		s.Lenient = opt.Lenient
		return &snapshot{s}, nil
	}
	d, err := dump.Parse(in, dump.Options{Lenient: opt.Lenient, Ports: opt.Ports})
	if err != nil {
		return nil, err
	}
	return &text{dump: d, taken: opt.Taken}, nil
}

type snapshot struct{ r *store.Reader }

func (s *snapshot) Name() string                         { return s.r.Header.Source }
func (s *snapshot) Facts(want tcpvet.Facts) tcpvet.Facts { return s.r.Header.Facts & want }
func (s *snapshot) Taken() time.Time                     { return s.r.Header.Taken }
func (s *snapshot) Host() string                         { return s.r.Header.Host }
func (s *snapshot) Self() (tcpvet.NetnsID, bool) {
	return s.r.Header.Self, s.r.Header.Whole
}

func (s *snapshot) Look(ctx context.Context, q Query, o tcpvet.Observer) error {
	n := narrow(ctx, q, s.r.Header.Self, o)
	if err := s.r.Each(n); err != nil {
		return err
	}
	return n.end(s.r.Cut())
}

type text struct {
	dump  *dump.Dump
	taken time.Time
}

func (t *text) Name() string                         { return t.dump.Name() }
func (t *text) Facts(want tcpvet.Facts) tcpvet.Facts { return t.dump.Facts() & want }

func (t *text) Taken() time.Time             { return t.taken }
func (t *text) Host() string                 { return "" }
func (t *text) Self() (tcpvet.NetnsID, bool) { return 0, false }

func (t *text) Look(ctx context.Context, q Query, o tcpvet.Observer) error {
	n := narrow(ctx, q, 0, o)
	if err := t.dump.Each(withRoles(n), tcpvet.AllStates); err != nil {
		return err
	}
	return n.end(t.dump.Cut())
}
