package netns

import (
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"enter":    enterAndTell,
		"thousand": thousand,
	})
}
