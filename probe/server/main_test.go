package server

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// together is how many measurements run at the same time: they wait, and hardly
// compute.
const together = 32

func TestMain(m *testing.M) {
	flag.Parse()
	if n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String()); err == nil && n < together {
		if err := flag.Set("test.parallel", strconv.Itoa(together)); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
