package remedy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
)

// toldSource is a source that tells the same each time.
type toldSource struct {
	facts   tcpvet.Facts
	sockets []tcpvet.Socket
	err     error
	asked   source.Query
}

func (s *toldSource) Name() string                         { return "told" }
func (s *toldSource) Facts(want tcpvet.Facts) tcpvet.Facts { return want & s.facts }
func (s *toldSource) Look(_ context.Context, q source.Query, o tcpvet.Observer) error {
	s.asked = q
	o.Gap(tcpvet.Gap{What: "holders"})
	for i := range s.sockets {
		if err := o.Socket(&s.sockets[i]); err != nil {
			return err
		}
	}
	return s.err
}

func TestPlanCloseRefuses(t *testing.T) {
	var many []tcpvet.Socket
	for i := range 7 {
		s := aged(time.Hour, time.Hour)
		s.Cookie = uint64(i + 1)
		many = append(many, s)
	}
	many = append(many, many[0]) // which changed during the look
	all := &toldSource{facts: ^tcpvet.Facts(0), sockets: many}
	blind := errors.New("blind")
	for name, c := range map[string]struct {
		src  *toldSource
		max  int
		want error
		says string
	}{
		"too many":   {all, 6, ErrTooMany, "7, and the limit is 6"},
		"no cookies": {&toldSource{}, 0, nil, "told tells no cookies"},
		"no look":    {&toldSource{facts: ^tcpvet.Facts(0), err: blind}, 0, blind, "plan to close sockets"},
	} {
		p, err := PlanClose(t.Context(), CloseOptions{Selection: Selection{Source: c.src, Match: anySocket}, Max: c.max})
		if p != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all.asked.States != unusedStates {
		t.Errorf("asked for %b", all.asked.States)
	}
	// States that the filter rules out are not asked for, nor closed.
	opt := CloseOptions{Selection: Selection{Source: all, Query: source.Query{States: tcpvet.SetOf(tcpvet.TimeWait)}, Match: anySocket}}
	if p, err := PlanClose(t.Context(), opt); err != nil || len(p.Changes) != 0 || all.asked.States != tcpvet.SetOf(tcpvet.TimeWait) || len(p.Gaps) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	all.err = source.ErrInconsistent
	if p, err := PlanClose(t.Context(), opt); err != nil || len(p.Gaps) != 2 {
		t.Errorf("inconsistent: %+v, %v", p, err)
	}
}

// What belongs to the plan comes with the socket.
func TestTargetOf(t *testing.T) {
	s := tcpvet.Socket{
		Netns: 1, State: tcpvet.CloseWait, Role: tcpvet.Client, Inode: 9, Cookie: 8, Holder: tcpvet.Process{PID: 4, Start: 5}, Interface: 2,
		Local: netip.MustParseAddrPort("10.0.0.1:4"), Remote: netip.MustParseAddrPort("10.0.0.2:5"), SharedWith: []tcpvet.Process{{PID: 6}},
	}
	a := newClosing()
	a.remember(&s)
	target := targetOf(&s, "app")
	if got := fmt.Sprint(target); got != "{1 8 9 CLOSE-WAIT client 10.0.0.1:4 10.0.0.2:5 {4 5} app   }" {
		t.Errorf("got %s", got)
	}
	if id := a.id(&target); id.Interface != 2 || id.Cookie != 8 || id.Local != s.Local || id.Remote != s.Remote {
		t.Errorf("%+v", id)
	}
	s.SharedWith[0].PID = 7 // it belongs to the look
	if kept := a.kept[socketName{1, 8}]; !slices.Equal(kept.shared, []tcpvet.Process{{PID: 6}}) {
		t.Errorf("%+v", kept)
	}
}
