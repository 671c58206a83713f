package scenarios

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// smallWrites makes system calls as socketCalls does, and talks in small pieces: the
// one side writes a message piece by piece, the other answers once it has all.
var smallWrites = lab.Act{Name: "small-writes", Learn: func(c *lab.Cues) {
	socketCalls.Learn(c)
	lab.On(c, callAsk, askInPieces)
	lab.On(c, callAnswer, answerPieces)
}}

// The cues of smallWrites.
const (
	callAsk    = "ask"    // askInPiecesOrder, talked
	callAnswer = "answer" // answerPiecesOrder, talked
)

type askInPiecesOrder struct {
	FD     int
	Pieces []int // the sizes of what is written, a call each
	Times  int
}

type answerPiecesOrder struct {
	FD    int
	Bytes int // of a message
	Times int
}

// talked is what came of it. The times are from the first write to the answer.
type talked struct {
	Times  int
	Median time.Duration
	Total  time.Duration
}

// reply answers a message.
const reply = "ok\n"

func askInPieces(order askInPiecesOrder) (t talked, err error) {
	var took []time.Duration
	for t.Times < order.Times {
		begin := time.Now()
		for _, size := range order.Pieces {
			if _, err := unix.Write(order.FD, make([]byte, size)); err != nil {
				return t, fmt.Errorf("write: %w", err)
			}
		}
		if err := readAll(order.FD, len(reply)); err != nil {
			return t, fmt.Errorf("read the answer: %w", err)
		}
		took = append(took, time.Since(begin))
		t.Total += took[t.Times]
		t.Times++
	}
	t.Median = median(took)
	return t, nil
}

func answerPieces(order answerPiecesOrder) (t talked, err error) {
	for t.Times < order.Times {
		if err := readAll(order.FD, order.Bytes); err != nil {
			return t, fmt.Errorf("read message %d: %w", t.Times+1, err)
		}
		if _, err := unix.Write(order.FD, []byte(reply)); err != nil {
			return t, fmt.Errorf("answer message %d: %w", t.Times+1, err)
		}
		t.Times++
	}
	return t, nil
}

// readAll reads so many bytes, by as many calls as it takes.
func readAll(fd, bytes int) error {
	for b := make([]byte, bytes); len(b) > 0; {
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		default:
			b = b[n:]
		}
	}
	return nil
}
