package probe

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Names and numbers are those of this kernel's headers, the messages those of the
// C library, which Go repeats in lower case.
func TestErrnos(t *testing.T) {
	for e, known := range errnos {
		if got := unix.ErrnoName(unix.Errno(e)); got != known.name {
			t.Errorf("%d is %s, here %s", int(e), got, known.name)
		}
		if got := unix.Errno(e).Error(); !strings.EqualFold(got, known.text) {
			t.Errorf("%s: the system says %q, here %q", known.name, got, known.text)
		}
	}
	if EADDRNOTAVAIL.String() != "EADDRNOTAVAIL (99)" || Errno(71).String() != "errno 71" || Errno(71).Message() != "errno 71" {
		t.Errorf("%s, %s", EADDRNOTAVAIL, Errno(71))
	}
}
