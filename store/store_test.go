package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/store"
)

var equal = []cmp.Option{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b tcpvet.PortSet) bool { return fmt.Sprint(a) == fmt.Sprint(b) }),
}

// What is read is what was written, event for event.
func TestRoundTrip(t *testing.T) {
	want := events(9)
	r, err := store.NewReader(bytes.NewReader(written(t, header, want)))
	must(t, err)
	if !r.Header.Taken.Equal(header.Taken) {
		t.Errorf("taken %v, not %v", r.Header.Taken, header.Taken)
	}
	r.Header.Taken = header.Taken
	if r.Header != header {
		t.Errorf("header %+v, not %+v", r.Header, header)
	}
	var h heard
	must(t, r.Each(&h))
	if diff := cmp.Diff(want, h.events, equal...); diff != "" {
		t.Errorf("written (-) and read (+):\n%s", diff)
	}
}

// lines gives a snapshot of three sockets, by line.
func lines(t *testing.T) []string {
	t.Helper()
	return slices.Collect(strings.Lines(string(written(t, header, events(3)))))
}

// Each fault is told with its line; leniently the rest is read, and the fault is
// a gap.
func TestFaults(t *testing.T) {
	sound := lines(t)
	const first = 7 // index of the first socket's line
	n := len(sound)
	if n != first+4 || !strings.Contains(sound[first], "tcpvet/socket/v1") {
		t.Fatalf("%d lines: %s", n, sound[first])
	}
	replace := func(i int, text string) []string {
		out := append([]string{}, sound...)
		out[i] = text
		return out
	}
	for name, test := range map[string]struct {
		lines   []string
		line    int    // of the fault
		text    string // in the error
		cut     bool
		sockets int // read leniently
		gaps    int // told leniently; two are the snapshot's own
	}{
		"whole":                {sound, 0, "", false, 3, 2},
		"no end of line":       {replace(n-1, strings.TrimSuffix(sound[n-1], "\n")), 0, "", false, 3, 2},
		"blank lines":          {replace(2, sound[2]+"\n  \r\n"), 0, "", false, 3, 2},
		"a newer member":       {replace(first, strings.Replace(sound[first], `{"schema"`, `{"later":[1],"schema"`, 1)), 0, "", false, 3, 2},
		"another order":        {replace(2, `{"kind":"host","name":"web1","schema":"tcpvet/snapshot/v1"}`+"\n"), 0, "", false, 3, 2},
		"a byte-order mark":    {replace(first, "\ufeff"+sound[first]), first + 1, "invalid character", false, 2, 3},
		"cut after a line":     {sound[:n-1], n, "it was cut", true, 3, 3},
		"cut in a line":        {append(append([]string{}, sound[:first+1]...), sound[first+1][:50]), first + 2, "it was cut", true, 1, 3},
		"cut after the header": {sound[:1], 2, "it was cut", true, 0, 1},
		"damaged":              {replace(first, "{\"schema\":\"tcpvet/socket/v1\",\"state\":\"OPEN\"}\n"), first + 1, "parse state", false, 2, 3},
		"not JSON":             {replace(first+1, "hello\n"), first + 2, "invalid character", false, 2, 3},
		"two are damaged":      {append(replace(first, "x\n")[:first+1], append([]string{"y\n"}, sound[first+2:]...)...), first + 1, "invalid character", false, 1, 3},
		"another version":      {replace(first, `{"schema":"tcpvet/socket/v2"}`+"\n"), first + 1, "another version", false, 2, 3},
		"another kind":         {replace(2, `{"schema":"tcpvet/snapshot/v1","kind":"route"}`+"\n"), 3, `kind "route"`, false, 3, 3},
		"a missing line":       {append(append([]string{}, sound[:first]...), sound[first+1:]...), n - 1, "3 sockets were written and 2 are in the file", false, 2, 3},
		"a line too many":      {append(append([]string{sound[0]}, sound[1:first+1]...), sound[first:]...), n + 1, "3 sockets were written and 4", false, 4, 3},
		"a huge line":          {replace(first, `{"x":"`+strings.Repeat("a", store.MaxLine)+"\"}\n"), first + 1, "longer than 4194304 bytes", false, 2, 3},
		"another follows":      {append(append([]string{}, sound...), sound...), n + 1, "more follows", false, 3, 3},
		"an address":           {replace(3, strings.Replace(sound[3], "10.0.0.1/24", "10.0.0.1/99", 1)), 4, "parse address", false, 3, 3},
	} {
		text := strings.Join(test.lines, "")
		read := func(lenient bool) (*heard, error) {
			r, err := store.NewReader(strings.NewReader(text))
			must(t, err)
			r.Lenient = lenient
			var h heard
			return &h, r.Each(&h)
		}
		_, err := read(false)
		var fault *store.LineError
		switch {
		case test.line == 0 && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.line > 0 && (!errors.As(err, &fault) || fault.Line != test.line || !strings.Contains(err.Error(), test.text) || len(fault.Text) > 80):
			t.Errorf("%s: %v; want line %d and %q", name, err, test.line, test.text)
		}
		if errors.Is(err, store.ErrCut) != test.cut {
			t.Errorf("%s: cut is %v: %v", name, !test.cut, err)
		}
		if advised := err != nil && strings.Contains(err.Error(), "--lenient"); advised != test.cut {
			t.Errorf("%s: --lenient is advised: %v: %v", name, advised, err)
		}
		h, err := read(true)
		if gaps := h.gaps(); err != nil || h.sockets() != test.sockets || len(gaps) != test.gaps {
			t.Errorf("%s, leniently: %d sockets, gaps %v, %v; want %d and %d", name, h.sockets(), gaps, err, test.sockets, test.gaps)
		}
		for _, g := range h.gaps() {
			if strings.Contains(g.Err, "--lenient") {
				t.Errorf("%s, leniently: advises what is done: %v", name, g)
			}
		}
	}
}

