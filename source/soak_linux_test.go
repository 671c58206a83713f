//go:build soak

package source_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
)

// For as long as it is given, looks follow looks beside connections that come
// and go: each of the sockets that stay is told once, and nothing is left of a
// look, no descriptor, no goroutine, no memory.
func TestSoakLooks(t *testing.T) {
	d := kerneltest.Soak(t)
	kerneltest.Netns(t)
	const held = 4000
	stay := population(t, held)
	keepNetns(t)
	churn(t, 2)
	src, err := source.Open("netlink")
	must(t, err)

	look := func() {
		told := make(map[uint64]int, held)
		_, err := source.Take(t.Context(), src, ownOnly(t, everything), source.TakeOptions{
			Watch: func(o tcpvet.Observer) tcpvet.Observer {
				clear(told)
				return watched{o, func(s *tcpvet.Socket) {
					if stay[s.Inode] {
						told[s.Inode]++
					}
				}}
			},
		})
		must(t, err)
		for ino := range stay {
			if told[ino] != 1 {
				t.Fatalf("socket %d stayed and was told %d times", ino, told[ino])
			}
		}
	}
	for range 5 {
		look()
	}
	began := kerneltest.UsageNow(t)
	looks := 0
	for until := time.Now().Add(d); time.Now().Before(until); looks++ {
		look()
	}
	ended := kerneltest.UsageNow(t)
	const churned = 16 // descriptors and goroutines of what comes and goes meanwhile
	ended.Grown(t, began, churned)
	t.Logf("%d looks at %d sockets and those that came and went; %+v, then %+v", looks, held, began, ended)
}
