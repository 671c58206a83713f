package trace

import (
	"testing"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// Parts are what this test binary plays as another process (kerneltest.Part). Tests of
// package trace_test add theirs.
var Parts = map[string]func() error{
	"churn": churn,
}

func TestMain(m *testing.M) { kerneltest.Main(m, Parts) }

// need is what every test that loads a program needs.
func need(t testing.TB) {
	t.Helper()
	kerneltest.Root(t)
	kerneltest.Need(t, kernel.BTF)
	kerneltest.Need(t, kernel.BPFMaps)
	kerneltest.Need(t, kernel.BPFStates)
	kerneltest.Need(t, kernel.BPFIterators)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
