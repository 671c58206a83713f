package leaktest

import (
	"fmt"
	"os"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"go.uber.org/goleak"
)

// Programs run as tests of a test binary of their own, so that what they leave open
// ends with it.
func TestMain(m *testing.M) {
	kerneltest.Main(m, map[string]func() error{
		"program": playProgram,
		"run":     func() error { os.Exit(Run(m)); return nil },
	})
}

// These tell the part what to do.
const (
	programVariable = "LEAKTEST_PROGRAM"
	toolVariable    = "LEAKTEST_TOOL" // leaktest, goleak
)

func chosen() string { return os.Getenv(programVariable) }

// playProgram runs one program as go test would, looked after by one of the tools.
func playProgram() error {
	p, ok := programs[chosen()]
	if !ok {
		return fmt.Errorf("find program %q: there is none of that name", chosen())
	}
	test := testing.InternalTest{Name: "TestProgram", F: func(t *testing.T) {
		if os.Getenv(toolVariable) == "goleak" {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() {
				if err := goleak.Find(before); err != nil {
					t.Error(err)
				}
			})
		} else if !p.alone {
			p.options.Check(t)
		}
		p.run(t)
	}}
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{test}, nil, nil)
	return nil
}
