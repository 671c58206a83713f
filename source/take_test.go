package source_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
)

// fake is a source of one socket more with each look, which ends as it is told.
type fake struct {
	looks int
	ends  []error
}

func (f *fake) Name() string                      { return "fake" }
func (f *fake) Facts(w tcpvet.Facts) tcpvet.Facts { return w & tcpvet.FactQueues }
func (f *fake) Look(_ context.Context, _ source.Query, o tcpvet.Observer) error {
	end := f.ends[min(f.looks, len(f.ends)-1)]
	f.looks++
	for i := range f.looks {
		s := tcpvet.Socket{State: tcpvet.Established, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i+1)), Remote: netip.AddrPortFrom(netip.IPv4Unspecified(), 80)}
		if err := o.Socket(&s); err != nil {
			return err
		}
	}
	return end
}

// A look that the kernel calls inconsistent is thrown away and taken again; the
// third is kept, and says what it is.
func TestTakeInconsistent(t *testing.T) {
	again := fmt.Errorf("namespace 1: %w", source.ErrInconsistent)
	broken := errors.New("broken")
	for _, test := range []struct {
		ends  []error
		looks int
		gaps  int
		err   error
	}{
		{[]error{nil}, 1, 0, nil},
		{[]error{again, nil}, 2, 0, nil},
		{[]error{again, again, nil}, 3, 0, nil},
		{[]error{again}, 3, 1, nil},
		{[]error{broken}, 1, 0, broken},
		{[]error{again, broken}, 2, 0, broken},
	} {
		f := &fake{ends: test.ends}
		watched := 0
		c, err := source.Take(t.Context(), f, source.Query{}, source.TakeOptions{Watch: func(o tcpvet.Observer) tcpvet.Observer {
			watched++
			return o
		}})
		if err != test.err || f.looks != test.looks || watched != test.looks || len(c.Gaps) != test.gaps {
			t.Errorf("%v: %d looks, gaps %v, %v; want %d, %d, %v", test.ends, f.looks, c.Gaps, err, test.looks, test.gaps, test.err)
		}
		// The n-th look told n sockets: those of one look, not of all.
		if c.Sockets != uint64(test.looks) {
			t.Errorf("%v: %d sockets of %d looks", test.ends, c.Sockets, test.looks)
		}
		if c.Source != "fake" || c.Facts != tcpvet.FactQueues || c.Taken.IsZero() || c.Self == 0 {
			t.Errorf("%v: %+v", test.ends, c)
		}
	}
}

// What Take wraps round its fold can end the look, and what was seen stays.
func TestTakeObserverEnds(t *testing.T) {
	enough := errors.New("enough")
	f := &fake{looks: 5, ends: []error{nil}}
	n := 0
	c, err := source.Take(t.Context(), f, source.Query{}, source.TakeOptions{Watch: func(o tcpvet.Observer) tcpvet.Observer {
		return ending{o, &n, enough}
	}})
	if err != enough || c.Sockets != 2 {
		t.Errorf("%d sockets, %v", c.Sockets, err)
	}
}

type ending struct {
	tcpvet.Observer
	n   *int
	err error
}

func (e ending) Socket(s *tcpvet.Socket) error {
	if *e.n++; *e.n > 2 {
		return e.err
	}
	return e.Observer.Socket(s)
}