func TestHeaderFaults(t *testing.T) {
	for _, text := range []string{
		"", "\n\n", "{", "hello\n", `{"schema":"tcpvet/snapshot/v2","kind":"header","taken":"2025-01-01T00:00:00Z"}`,
		`{"schema":"tcpvet/snapshot/v1","kind":"end"}`, `{"schema":"tcpvet/snapshot/v1","kind":"header","taken":"yesterday"}`,
		`{"x":"` + strings.Repeat("a", store.MaxLine) + `"}`,
	} {
		if _, err := store.NewReader(strings.NewReader(text)); err == nil {
			t.Errorf("no error for %.60q", text)
		}
	}
	r, err := store.NewReader(strings.NewReader(`{"schema":"tcpvet/snapshot/v1","kind":"header","taken":"2025-01-01T00:00:00Z","facts":["queues","taste"],"later":1}`))
	if err != nil || r.Header.Facts != tcpvet.FactQueues {
		t.Errorf("facts of a later version: %v, %v", r.Header.Facts, err)
	}
}

func TestRecognise(t *testing.T) {
	for text, want := range map[string]bool{
		string(written(t, header, nil)):                     true,
		`  {"kind":"header","schema":"tcpvet/snapshot/v9"}`: true,
		`{"schema":"tcpvet/socket/v1"}`:                     false,
		"State Recv-Q\n\"tcpvet/snapshot/v1\"":              false,
		"":                                                  false,
	} {
		if got := store.Recognise([]byte(text)); got != want {
			t.Errorf("%.60q: %v", text, got)
		}
	}
}

// A look that ended early leaves a file that says so.
func TestAbandon(t *testing.T) {
	var b bytes.Buffer
	w := store.NewWriter(&b, header)
	tell(t, w, events(2))
	must(t, w.Abandon())
	r, err := store.NewReader(&b)
	must(t, err)
	var h heard
	if err := r.Each(&h); !errors.Is(err, store.ErrCut) || h.sockets() != 2 {
		t.Errorf("%d sockets, %v", h.sockets(), err)
	}
}

// full takes so many bytes and no more.
type full struct{ left int }

var errFull = errors.New("disk full")

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// An error of writing ends the look, and is told again at the end.
func TestWriterError(t *testing.T) {
	w := store.NewWriter(&full{100_000}, header)
	var err error
	n := 0
	for ; err == nil && n < 10_000; n++ {
		err = w.Socket(socket(n))
	}
	if !errors.Is(err, errFull) || n > 1000 {
		t.Errorf("%v after %d sockets", err, n)
	}
	before := w.Sockets()
	if err := w.Socket(socket(n)); !errors.Is(err, errFull) || w.Sockets() != before {
		t.Errorf("the next socket: %v, %d written", err, w.Sockets())
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: %v", err)
	}
	if w.Sockets() > uint64(n) {
		t.Errorf("%d sockets written of %d", w.Sockets(), n)
	}
}

// o's own error ends the reading, lenient or not.
func TestObserverError(t *testing.T) {
	for _, lenient := range []bool{false, true} {
		r, err := store.NewReader(bytes.NewReader(written(t, header, events(5))))
		must(t, err)
		r.Lenient = lenient
		if err := r.Each(ending{&heard{}}); err != errFull {
			t.Errorf("lenient %v: %v", lenient, err)
		}
	}
}

type ending struct{ *heard }

func (ending) Socket(*tcpvet.Socket) error { return errFull }
