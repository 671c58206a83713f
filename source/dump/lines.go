package dump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line. One of ss -p grows by some 30 bytes with each process
// that shares the socket.
const maxLine = 1 << 20 // with its newline

// shownText is how much of a damaged line an error shows.
const shownText = 80

// errUTF16 says what PowerShell and the editor of Windows may have made of a text.
var errUTF16 = errors.New("the text is in UTF-16; save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8")

var errLong = fmt.Errorf("the line is longer than %d bytes", maxLine)

// LineError says which line of the text cannot be read, and why.
type LineError struct {
	Line int    // from 1
	Text string // its first 80 bytes
	Err  error
}

// Error names the line by its number and its quoted text.
func (e *LineError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("read line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("read line %d %q: %v", e.Line, e.Text, e.Err)
}

// Unwrap gives the reason.
func (e *LineError) Unwrap() error { return e.Err }

func lineError(n int, text []byte, err error) *LineError {
	text = bytes.Join(bytes.Fields(text[:min(len(text), maxLine)]), []byte{' '})
	if len(text) > shownText {
		text = append(text[:shownText:shownText], "..."...)
	}
	return &LineError{n, string(text), err}
}

// lines cuts a text into lines. A line that is too long is cut off, and long.
type lines struct {
	r    *bufio.Reader
	n    int // number of the current line, from 1
	text []byte
	long bool
	// whole tells that the line ended in a newline, as all but the last must.
	whole bool
	err   error
	own   []byte
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, 1<<16)}
}

// next steps to the next line. It is false at the end and after an error.
func (l *lines) next() bool {
	if l.err != nil {
		return false
	}
	part, err := l.r.ReadSlice('\n')
	l.long = false
	if err == bufio.ErrBufferFull {
		length := 0
		l.own = l.own[:0]
		for more := true; more; {
			length += len(part)
			l.own = append(l.own, part[:min(len(part), maxLine-len(l.own))]...)
			if more = err == bufio.ErrBufferFull; more {
				part, err = l.r.ReadSlice('\n')
			}
		}
		l.long = length > maxLine
		// Its newline was read even where it was not kept.
		if l.long && err == nil {
			l.own[maxLine-1] = '\n'
		}
		part = l.own
	}
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
		return false
	}
	if len(part) == 0 {
		return false
	}
	l.n++
	if l.n == 1 {
		if bytes.HasPrefix(part, []byte("\xff\xfe")) || bytes.HasPrefix(part, []byte("\xfe\xff")) {
			l.n, l.err = 0, errUTF16
			return false
		}
		part = bytes.TrimPrefix(part, []byte("\xef\xbb\xbf")) // what Windows puts before UTF-8
	}
	l.text, l.whole = bytes.CutSuffix(part, []byte{'\n'})
	l.text = plain(bytes.TrimSuffix(l.text, []byte{'\r'}))
	return true
}

// plain takes what colours a text out of a line, in place, and makes blanks of what
// web pages and mail put for them (U+00A0). Colours are CSI ... m, as of ss and grep,
// and CSI K of grep, which clears the rest of the line (ECMA-48, 8.3.117 and 8.3.41).
// What moves the cursor stays and damages the line: it is not what was on the screen.
func plain(b []byte) []byte {
	const escape = 0x1b
	noBreak := []byte("\u00a0")
	if bytes.IndexByte(b, escape) < 0 && !bytes.Contains(b, noBreak) {
		return b
	}
	kept := b[:0]
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == escape && colour(b[i:]) > 0:
			i += colour(b[i:]) - 1
		case bytes.HasPrefix(b[i:], noBreak):
			kept = append(kept, ' ')
			i++
		default:
			kept = append(kept, b[i])
		}
	}
	return kept
}

// colour gives the length of the colour that b begins with behind its escape, 0 for
// none.
func colour(b []byte) int {
	if len(b) < 2 || b[1] != '[' {
		return 0
	}
	for i, c := range b[2:] {
		switch {
		case c == 'm', c == 'K':
			return i + 3
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}

// words cuts a line at white space.
type words struct{ rest []byte }

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' }

// next gives the next word, an empty one at the end.
func (w *words) next() []byte {
	b := w.rest
	i := 0
	for i < len(b) && blank(b[i]) {
		i++
	}
	j := i
	for j < len(b) && !blank(b[j]) {
		j++
	}
	w.rest = b[j:]
	return b[i:j]
}

func trim(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// number reads a decimal number of at most so many bits.
func number(b []byte, bits int) (v uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if v > (1<<64-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, bits >= 64 || v>>bits == 0
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
