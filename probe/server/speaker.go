package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/vet"
)

// answer is one whole answer, and when its request was sent and it was read.
type answer struct {
	probe.Reply
	sent, done time.Time
	bytes      int64 // of its body
}

// speaker is a connection on which requests are made, one after the other. Its
// methods are called by one goroutine.
type speaker interface {
	// ask sends the request and reads the whole answer. An error that is an *ended
	// tells that the connection ended in place of an answer.
	ask(timeout time.Duration) (answer, error)
	// wait waits until the server ends the connection. At the read deadline of the
	// connection it gives os.ErrDeadlineExceeded, and can be called again.
	wait() (*ended, error)
}

// ended is the end of a connection.
type ended struct {
	how    probe.Ending
	at     time.Time // when it began, zero for when it was found
	status int       // with ByAnswer
	lastID uint32    // with ByGoAway
	code   string    // with ByGoAway
}

func (e *ended) Error() string { return "the connection was ended by " + e.how.String() }

// endOf tells how err ended a connection; nil for another error.
func endOf(err error, overTLS bool) *ended {
	switch {
	case errors.Is(err, io.EOF) && overTLS:
		return &ended{how: probe.ByCloseNotify}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &ended{how: probe.ByFIN}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		// After an RST that was not read a write gives EPIPE.
		return &ended{how: probe.ByRST}
	}
	return nil
}

// failed wraps err: as the end of the connection, as a time that was over, or as it is.
func failed(err error, doing string, timeout time.Duration, overTLS bool) error {
	if e := endOf(err, overTLS); e != nil {
		return fmt.Errorf("%s: %w", doing, e)
	}
	if isTimeout(err) {
		return fmt.Errorf("%s: it takes longer than %s: %w", doing, timeout, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// endOfWait tells how err ended an idle connection; nil for a deadline. What is no end
// of TCP is one of what is spoken on it: an alert of TLS, a frame that is none.
func endOfWait(err error, overTLS bool) *ended {
	switch e := endOf(err, overTLS); {
	case e != nil:
		return e
	case isTimeout(err):
		return nil
	}
	return &ended{how: probe.ByBytes}
}

// clip makes what a server sent fit to be shown.
func clip(text string) string {
	const most = 60
	text = vet.Plain(text)
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
