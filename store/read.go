package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// Reader reads a snapshot.
type Reader struct {
	Header Header

	// Lenient passes over a damaged line and reports all of them as one Gap,
	// and what is missing at the end as another.
	Lenient bool

	in  *lines
	cut bool
}

// Cut tells that a lenient Each came to ErrCut.
func (s *Reader) Cut() bool { return s.cut }

// LineError is a line of a snapshot that could not be read.
type LineError struct {
	Line int    // counted from 1
	Text string // its beginning
	Err  error
}

func (e *LineError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("read snapshot line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("read snapshot line %d %q: %v", e.Line, e.Text, e.Err)
}

// Unwrap gives the cause.
func (e *LineError) Unwrap() error { return e.Err }

// What can be wrong with a snapshot as a whole.
var (
	// ErrCut is the cause where the last line of a snapshot is missing.
	ErrCut = errors.New("the file ends before its end line: it was cut")

	// ErrMore is the cause where something follows the last line.
	ErrMore = errors.New("the snapshot has ended, and more follows: read each snapshot on its own")
)

// Recognise tells whether a file that begins with these bytes is a snapshot.
func Recognise(start []byte) bool {
	line, _, _ := bytes.Cut(start, []byte("\n"))
	return bytes.HasPrefix(bytes.TrimLeft(line, " \t\r"), []byte("{")) && bytes.Contains(line, []byte(`"tcpvet/snapshot/`))
}

// NewReader reads the header of a snapshot. Facts that this version does not
// know are left out.
func NewReader(r io.Reader) (*Reader, error) {
	s := &Reader{in: newLines(r)}
	line, err := s.in.next()
	if err != nil {
		return nil, fmt.Errorf("read snapshot header: %w", err)
	}
	var h jsonv1.SnapshotHeader
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, s.in.fault(line, err)
	}
	if h.Schema != jsonv1.SnapshotSchema || h.Kind != jsonv1.KindHeader {
		return nil, s.in.fault(line, fmt.Errorf("schema %q, kind %q: this tcpvet reads %s", h.Schema, h.Kind, jsonv1.SnapshotSchema))
	}
	s.Header = Header{Host: h.Host, Source: h.Source, Self: tcpvet.NetnsID(h.Self), Whole: h.Whole}
	if h.Taken != nil {
		if s.Header.Taken, err = time.Parse(time.RFC3339Nano, *h.Taken); err != nil {
			return nil, s.in.fault(line, err)
		}
	}
	for _, word := range h.Facts {
		f, _ := tcpvet.ParseFact(word)
		s.Header.Facts |= f
	}
	return s, nil
}

// Each gives o what the snapshot holds, in its order. It ends at the first
// damaged line with a *LineError, unless the reader is lenient, and with o's
// own error where o returned one.
func (s *Reader) Each(o tcpvet.Observer) error {
	e := each{in: s.in, o: o}
	var first error
	for !e.ended {
		line, err := s.in.next()
		if err == nil {
			err = e.line(line)
		}
		if err == nil && e.ended {
			err = s.in.rest()
		}
		var fault *LineError
		switch {
		case err == nil:
		case errors.Is(err, ErrCut) && !s.Lenient:
			return fmt.Errorf("%w; take the snapshot again, or read what there is with --lenient", err)
		case !errors.As(err, &fault), !s.Lenient:
			return err
		case errors.Is(err, ErrCut):
			o.Gap(tcpvet.Gap{What: "the rest of the snapshot", Err: err.Error()})
			e.ended, s.cut = true, true
		default:
			if e.damaged++; first == nil {
				first = err
			}
		}
	}
	if e.damaged > 0 {
		o.Gap(tcpvet.Gap{What: "damaged lines", Err: "first: " + first.Error(), Count: e.damaged})
	}
	return nil
}

// each is one reading of the lines after the header.
type each struct {
	in      *lines
	o       tcpvet.Observer
	sock    tcpvet.Socket
	seen    uint64 // sockets
	damaged int    // lines
	ended   bool   // the last line was read
}

// line gives the observer what a line holds.
func (e *each) line(line []byte) error {
	if jsonv1.IsSocket(line) {
		return e.socket(line)
	}
	var head struct{ Schema, Kind string }
	if err := json.Unmarshal(line, &head); err != nil {
		return e.in.fault(line, err)
	}
	switch head.Schema {
	case jsonv1.SocketSchema:
		return e.socket(line)
	case jsonv1.SnapshotSchema:
		if err := e.other(head.Kind, line); err != nil {
			return e.in.fault(line, err)
		}
		return nil
	}
	return e.in.fault(line, fmt.Errorf("schema %q, kind %q: written by another version of tcpvet", head.Schema, head.Kind))
}

func (e *each) socket(line []byte) error {
	if err := jsonv1.DecodeSocket(line, &e.sock); err != nil {
		return e.in.fault(line, err)
	}
	e.seen++
	return e.o.Socket(&e.sock)
}

// other reads a line that is no socket's.
func (e *each) other(kind string, line []byte) error {
	switch kind {
	case jsonv1.KindHost:
		return read(line, func(j *jsonv1.SnapshotHost) error {
			e.o.Host(j.Host())
			return nil
		})
	case jsonv1.KindNetns:
		return read(line, func(j *jsonv1.SnapshotNetns) error {
			n, err := j.Netns()
			if err == nil {
				e.o.Netns(n)
			}
			return err
		})
	case jsonv1.KindProcess:
		return read(line, func(j *jsonv1.SnapshotProcess) error {
			p, info, err := j.Process()
			if err == nil {
				e.o.Process(p, info)
			}
			return err
		})
	case jsonv1.KindGap:
		return read(line, func(j *jsonv1.SnapshotGap) error {
			e.o.Gap(j.Value())
			return nil
		})
	case jsonv1.KindEnd:
		return read(line, e.end)
	}
	return fmt.Errorf("kind %q: written by another version of tcpvet", kind)
}

// end checks that the file is whole.
func (e *each) end(j *jsonv1.SnapshotEnd) error {
	e.ended = true
	if j.Changed > 0 {
		e.o.Changed(j.Changed)
	}
	// Damaged lines, which are told of, may have been sockets.
	if j.Sockets < e.seen || j.Sockets > e.seen+uint64(e.damaged) {
		return fmt.Errorf("%d sockets were written and %d are in the file: lines are missing, or are there twice", j.Sockets, e.seen)
	}
	return nil
}

// read decodes a line for see.
func read[T any](line []byte, see func(*T) error) error {
	j := new(T)
	if err := json.Unmarshal(line, j); err != nil {
		return err
	}
	return see(j)
}
