package lab

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
)

// speech keeps the lines that a process says until they are asked for, so that
// it never waits for a listener.
type speech struct {
	from io.ReadCloser

	mu    sync.Mutex
	lines []string
	kept  int           // bytes of them
	over  bool          // nothing more comes
	news  chan struct{} // closed, and another made, whenever something changes
}

// mostKept bounds what is kept of a process that nobody listens to; the oldest
// lines go first.
const mostKept = 4 << 20

// errSilent says that a process has closed its output.
var errSilent = errors.New("the process says nothing more")

// listen keeps what is said on from.
func listen(from io.ReadCloser) *speech {
	s := &speech{from: from, news: make(chan struct{})}
	go func() {
		r := bufio.NewReader(from)
		for {
			line, err := r.ReadString('\n')
			s.mu.Lock()
			if line != "" {
				s.lines = append(s.lines, strings.TrimSuffix(line, "\n"))
				for s.kept += len(line); s.kept > mostKept && len(s.lines) > 1; s.lines = s.lines[1:] {
					s.kept -= len(s.lines[0]) + 1
				}
			}
			s.over = err != nil
			close(s.news)
			s.news = make(chan struct{})
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// next waits for the next line. The error is errSilent where none comes any
// more, or the reason why ctx ended.
func (s *speech) next(ctx context.Context) (string, error) {
	for {
		s.mu.Lock()
		if len(s.lines) > 0 {
			line := s.lines[0]
			s.lines, s.kept = s.lines[1:], s.kept-len(line)-1
			s.mu.Unlock()
			return line, nil
		}
		over, news := s.over, s.news
		s.mu.Unlock()
		if over {
			return "", errSilent
		}
		select {
		case <-news:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// rest gives what was said and not yet given.
func (s *speech) rest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (s *speech) close() { s.from.Close() }

// lastWords keeps the beginning of what a process wrote to its standard error.
type lastWords struct {
	mu sync.Mutex
	b  []byte
}

const maxLastWords = 4096 // enough for the head of a Go panic

func (l *lastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p[:min(len(p), maxLastWords-len(l.b))]...)
	return len(p), nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(string(l.b))
}
