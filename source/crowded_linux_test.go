package source_test

import (
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// In a table with many sockets to a bucket the kernel may pass over some: the look
// says so. In the usual one it does not.
func TestRootCrowdedTable(t *testing.T) {
	for _, small := range []bool{false, true} {
		t.Run(map[bool]string{false: "shared", true: "of its own, with 256 buckets"}[small], func(t *testing.T) {
			if small {
				kerneltest.Crowded(t, 256)
			} else {
				kerneltest.Netns(t)
			}
			population(t, 2000)
			keepNetns(t)
			src, err := source.Open("netlink")
			if err != nil {
				t.Fatal(err)
			}
			c, err := source.Take(t.Context(), src, ownOnly(t, tcpvet.FactListeners), source.TakeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			said := false
			for _, g := range c.Gaps {
				said = said || g.What == "some sockets" && strings.Contains(g.Err, "share 256 buckets")
			}
			if said != small {
				t.Errorf("gaps: %+v", c.Gaps)
			}
		})
	}
}
