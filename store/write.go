// Package store keeps looks on disk: a snapshot is one look as JSON Lines, to
// be judged later or elsewhere.
//
// The first line is a header; then come the host, the namespaces, processes
// and gaps as the look told them, and a tcpvet/socket/v1 line for each socket;
// the last line says that the file is whole.
package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// Header says what a snapshot is.
type Header struct {
	Taken  time.Time // the zero time where it is not known
	Host   string
	Source string
	Facts  tcpvet.Facts
	Self   tcpvet.NetnsID // the namespace of the one who looked
	Whole  bool           // every namespace was looked at, but for the gaps
}

// Writer is an Observer that writes what it sees.
type Writer struct {
	out     *bufio.Writer
	enc     *json.Encoder
	header  Header
	sockets uint64
	changed uint64
	err     error
	lookup  jsonv1.Lookup
	comms   map[tcpvet.Process]string
	buf     []byte
}

// NewWriter writes a snapshot to w. Close ends it.
func NewWriter(w io.Writer, h Header) *Writer {
	out := bufio.NewWriterSize(w, 1<<16)
	s := &Writer{out: out, enc: json.NewEncoder(out), header: h, comms: make(map[tcpvet.Process]string)}
	s.enc.SetEscapeHTML(false)
	s.lookup = jsonv1.Lookup{
		Process: func(p tcpvet.Process) (tcpvet.ProcessInfo, bool) {
			comm, ok := s.comms[p]
			return tcpvet.ProcessInfo{Comm: comm}, ok
		},
		Netns: func(tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{}, false },
	}
	s.line(jsonv1.SnapshotHeader{
		Schema: jsonv1.SnapshotSchema, Kind: jsonv1.KindHeader, Taken: jsonv1.Time(h.Taken), Host: h.Host, Source: h.Source,
		Facts: h.Facts.Words(), Self: uint64(h.Self), Whole: h.Whole,
	})
	return s
}

func (s *Writer) line(v any) {
	if s.err == nil {
		s.err = s.enc.Encode(v)
	}
}

// Host writes the host's line.
func (s *Writer) Host(h tcpvet.Host) {
	s.line(jsonv1.SnapshotHostOf(&h))
}

// Netns writes the namespace's line.
func (s *Writer) Netns(n tcpvet.Netns) { s.line(jsonv1.SnapshotNetnsOf(&n)) }

// Process writes the process's line.
func (s *Writer) Process(p tcpvet.Process, info tcpvet.ProcessInfo) {
	s.comms[p] = info.Comm
	s.line(jsonv1.SnapshotProcessOf(p, &info))
}

// Gap writes the gap's line.
func (s *Writer) Gap(g tcpvet.Gap) { s.line(jsonv1.SnapshotGapOf(g)) }

// Changed keeps how many sockets changed during the look.
func (s *Writer) Changed(n uint64) { s.changed += n }

// Socket writes the socket's line. Its error is one of writing.
func (s *Writer) Socket(sock *tcpvet.Socket) error {
	if s.err != nil {
		return s.err
	}
	s.sockets++
	s.buf = s.lookup.AppendSocket(s.buf[:0], sock, s.header.Facts.Has(tcpvet.FactHolders))
	s.buf = append(s.buf, '\n')
	_, s.err = s.out.Write(s.buf)
	return s.err
}

// Sockets is how many were written.
func (s *Writer) Sockets() uint64 { return s.sockets }

// Close ends the snapshot of a look that ended well: it writes the last line
// and what is buffered. It does not close the writer below.
func (s *Writer) Close() error {
	s.line(jsonv1.SnapshotEnd{Schema: jsonv1.SnapshotSchema, Kind: jsonv1.KindEnd, Sockets: s.sockets, Changed: s.changed})
	return s.Abandon()
}

// Abandon is Close for a look that ended early: without the last line a reader
// knows that the file is not whole.
func (s *Writer) Abandon() error {
	if s.err == nil {
		s.err = s.out.Flush()
	}
	if s.err != nil {
		return fmt.Errorf("write snapshot: %w", s.err)
	}
	return nil
}
