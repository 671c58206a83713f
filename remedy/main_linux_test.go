package remedy

import (
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Apart(m, map[string]func() error{
		"journal-writer":   writeMuch,
		"journal-killed":   applyAndHang,
		"sysctl-denied":    applyAsNobody,
		"sysctl-sealed":    applyReadOnly,
		"journal-full":     applyOnFullDisk,
		"keepalive-ends":   holdEnds,
		"close-leaker":     leakConnections,
		"close-denied":     closeDenied,
		"borrow-hidden":    borrowHidden,
		"keepalive-denied": keepaliveDenied,
		"journal-mapped":   addOne,
	})
}
