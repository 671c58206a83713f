package remedy

import (
	"os"
	"strconv"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// Nothing that these tests set, or fail to keep apart, is a setting of this machine's.
func TestRootApart(t *testing.T) {
	kerneltest.Root(t)
	mine, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	parent, err := os.Readlink("/proc/" + strconv.Itoa(os.Getppid()) + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if mine == parent {
		t.Error("the tests run in the network namespace that they were started from")
	}
}
