package live

import (
	"errors"
	"fmt"
	"strings"
)

// Why a capture ended by itself, or did not begin.
var (
	ErrDown        = errors.New("the interface is down")
	ErrRemoved     = errors.New("the interface was removed")
	ErrNoInterface = errors.New("there is no such interface")
	ErrClosed      = errors.New("the capture was closed")
)

// noInterface names what could have been meant.
func noInterface(names []string) error {
	const shown = 12
	rest := ""
	if len(names) > shown {
		rest = fmt.Sprintf(" and %d more", len(names)-shown)
		names = names[:shown]
	}
	return fmt.Errorf("%w: there are %s, %s%s", ErrNoInterface, Any, strings.Join(names, ", "), rest)
}
