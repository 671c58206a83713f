package cli

import (
	"bufio"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// silent shows nothing: what is asked for comes at the end.
type silent struct{}

func (silent) conversation(*tcpvet.Conversation) error      { return nil }
func (silent) segment(*capture.Segment, capture.Step) error { return nil }
func (silent) flush() error                                 { return nil }

type tableLines struct{ list *report.Conversations }

func (l tableLines) conversation(c *tcpvet.Conversation) error    { return l.list.Conversation(c) }
func (l tableLines) segment(*capture.Segment, capture.Step) error { return nil }
func (l tableLines) flush() error                                 { return l.list.Flush() }

type csvLines struct{ list *report.ConversationCSV }

func (l csvLines) conversation(c *tcpvet.Conversation) error    { return l.list.Conversation(c) }
func (l csvLines) segment(*capture.Segment, capture.Step) error { return nil }
func (l csvLines) flush() error                                 { return l.list.Flush() }

type jsonLines struct {
	out *bufio.Writer
	buf []byte
}

func (l *jsonLines) conversation(c *tcpvet.Conversation) error {
	l.buf = append(jsonv1.AppendConversation(l.buf[:0], c), '\n')
	_, err := l.out.Write(l.buf)
	return err
}

func (l *jsonLines) segment(*capture.Segment, capture.Step) error { return nil }
func (l *jsonLines) flush() error                                 { return l.out.Flush() }

type packetLines struct {
	out   *bufio.Writer
	lines *report.Packets
	buf   []byte
}

func (l *packetLines) conversation(*tcpvet.Conversation) error { return nil }

func (l *packetLines) segment(s *capture.Segment, step capture.Step) error {
	l.buf = l.lines.Append(l.buf[:0], s, step)
	_, err := l.out.Write(l.buf)
	return err
}

func (l *packetLines) flush() error { return l.out.Flush() }
