package recording

import "io"

// windowBytes is how much is read at once.
const windowBytes = 1 << 17

// window gives the bytes of a stream in place. It grows to what was asked for
// and has come: a length field alone makes nothing be set aside.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int   // what was read and not yet taken
	offset     int64 // of start in the stream
	err        error // what ended the stream
	compressed bool
}

func newWindow(r io.Reader) *window { return &window{r: r} }

// peek gives the next n bytes without taking them. Where there are fewer it
// gives those and why: io.EOF at the end of the stream.
func (w *window) peek(n int) ([]byte, error) {
	if w.end-w.start >= n {
		return w.buf[w.start : w.start+n], nil
	}
	for w.end-w.start < n && w.err == nil {
		w.fill()
	}
	if w.end-w.start < n {
		return w.buf[w.start:w.end], w.err
	}
	return w.buf[w.start : w.start+n], nil
}

// fill reads once, after making room.
func (w *window) fill() {
	if w.buf == nil {
		w.buf = make([]byte, windowBytes)
	}
	if w.start > 0 {
		copy(w.buf, w.buf[w.start:w.end])
		w.start, w.end = 0, w.end-w.start
	}
	if w.end == len(w.buf) {
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	for range 100 {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		if err != nil {
			w.err = err
			return
		}
		if n > 0 {
			return
		}
	}
	w.err = io.ErrNoProgress
}

// waiting gives what has come and was not taken.
func (w *window) waiting() []byte { return w.buf[w.start:w.end] }

// take takes n bytes that were peeked.
func (w *window) take(n int) {
	w.start += n
	w.offset += int64(n)
}

// skip takes n bytes unseen, however many.
func (w *window) skip(n int64) error {
	for n > 0 {
		if w.start == w.end {
			if w.err != nil {
				return w.err
			}
			w.fill()
			continue
		}
		part := min(n, int64(w.end-w.start))
		w.take(int(part))
		n -= part
	}
	return nil
}

// Read makes a window a reader of what is left, for a decompressor.
func (w *window) Read(b []byte) (int, error) {
	if w.start < w.end {
		n := copy(b, w.buf[w.start:w.end])
		w.take(n)
		return n, nil
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(b)
	w.offset += int64(max(n, 0))
	if err != nil {
		w.err = err
	}
	return n, err
}

// cut makes a CutError of what kept a record from being read that begins at
// offset. The end of the stream inside of a record is unexpected.
func (w *window) cut(offset int64, packet uint64, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &CutError{Offset: offset, Compressed: w.compressed, Packet: packet, Err: err}
}
