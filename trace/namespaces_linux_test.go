package trace

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// A trace of one network namespace is told nothing of another; one of all is told of
// which each connection is.
func TestRootNamespaces(t *testing.T) { kerneltest.Undisturbed(t, testNamespaces) }

func testNamespaces(t testing.TB) {
	f := follow(t, Options{})
	here := f.options.Netns[0]
	all, err := Open(Options{PassShare: -1})
	must(t, err)
	t.Cleanup(func() { must(t, all.Close()) })

	in := make(map[uint64]tcpvet.NetnsID) // by cookie
	stage := func() *socket {
		id, err := netns.Self()
		must(t, err)
		l, at := listen(t, lo4)
		c, s := connected(t, l, at)
		in[c.cookie], in[s.cookie] = id, id
		c.close()
		s.close()
		return s
	}
	s := stage()
	f.one("close", of(tcpvet.EventClose, s.cookie))
	kerneltest.Netns(t) // and now elsewhere
	stage()
	f.end()
	for _, e := range f.all(func(e *tcpvet.Event) bool { return e.Netns != here || in[e.Cookie] != here }) {
		t.Errorf("of another namespace: %+v", e)
	}
	n := 0
	readOut(t, all, func(e *tcpvet.Event) error {
		if id, ok := in[e.Cookie]; ok {
			n++
			if e.Netns != id {
				t.Errorf("%+v is in %d", e, id)
			}
		}
		return nil
	})
	if n != 8 {
		t.Errorf("%d events of two connections, want 8", n)
	}
}
