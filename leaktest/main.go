package leaktest

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// Main runs the tests of a package and exits: with their status if that is not 0, and
// with 1 if they passed but left connections open, which it tells of on standard
// error. It is the whole of a TestMain:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// Connections that [Check] has told of are not told again. Nothing can hide which
// test it was that opened a connection through a hook; of others Main tells what the
// kernel and the goroutines do.
func Main(m *testing.M) { Options{}.Main(m) }

// Main is [Main] with options.
func (o Options) Main(m *testing.M) { os.Exit(o.Run(m)) }

// Run is [Main] for a TestMain that has more to do: it gives the status to exit with.
func Run(m *testing.M) int { return Options{}.Run(m) }

// Run is [Run] with options.
func (o Options) Run(m *testing.M) int { return o.run(m.Run, os.Stderr) }

func (o Options) run(tests func() int, w io.Writer) int {
	c := &check{Options: o, began: time.Now()}
	book.open()
	defer book.close()
	c.remember(held())
	if status := tests(); status != 0 {
		return status
	}
	own, _ := c.left()
	if c.blind != nil {
		fmt.Fprintln(w, blindWords(c.blind))
	}
	texts := c.report(own)
	for _, text := range texts {
		fmt.Fprintln(w, text)
	}
	if len(texts) == 0 {
		return 0
	}
	connections := "connections"
	if len(own) == 1 {
		connections = "connection"
	}
	fmt.Fprintf(w, "leaktest: the tests passed, and left %d %s open\n", len(own), connections)
	return 1
}
