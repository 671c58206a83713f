package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line that a snapshot may have, in bytes.
const MaxLine = 4 << 20

// lines cuts a file into lines. It holds one at a time.
type lines struct {
	in  *bufio.Reader
	n   int // number of the current line, from 1
	buf []byte
	cut bool // the current line has no end: it is the last
}

func newLines(r io.Reader) *lines { return &lines{in: bufio.NewReaderSize(r, 1<<16)} }

// next gives the next line that is not blank, without its end. Its error is a
// *LineError: one of ErrCut where there is no more, another where the line is
// too long, after which reading can go on.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.one()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

func (l *lines) one() ([]byte, error) {
	l.n++
	l.buf = l.buf[:0]
	long := false
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case err == nil && !long && len(l.buf) == 0:
			return part, nil // as nearly always: no copy
		case long:
		case len(l.buf)+len(part) > MaxLine+1: // and its end
			long = true
		default:
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			// A compressed file that was cut, or that is damaged, says so here.
			return nil, l.fault(l.buf, fmt.Errorf("%w: %w", ErrCut, err))
		case err != nil && len(l.buf) == 0:
			return nil, l.fault(nil, ErrCut)
		case long:
			return nil, l.fault(l.buf, fmt.Errorf("longer than %d bytes", MaxLine))
		}
		l.cut = err != nil
		return l.buf, nil
	}
}

// rest checks that nothing but white space is left: ErrMore, or ErrCut where that
// cannot be read.
func (l *lines) rest() error {
	for {
		b, err := l.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			err = fmt.Errorf("%w: %w", ErrCut, err)
		case b == ' ' || b == '\t' || b == '\r' || b == '\n':
			continue
		default:
			err = ErrMore
		}
		return &LineError{Line: l.n + 1, Err: err}
	}
}

// fault tells of the current line. If the file ends in the middle of it, that
// is what is wrong with it.
func (l *lines) fault(line []byte, err error) error {
	if l.cut {
		err = fmt.Errorf("%w (%w)", ErrCut, err)
	}
	const most = 80
	if len(line) > most {
		line = line[:most]
	}
	return &LineError{Line: l.n, Text: string(line), Err: err}
}
