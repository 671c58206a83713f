package report

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Further lines stand below the first, and without a width there are none.
func TestRemark(t *testing.T) {
	for _, test := range []struct {
		width int
		want  string
	}{
		{0, "tcpvet run: 3 connections opened, none failed\n"},
		{80, "tcpvet run: 3 connections opened, none failed\n"},
		{34, "tcpvet run: 3 connections opened,\n            none failed\n"},
		{33, "tcpvet run: 3 connections opened,\n            none failed\n"},
		{32, "tcpvet run: 3 connections\n            opened, none failed\n"},
	} {
		var out strings.Builder
		if err := Remark(&out, "tcpvet run: ", "3 connections opened, none failed", Style{Width: test.width}); err != nil || out.String() != test.want {
			t.Errorf("in %d columns: got %q, %v, want %q", test.width, out.String(), err, test.want)
		}
	}
	_, w := io.Pipe()
	w.Close()
	if err := Remark(w, "a: ", "b", Style{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("what cannot be written gives %v", err)
	}
}
