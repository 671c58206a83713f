package store_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tcpvet/tcpvet/store"
)

// No file makes the reader panic, hold more than a line, or tell a fault without
// its line. Read leniently it tells all that it tells strictly, and no error;
// what it read whole it writes again so that it reads the same.
func FuzzReader(f *testing.F) {
	f.Add(written(f, header, events(3)))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := store.NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		var strict heard
		errStrict := r.Each(&strict)
		var fault *store.LineError
		if errStrict != nil && (!errors.As(errStrict, &fault) || fault.Line < 2 || len(fault.Text) > 80) {
			t.Fatalf("strictly: %v", errStrict)
		}
		r, err = store.NewReader(bytes.NewReader(file))
		must(t, err)
		r.Lenient = true
		var lenient heard
		must(t, r.Each(&lenient))
		if len(lenient.gaps()) < len(strict.gaps()) || lenient.sockets() < strict.sockets() || errStrict != nil && len(lenient.events) <= len(strict.events)-1 {
			t.Fatalf("strictly %d events, leniently %d", len(strict.events), len(lenient.events))
		}
		if errStrict != nil {
			return
		}
		again, err := store.NewReader(bytes.NewReader(written(t, r.Header, strict.events)))
		must(t, err)
		var second heard
		must(t, again.Each(&second))
		if len(second.events) != len(strict.events) || second.sockets() != strict.sockets() {
			t.Fatalf("%d events, and written again %d", len(strict.events), len(second.events))
		}
	})
}
