package report

import "testing"

// What has no colour of its own gets no end of one either.
func TestPaint(t *testing.T) {
	for _, test := range []struct {
		style            Style
		code, text, want string
	}{
		{Style{Color: true}, bold, "x", bold + "x" + plain},
		{Style{Color: true}, "", "x", "x"},
		{Style{Color: true}, bold, "", ""},
		{Style{}, bold, "x", "x"},
	} {
		if got := test.style.paint(test.code, test.text); got != test.want {
			t.Errorf("%+v: %q in %q is %q, want %q", test.style, test.text, test.code, got, test.want)
		}
	}
}
