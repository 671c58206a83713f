package probe

import (
	"fmt"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet/vet"
)

// SpellUp is Spell of a time that was surely over: it rounds to the next 10 ms.
func SpellUp(d time.Duration) string {
	const step = 10 * time.Millisecond
	return Spell((d + step - 1).Truncate(step))
}

// Enclosed names a limit: as one time, where it is enclosed well.
func (l Limit) Enclosed() string {
	low, high := l.Survived, l.Ended
	if mid := (low + high) / 2; high-low < mid/20 {
		return "about " + Spell(mid.Round(100*time.Millisecond))
	}
	return Spell(low) + " to " + SpellUp(high)
}

// Spell writes a time to 10 ms, without zeros that say nothing.
func Spell(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 100*time.Second:
		text := fmt.Sprintf("%d.%02d", d/time.Second, d%time.Second/(10*time.Millisecond))
		return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " s"
	}
	return vet.Duration(d)
}
