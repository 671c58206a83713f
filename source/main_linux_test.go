package source_test

import (
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"bound":     holdBound,
		"hold":      hold,
		"look":      lookUnprivileged,
		"outside":   lookOutside,
		"power":     lookWithPower,
		"tableless": holdTableless,
		"thousand":  thousand,
	})
}
