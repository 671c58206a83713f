package dump

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// collector keeps what a Dump tells and checks the order that Observer states.
type collector struct {
	t       testing.TB
	hosts   int
	netns   []tcpvet.Netns
	comm    map[tcpvet.Process]string
	sockets []tcpvet.Socket
	gaps    []tcpvet.Gap
	facts   tcpvet.Facts
}

func (c *collector) Host(tcpvet.Host) {
	if c.hosts++; c.hosts > 1 || len(c.netns) > 0 {
		c.t.Error("Host was called late or twice")
	}
}

func (c *collector) Netns(n tcpvet.Netns) {
	if c.hosts == 0 || len(c.sockets) > 0 {
		c.t.Error("Netns was called before Host or after a socket")
	}
	c.netns = append(c.netns, n)
}

func (c *collector) Process(p tcpvet.Process, info tcpvet.ProcessInfo) {
	if _, again := c.comm[p]; again || !p.Known() {
		c.t.Errorf("process %v was told twice, or is none", p)
	}
	c.comm[p] = info.Comm
}

func (c *collector) Changed(n uint64) { c.t.Errorf("%d sockets changed in a text", n) }

func (c *collector) Gap(g tcpvet.Gap) { c.gaps = append(c.gaps, g) }

func (c *collector) Socket(s *tcpvet.Socket) error {
	if len(c.netns) != 1 {
		c.t.Error("a socket came before its namespace")
	}
	if n := len(c.sockets); s.State == tcpvet.Listen && n > 0 && c.sockets[n-1].State != tcpvet.Listen {
		c.t.Errorf("listener %v came after another socket", s.Local)
	}
	for _, p := range append([]tcpvet.Process{s.Holder}, s.SharedWith...) {
		if _, told := c.comm[p]; p.Known() && !told {
			c.t.Errorf("process %v was not told before it held %v", p, s.Local)
		}
	}
	if s.Holder.Known() && !s.Knows(tcpvet.FactHolders) {
		c.t.Errorf("%v has a holder, and FactHolders is not known", s.Local)
	}
	if extra := s.Known &^ c.facts; extra != 0 {
		c.t.Errorf("%v knows %v, which is not in Facts", s.Local, extra)
	}
	kept := *s
	kept.SharedWith = slices.Clone(s.SharedWith)
	c.sockets = append(c.sockets, kept)
	return nil
}

// collect gives what the dump tells.
func collect(t testing.TB, d *Dump) *collector {
	t.Helper()
	c := &collector{t: t, comm: make(map[tcpvet.Process]string), facts: d.Facts()}
	if err := d.Each(c, 0); err != nil {
		t.Fatal(err)
	}
	return c
}

// read parses a text that has to be whole.
func read(t testing.TB, text string) (*Dump, *collector) {
	t.Helper()
	d, err := Parse(strings.NewReader(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d, collect(t, d)
}

// ends names a socket.
func ends(s *tcpvet.Socket) string { return fmt.Sprintf("%v %v", s.Local, s.Remote) }

// byEnds gives the sockets by their endpoints.
func (c *collector) byEnds() map[string]*tcpvet.Socket {
	m := make(map[string]*tcpvet.Socket, len(c.sockets))
	for i := range c.sockets {
		s := &c.sockets[i]
		if m[ends(s)] != nil {
			c.t.Errorf("%s came twice", ends(s))
		}
		m[ends(s)] = s
	}
	return m
}
