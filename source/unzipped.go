package source

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/tcpvet/tcpvet/source/dump"
)

// unzipped reads what a gzip file holds. Where the file is cut or damaged it says
// how far it could be read.
type unzipped struct {
	z  *gzip.Reader
	in *counted
}

func newUnzipped(in *bufio.Reader) (*unzipped, error) {
	u := &unzipped{in: &counted{Reader: in}}
	var err error
	if u.z, err = gzip.NewReader(u.in); err != nil {
		return nil, fmt.Errorf("read gzip: %w", u.fault(err))
	}
	return u, nil
}

func (u *unzipped) Read(b []byte) (int, error) {
	n, err := u.z.Read(b)
	if err != nil && err != io.EOF {
		err = u.fault(err)
	}
	return n, err
}

// fault says what is wrong with the file. Other errors are those of its reader.
func (u *unzipped) fault(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the compressed file was cut after %d bytes", dump.ErrCut, u.in.n)
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("%w: the compressed file is damaged before its byte %d: %w", dump.ErrCut, u.in.n, err)
	}
	return err
}

// counted counts the bytes that were read. It has ReadByte, so that gzip reads no
// further than it has to.
type counted struct {
	*bufio.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counted) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}
